"""A log file that is put aside when it has grown, also where several processes write to it."""

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import attrs

from novakit import world
from novakit.concurrency import locks

LOOK_EVERY = 1.0
"""Seconds after which it is looked whether another process has put the file aside."""


@attrs.define(eq=False)
class StandardError:
    """Where lines go without a file; they are lost where nobody takes them."""

    stream: TextIO

    def write(self, text: str) -> int:
        """Append; what cannot be written is lost, and there is no other place to say so."""
        try:
            return self.stream.write(text)
        except (OSError, ValueError):
            return 0

    def flush(self) -> None:
        """Hand over what was written."""
        with suppress(OSError, ValueError):
            self.stream.flush()


@attrs.define(eq=False)
class LogFile:
    """The file, opened for its owner alone; one that cannot be written costs lines and never a request."""

    path: Path
    max_bytes: int
    keep: int
    _handle: int = attrs.field(init=False)
    _looked: float = 0.0
    _lost: int = attrs.field(default=0, init=False)
    """Lines that could not be written since the last one that could."""
    _torn: bool = attrs.field(default=False, init=False)
    """Whether the last line of the file was cut off: the next one begins after a line's end."""

    def __attrs_post_init__(self) -> None:
        self._handle = self._opened()

    def write(self, text: str) -> int:
        """Append, in one call of the system; what cannot be written is lost, which standard error is told once."""
        line = ("\n" if self._torn else "").encode() + text.encode(errors="backslashreplace")
        try:
            self._turn_over(len(line))
            written = os.write(self._handle, line)
        except OSError as error:
            self._note_lost(error.strerror or type(error).__name__)
            return 0
        self._torn = written < len(line)
        if self._torn:
            self._note_lost("there was room for a part of a line")
            return 0
        if self._lost:
            lost, self._lost = self._lost, 0
            _tell(f"the log {self.path} can be written again; {lost} lines were lost.")
        return len(text)

    def _note_lost(self, why: str) -> None:
        self._lost += 1
        if self._lost == 1:
            _tell(
                f"the log {self.path} cannot be written: {why}. The service goes on, and lines are lost until it can."
            )

    def flush(self) -> None:
        """Do nothing: each line is with the system already."""

    def _opened(self) -> int:
        # Not waiting: a pipe without a reader is refused, and one whose reader sleeps costs lines.
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        if stat.S_ISREG(os.fstat(handle).st_mode):  # the rights of a device are nobody's to change here
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
        there = os.fstat(self._handle)
        if not self._is_current():
            self._reopen()
        elif stat.S_ISREG(there.st_mode) and there.st_size + length > self.max_bytes:
            self._put_aside()  # never a device or a pipe, which nobody would find under another name

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


def _tell(sentence: str) -> None:
    """Say something about the log where it cannot be said in it."""
    with suppress(OSError, ValueError, AttributeError):  # standard error may be closed, or be no better off
        print(f"novakit: {sentence}", file=sys.stderr, flush=True)
