"""A log file that is put aside when it has grown, also where several processes write to it."""

import os
from pathlib import Path

import attrs

from novakit import world
from novakit.concurrency import locks

LOOK_EVERY = 1.0
"""Seconds after which it is looked whether another process has put the file aside."""


@attrs.define(eq=False)
class LogFile:
    """The file, opened for its owner alone; a full disk costs lines and never a request."""

    path: Path
    max_bytes: int
    keep: int
    _handle: int = attrs.field(init=False)
    _looked: float = 0.0

    def __attrs_post_init__(self) -> None:
        self._handle = self._opened()

    def write(self, text: str) -> int:
        """Append, in one call of the system; what cannot be written is lost."""
        line = text.encode(errors="backslashreplace")
        try:
            self._turn_over(len(line))
            os.write(self._handle, line)
        except OSError:
            return 0
        return len(text)

    def flush(self) -> None:
        """Do nothing: each line is with the system already."""

    def _opened(self) -> int:
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.fchmod(handle, 0o600)
        return handle

    def _reopen(self) -> None:
        fresh = self._opened()
        os.close(self._handle)
        self._handle = fresh

    def _turn_over(self, length: int) -> None:
        now = world.monotonic()
        if now - self._looked < LOOK_EVERY:
            return
        self._looked = now
        if not self._is_current():
            self._reopen()
        elif os.fstat(self._handle).st_size + length > self.max_bytes:
            self._put_aside()

    def _is_current(self) -> bool:
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return False
        here = os.fstat(self._handle)
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)

    def _put_aside(self) -> None:
        """Rename FILE to FILE.1, FILE.1 to FILE.2 and so on; of several processes the first to get here does it."""
        locks.wait_for(self._handle)
        if self._is_current():
            for number in range(self.keep, 1, -1):
                older = self._numbered(number - 1)
                if older.exists():
                    older.rename(self._numbered(number))
            if self.keep:
                self.path.rename(self._numbered(1))
            else:
                self.path.unlink()
        self._reopen()

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")
