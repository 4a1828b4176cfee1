"""Where a transaction of SQLite is committed: on the event loop, wherever nothing about it may wait for the disk.

The idea: a commit writes pages of the log into the kernel's memory, which takes 20 µs; a trip to the thread takes 50 µs
of CPU and 100 more of waiting. Two things in it wait for the disk: SQLite copies the log into the database once that
has grown (a checkpoint), and the first commit after it begins the log anew and flushes its header.
The invariant: neither is done on the loop, but for one flush of the header after another process has copied the log
without writing, or after our last commit. SQLite looks at the length of the log in the thread alone, at the commit that
comes once `ROWS` were changed, and the next commit is made there, too. So is one after another process has written,
which may have copied the log; and one while the log is flushed, as the kernel may let a write wait for that.
The cost: 2 µs; and a disk that lets writes wait for other reasons holds the loop up twice, and from then on once in
`TRIED_AGAIN` commits.
"""

import resource
import sqlite3
import time
from collections.abc import Callable

import attrs

ROWS = 100
"""Rows changed after which the length of the log is looked at: a row is some pages of 4 KiB."""
LONGEST = 1000
"""Pages of the log above which it is copied into the database; SQLite's own default."""
SLOW = 0.003
"""Seconds above which a commit may have waited for the disk, or the loop for another process to leave the processor.

Of 100 servers made alone on a machine with thrice as much to do as it can 26 met with the latter, and 6 with the disk.
"""
TRIED_AGAIN = 16
"""Commits that are made in the thread after one that has waited for the disk: it may have been chance."""


@attrs.define
class Commits:
    """What is known of the commits of one connection that writes."""

    _rows: int = ROWS + 1
    """Rows changed since the length of the log was looked at."""
    _may_begin_anew: bool = True
    """Whether the next commit may begin the log anew."""
    _version: int = 0
    """What SQLite counts when another connection has written."""
    _aside: int = 0
    """Commits that are still made in the thread after one that has waited."""
    _doubtful: int = 0
    """Commits on the loop of which it is still asked whether they wait, after a slow one; that takes two calls."""

    def may_be_here(self, real: sqlite3.Connection, rows: int, *, is_flushing: bool) -> bool:
        """Return whether a transaction that changed so many rows is to be committed on the loop."""
        if not rows:
            return True
        self._rows += rows
        before, self._version = self._version, real.execute("PRAGMA data_version").fetchone()[0]
        self._aside = max(0, self._aside - 1)
        waits = is_flushing or self._aside or self._may_begin_anew or self._version != before
        return not waits and self._rows <= ROWS

    def here(self, real: sqlite3.Connection) -> None:
        """Commit on the loop."""
        waited, began = _waits() if self._doubtful else 0, time.perf_counter()
        real.commit()
        if time.perf_counter() - began > SLOW:
            if self._doubtful and _waits() > waited:
                self._aside = TRIED_AGAIN
            self._doubtful = TRIED_AGAIN
        elif self._doubtful:
            self._doubtful -= 1

    def aside(self, real: sqlite3.Connection) -> Callable[[], None]:
        """Return what is to be done in the thread."""
        self._may_begin_anew = self._rows > ROWS
        if not self._may_begin_anew:
            return real.commit
        self._rows = 0
        return lambda: _commit_and_look(real)

    def doubt(self) -> None:
        """Have the next commit made in the thread: it may begin the log anew, whatever was done meanwhile."""
        self._may_begin_anew = True


def _waits() -> int:
    """Return how often this thread has waited for something; that others had the processor is not counted."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def _commit_and_look(real: sqlite3.Connection) -> None:
    real.execute(f"PRAGMA wal_autocheckpoint={LONGEST}")
    try:
        real.commit()
    finally:
        real.execute("PRAGMA wal_autocheckpoint=0")
