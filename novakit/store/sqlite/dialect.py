"""SQLite through aiosqlite, where a quick statement runs on the event loop and only what may wait goes to its thread.

The idea: most statements take some 20 microseconds, and a trip to another thread and back costs ten times as much, for
the two must hand the interpreter's lock to each other. SQLAlchemy's own adapter makes four trips for each statement.
The invariant: the loop never waits for another process or for the disk to be flushed. So `BEGIN IMMEDIATE` asks once,
and where somebody else is writing it waits in the thread; writes of many rows are made there always, commits where they
may wait (`commits`), and for a while each statement that took longer than `SLOW`.
The cost: a statement about which that is not known yet may hold the loop up once; the clock that finds it out takes
0.1 microseconds of each.
"""

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.connectors.asyncio import AsyncAdapt_dbapi_connection, AsyncIODBAPIConnection
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.aiosqlite import (
    AsyncAdapt_aiosqlite_connection,
    AsyncAdapt_aiosqlite_cursor,
    AsyncAdapt_aiosqlite_dbapi,
    SQLiteDialect_aiosqlite,
)
from sqlalchemy.util.concurrency import await_

from novakit.store.sqlite.commits import Commits

DRIVER = "sqlite+onetrip"
T = TypeVar("T")
FetchedRows = tuple[Sequence[tuple[object, ...]], int]
"""The rows that a statement found, and how many it changed."""

registry.register("sqlite.onetrip", __name__, "Dialect")

SLOW = 0.003
"""Seconds of CPU above which a statement goes to the thread the next times."""
MANY = 100
"""Rows of one write above which it does so at once."""
TRIED_AGAIN = 64
"""Times that a slow statement goes to the thread before it is tried on the loop again: it may have been chance."""
REMEMBERED = 1000
"""Statements that are remembered as slow; the text of one that lists ids differs with their number."""
BUSY_MS = 15000
"""Milliseconds for which a write waits for another process that is writing."""

_slow: dict[str, int] = {}
"""Statements that were slow, and how often each still goes to the thread."""
_doubtful: dict[str, int] = {}
"""Statements that took long the last time, for whatever reason."""


def _is_slow(operation: str) -> bool:
    left = _slow.get(operation)
    if left is None:
        return False
    if left <= 1:
        del _slow[operation]
    else:
        _slow[operation] = left - 1
    return True


def _timed(operation: str, work: Callable[..., T], *given: object) -> T:
    """Do the work, and remember its statement as slow where it is.

    The thread's own clock costs a system call, so it is only asked of a statement that took long the last time; often
    that was another process that had the processor.
    """
    clock = time.thread_time if operation in _doubtful else time.perf_counter
    began = clock()
    done = work(*given)
    if clock() - began > SLOW:
        known = _doubtful if clock is time.perf_counter else _slow
        while len(known) >= REMEMBERED:
            del known[next(iter(known))]
        known[operation] = TRIED_AGAIN
    elif clock is time.thread_time:
        _doubtful.pop(operation, None)
    return done


class _FetchedCursor:
    """What is left of a cursor once its rows are fetched."""

    description: object = None
    rowcount = -1
    lastrowid: int | None = None
    arraysize = 1

    def close(self) -> None:
        """Close nothing: the real cursor is closed already."""


class _Cursor(AsyncAdapt_aiosqlite_cursor):
    __slots__ = ()

    _awaitable_cursor_close = False

    def __init__(self, adapt_connection: AsyncAdapt_dbapi_connection) -> None:
        self._adapt_connection = adapt_connection
        self._connection = adapt_connection._connection
        self._cursor = _FetchedCursor()  # type: ignore[assignment]
        self._soft_closed_memoized = sa.util.EMPTY_DICT
        self._rows = deque()

    def execute(self, operation: str, parameters: Any = None) -> None:
        return self._run(operation, lambda cursor: cursor.execute(operation, parameters or ()), rows=1)

    def executemany(self, operation: str, seq_of_parameters: Any) -> None:
        rows = len(seq_of_parameters)
        return self._run(operation, lambda cursor: cursor.executemany(operation, seq_of_parameters), rows=rows)

    def _run(self, operation: str, work: Callable[[sqlite3.Cursor], object], *, rows: int) -> None:
        connection = self._adapt_connection
        # Without `first` it is a connection that is being set up, whose statements may wait for the disk.
        here = isinstance(connection, SqliteConnection) and connection.begin_here() and rows <= MANY
        here = here and not _is_slow(operation)
        all_of_it = self._all_of_it(work, here=here)
        try:
            if here:
                outcome, found = _timed(operation, all_of_it)
            else:
                outcome, found = await_(self._connection._execute(all_of_it))
        except Exception as error:
            connection._handle_exception(error)
        self._cursor = outcome  # type: ignore[assignment]
        self._rows.extend(found)

    def _all_of_it(
        self, work: Callable[[sqlite3.Cursor], object], *, here: bool
    ) -> Callable[[], tuple[_FetchedCursor, Sequence[object]]]:
        adapted = self._adapt_connection
        first = adapted.first if isinstance(adapted, SqliteConnection) else None

        def all_of_it() -> tuple[_FetchedCursor, Sequence[object]]:
            # On the loop: not beside its thread, which may be closing it. In that thread it is closed or it is not.
            real: sqlite3.Connection = (
                adapted.real if here and isinstance(adapted, SqliteConnection) else self._connection._conn
            )
            if first is not None and not real.in_transaction:
                real.execute(first)
            cursor = real.cursor()
            try:
                work(cursor)
                rows = cursor.fetchall() if cursor.description else ()
                outcome = _FetchedCursor()
                outcome.description, outcome.rowcount = cursor.description, cursor.rowcount
                outcome.lastrowid = cursor.lastrowid
                return outcome, rows
            finally:
                cursor.close()

        return all_of_it


class SqliteConnection(AsyncAdapt_aiosqlite_connection):
    __slots__ = ("commits", "first", "is_closing", "reads")

    _cursor_cls = _Cursor

    def __init__(self, dbapi: object, connection: AsyncIODBAPIConnection) -> None:
        super().__init__(dbapi, connection)
        self.first: str | None = None
        self.reads = self.is_closing = False
        self.commits = Commits()

    def begin_with(self, statement: str, *, reads: bool) -> None:
        """Begin every transaction with `statement`, sent along with its first one; `reads` says that it only reads."""
        # One that writes asks for its turn on the loop, and waits for it in the thread.
        cursor = self.cursor()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_MS if reads else 0}")
        cursor.close()
        self.first = statement
        self.reads = reads

    @property
    def real(self) -> sqlite3.Connection:
        """Return the connection of Python's own module. Raises ProgrammingError once it is closed or about to be.

        Its thread closes it, and a statement on the loop beside that would read memory that is freed.
        """
        real: sqlite3.Connection | None = self._connection._connection
        if real is None or self.is_closing:
            raise sqlite3.ProgrammingError("this connection is closed")
        return real

    def close(self) -> None:
        self.is_closing = True
        super().close()

    async def _terminate_graceful_close(self) -> None:
        self.is_closing = True
        await super()._terminate_graceful_close()

    def _terminate_force_close(self) -> None:
        # Called beside a close that is under way when its caller is cancelled. That close ends the thread by itself; if
        # this ended it first, the close would wait for an answer of the thread for ever, and so would the process.
        if not self.is_closing:
            self.is_closing = True
            super()._terminate_force_close()

    def begin_here(self) -> bool:
        """Begin the transaction, once it is our turn; say whether statements of this connection may run on the loop."""
        if self.first is None:
            return False
        if not self.reads and not self._has_begun(self.real):
            await_(self._wait())
        return True

    def _has_begun(self, real: sqlite3.Connection) -> bool:
        """Begin the transaction unless that is done. Returns False where another process is writing."""
        if real.in_transaction:
            return True
        try:
            real.execute(self._first)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            return False
        return True

    async def _wait(self) -> None:
        """Begin the transaction in the thread, once the other process has written."""
        real, first = self.real, self._first
        await self._connection._execute(lambda: _patiently(real, lambda _: real.execute(first)))

    @property
    def _first(self) -> str:
        assert self.first is not None
        return self.first

    def run_here(self, text: str, values: Sequence[object], *, several: bool) -> FetchedRows | None:
        """Run a statement on the loop, without SQLAlchemy around it; None where that would hold the loop up.

        With `several`, `values` are those of several rows. Returns what it found and how many rows it changed.
        Raises what SQLite raises.
        """
        real = self.real
        if (several and len(values) > MANY) or (text in _slow and _is_slow(text)):
            return None
        if not real.in_transaction and not self._has_begun(real):
            return None
        return _timed(text, _run, real, text, values, several)

    async def run_aside(self, text: str, values: Sequence[object], *, several: bool) -> FetchedRows:
        """Do the same in the thread."""
        if not self._has_begun(self.real):
            await self._wait()
        real = self.real
        found: FetchedRows = await self._connection._execute(lambda: _run(real, text, values, several))
        return found

    def commit_all(self, rows: int, *, is_flushing: bool) -> asyncio.Future[None] | None:
        """End the transaction, if there is one, that changed so many rows; `is_flushing` says that the log is flushed.

        Where it may wait the thread does it. Raises what SQLite raises, and so does the future.
        """
        real = self.real
        if not real.in_transaction:
            return None
        if self.commits.may_be_here(real, rows, is_flushing=is_flushing):
            self.commits.here(real)
            return None
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Not aiosqlite's own `commit`, whose future is cancelled with its caller: nobody would hear how it ended.
        self._connection._tx.put_nowait((done, self.commits.aside(real)))
        return done

    async def end(self) -> None:
        """Close the connection and end its thread, once nothing runs in that any more."""
        self.is_closing = True
        await self._connection.close()

    async def roll_back_all(self, *, is_full: bool = False) -> None:
        """Take back what is not committed, once nothing runs in the thread any more. Raises what SQLite raises.

        `is_full` says that it failed as the disk has no room, where the log may have grown beyond what is set aside.
        """
        self.commits.doubt()
        await self._connection.rollback()
        if is_full:
            # Once all of the log is in the database the next commit begins it anew, in room that it has already.
            real = self.real
            with suppress(sqlite3.Error):
                await self._connection._execute(lambda: real.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall())

    def rollback(self) -> None:
        # Nothing was written through a connection that reads, so nothing waits here.
        if self.reads and self._connection._connection and not self.is_closing:
            self.real.rollback()
        else:
            super().rollback()


def _run(real: sqlite3.Connection, text: str, values: Sequence[object], several: bool) -> FetchedRows:
    # The cursor is closed with its name, at the end of this call.
    cursor = real.executemany(text, values) if several else real.execute(text, values)  # type: ignore[arg-type]
    # In this order: SQLite knows how many rows were changed once those that are returned are fetched.
    return cursor.fetchall() if cursor.description else (), cursor.rowcount


PAGES = 1000
"""Pages of 4 KiB that are given back in one turn, within some milliseconds."""
SMALL = 64 << 20
"""Bytes up to which the file of an older database is written anew, once, so that it can shrink from then on."""


async def make_incremental(connection: SqliteConnection) -> None:
    """Make the file of a database able to shrink, where it was made before that and is small enough to copy."""

    def work(real: sqlite3.Connection) -> None:
        def value(pragma: str) -> int:
            return int(real.execute(f"PRAGMA {pragma}").fetchone()[0])

        if value("auto_vacuum") == 0 and value("page_count") * value("page_size") <= SMALL:
            real.execute("PRAGMA auto_vacuum=INCREMENTAL")
            real.execute("VACUUM")

    await _with_real(connection, work)


async def vacuum_some(connection: SqliteConnection) -> bool:
    """Give some pages that hold nothing back to the file system. Returns whether there are more."""

    def work(real: sqlite3.Connection) -> bool:
        real.execute(f"PRAGMA incremental_vacuum({PAGES})").fetchall()
        real.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        left = int(real.execute("PRAGMA freelist_count").fetchone()[0])
        return left > 0 and int(real.execute("PRAGMA auto_vacuum").fetchone()[0]) == 2

    return await _with_real(connection, work)


async def _with_real(connection: SqliteConnection, work: Callable[[sqlite3.Connection], T]) -> T:
    """Do something with SQLite's own connection, in its thread and outside of a transaction."""
    aside = connection._connection
    connection.commits.doubt()
    done: T = await aside._execute(lambda: _patiently(aside._conn, work))
    return done


def _patiently(real: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """Do something, in the connection's thread, that waits for other processes."""
    real.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    try:
        return work(real)
    finally:
        real.execute("PRAGMA busy_timeout=0")


class _Module(AsyncAdapt_aiosqlite_dbapi):
    def connect(self, *arg: object, **kw: object) -> SqliteConnection:
        connection = self.aiosqlite.connect(*arg, **kw)
        connection._thread.daemon = True
        try:
            return SqliteConnection(self, await_(connection))
        except sqlite3.Error:
            # aiosqlite tells its thread to end and does not wait: its last word may find the event loop closed.
            connection._thread.join()
            raise


class Dialect(SQLiteDialect_aiosqlite):
    """SQLAlchemy's dialect for `sqlite+onetrip:///PATH`."""

    driver = "onetrip"
    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> _Module:
        return _Module(__import__("aiosqlite"), sqlite3)
