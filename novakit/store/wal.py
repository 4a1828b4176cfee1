"""Makes what SQLite has committed survive a power cut: one flush of the disk for all transactions that wait for it.

SQLite could flush at each commit (`synchronous=FULL`), but it has one writer at a time: a disk that takes 5 ms then
allows 200 transactions a second, whoever asks.
So connections run with `synchronous=NORMAL`, which keeps the database sound but may lose the last commits, and who has
committed waits for a flush of the write-ahead log that began after the commit; the next transaction runs meanwhile.

The invariant: `flush` returns only after an fsync that began after it was called.
"""

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import structlog

from novakit import durable, errors
from novakit.gather import Gather

log = structlog.get_logger(__name__)


@attrs.define
class WriteAheadLog:
    """The `-wal` file beside a SQLite database."""

    database: Path
    fault: str = ""
    """Why nothing is promised any more: after a flush that failed, the kernel may forget what it could not write."""
    _gather: Gather[None, None] = attrs.field(init=False)
    _thread: ThreadPoolExecutor = attrs.field(init=False)
    _inode: int = 0

    def __attrs_post_init__(self) -> None:
        self._gather = Gather(self._flush, most=100_000)
        # A thread of its own: in the loop's pool a flush would wait behind images that are hashed.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="novakit-wal")

    async def flush(self) -> None:
        """Wait until all that was committed before this call is on the disk. Raises Unavailable when it is not."""
        self.require_sound()
        await self._gather(None)
        self.require_sound()

    def require_sound(self) -> None:
        """Raise Unavailable once a flush has failed."""
        if self.fault:
            raise errors.Unavailable(
                f"The disk of the database did not take what was written ({self.fault}), so nothing more is written."
                " Mend the disk and restart novakit."
            )

    async def _flush(self, waiting: Sequence[None]) -> Sequence[None]:
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._sync)
        except OSError as error:
            self.fault = error.strerror or str(error)
            log.critical("the database cannot be flushed to its disk", file=str(self.database), why=self.fault)
        return waiting

    def _sync(self) -> None:
        # Opened each time: SQLite removes the log when its last connection closes, and makes another one.
        try:
            descriptor = os.open(f"{self.database}-wal", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # closed properly: all of it is in the database, flushed by SQLite
            return
        try:
            os.fdatasync(descriptor)
            inode = os.fstat(descriptor).st_ino
        finally:
            os.close(descriptor)
        if inode != self._inode:
            durable.sync_directory(self.database.parent)
            self._inode = inode

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False)
