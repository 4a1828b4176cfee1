"""A small crash-safe memory: the last value of every key, kept in one append-only file.

Each change is one `write` to a file opened for appending, so it survives the death of the process at any instruction.
A torn last line is a change that never happened.
A power cut may take the last changes, as it takes real guests; the file that is written anew is flushed before it takes
the place of the old one, so that it never takes more.
The file is held open only for the moment of a change: ten thousand simulated hosts need no descriptors at rest.
"""

import json
import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from novakit_hookspecs.errors import Refused

_ROOM = 64
"""Lines that may be dead weight before the file is written anew."""


@attrs.define
class Journal:
    """A mapping from key to plain data that outlives the process."""

    path: str
    records: dict[str, Any] = attrs.field(factory=dict)
    _lines: int = 0

    @classmethod
    def open(cls, path: str) -> "Journal":
        """Read back what was remembered; a missing file is an empty memory.

        Raises Refused for what is no journal, and OSError for a file that cannot be read.
        """
        journal = cls(path)
        journal._load()
        return journal

    def put(self, key: str, value: object) -> None:
        """Remember `value`; it is on file when this returns."""
        self.change([(key, value)])

    def drop(self, key: str) -> None:
        """Forget `key`; the unknown is fine."""
        if key in self.records:
            self.change([(key, None)])

    def change(self, changes: Iterable[tuple[str, object]]) -> None:
        """Make several changes in order, in one write; None forgets."""
        changed = list(changes)
        if not changed:
            return
        self._append(b"".join(_line(key, value) for key, value in changed))
        self._lines += len(changed)
        _apply(self.records, changed)
        if self._lines > _ROOM + 4 * len(self.records):
            self._rewrite(self.records)

    def _load(self) -> None:
        try:
            content = _content(self.path)
        except FileNotFoundError:
            return
        whole, newline, torn = content.rpartition(b"\n")
        if torn:
            os.truncate(self.path, len(whole) + len(newline))
        for line in whole.splitlines():
            self._lines += 1
            _apply(self.records, [_change(line, f"{self.path}, line {self._lines}")])

    def _append(self, content: bytes) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if (written := os.write(descriptor, content)) != len(content):
                os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
                raise OSError(f"the file system took only {written} of {len(content)} bytes for {self.path}")
        finally:
            os.close(descriptor)

    def _rewrite(self, records: Mapping[str, object]) -> None:
        fresh = Path(f"{self.path}.new")
        with fresh.open("wb") as file:
            file.write(b"".join(_line(key, value) for key, value in records.items()))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        directory = os.open(fresh.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        self._lines = len(records)


def _content(path: str) -> bytes:
    """Return what a file holds, without waiting for a pipe or reading a device."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Refused(f"{path} is not a file; move it away.")
        return file.read()


def _change(line: bytes, place: str) -> tuple[str, object]:
    with suppress(ValueError, RecursionError):
        match json.loads(line):
            case [str(key), value]:
                return key, value
    raise Refused(
        f"{place} is not an entry of a journal: the file was overwritten. Restore it from a backup, or move it away,"
        " which forgets what the simulated host had."
    )


_ENCODER = json.JSONEncoder(separators=(",", ":"))
"""`json.dumps` makes one anew with each call that wants other separators."""


def _line(key: str, value: object) -> bytes:
    return _ENCODER.encode([key, value]).encode() + b"\n"


def _apply(records: dict[str, object], changes: Iterable[tuple[str, object]]) -> None:
    for key, value in changes:
        if value is None:
            records.pop(key, None)
        else:
            records[key] = value
