"""The last value of every key, in one file that is only appended to, and of which damage costs only what it hit.

The idea: a value is one line, `CRC LENGTH KEY VALUE`, and the CRC is that of all behind it; the last line of a key
counts. It is there once it is whole, so what a killed or refused append leaves at the end is cut off and was never
promised: a part without a newline, or lines with a block of zeros and no whole line behind them, as a power cut leaves
them. A key is forgotten by one byte, `-` for the first space of its line: that needs no room, for on a full disk
things must still go. A line that is not what its CRC says is passed over, up to its newline, and all others count.
The invariant: when a change returns its values are on the disk; one that failed is not read again. A damaged line of
which the key can be read, also the last one, takes the older lines of that key along, which may say what is no longer
so. A damaged file is kept aside before another one takes its place. What is forgotten may be there again after a power
cut, as a file that was removed may.
The cost: one flush for all values that are changed together, 0.1 ms of CPU; once the lines that no longer count
outweigh the others the file is written anew, which costs 1 ms. Keys and the places of their lines are in memory, values
are not, and the file is open only while it is used.
"""

import errno
import os
import re
import threading
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

import attrs
import structlog

from novakit import durable
from novakit.errors import in_words

log = structlog.get_logger(__name__)

ROOM = 64 << 10
"""Bytes of lines that no longer count for which the file is not written anew."""
MOST = 1 << 30
"""Bytes of a file that is read at all: ten thousand guests with the longest user data."""
ASIDE = ".damaged"
"""What the name of a file that is kept aside ends with."""
_SECTOR = 4096
"""Bytes that are read at once of a disk that does not give back all of a file."""
NO_FILE = (errno.EINVAL, errno.EFBIG)
"""The errors that say of what stands in the file's place that no change wrote it."""
_LOST = b"\xff"
"""What is read for a byte that the disk does not give back; a zero could be of an append that was cut off."""
_BLOCK = 512
"""Bytes of the smallest block that a file system writes or leaves out."""
_COUNTS, _FORGOTTEN = b" ", b"-"
_MARK = 8
"""Which byte of a line says whether it counts."""
_HEAD = re.compile(rb"([0-9a-f]{8})([ -])([0-9]{1,10}) ([!-~]{1,100}) ")
_DAMAGED_HEAD = re.compile(rb".{9}.{1,10} ([!-~]{1,100}) ", re.DOTALL)


@attrs.frozen
class Damage:
    """A part of a file that is nothing a change wrote."""

    start: int
    size: int
    key: str | None = None
    """Whose value it seems to have been."""

    def __str__(self) -> str:
        whose = f", of {self.key}" if self.key else ""
        return f"{self.size} bytes from byte {self.start} on{whose}"


@attrs.define
class Contents:
    """What a file says."""

    places: dict[str, tuple[int, int]] = attrs.field(factory=dict)
    """Where the line is that counts for a key: its first byte, and its length."""
    end: int = 0
    """Bytes up to the last whole line; what comes behind is of an append that was cut off."""
    damage: list[Damage] = attrs.field(factory=list)

    def lose(self, damage: Iterable[Damage]) -> None:
        """Give up lines that are damaged, and the older ones of their keys."""
        for each in damage:
            self.places.pop(str(each.key), None)
            self.damage.append(each)
            self.end = each.start + each.size

    def lines(self, content: bytes) -> dict[str, bytes]:
        """Take from a file the lines that count."""
        return {key: content[start : start + size] for key, (start, size) in self.places.items()}


@attrs.define
class DurableJournal:
    """The changes in one file."""

    path: Path
    _there: Contents = attrs.field(factory=Contents)
    _counting: int = 0
    """Bytes of the lines that count."""
    _inode: int = 0
    """Of the file that was read or written last; 0 where there is none."""
    _is_sound: bool = False
    """Whether an append is enough: there is a file, all of it could be read, and no flush of it failed."""
    _turn: threading.Lock = attrs.field(factory=threading.Lock)

    def open(self) -> Mapping[str, bytes]:
        """Read the file, and return what counts; what is damaged is named in the log.

        What is no file, or too large for one of these, says nothing. Raises OSError where a file cannot be read now.
        """
        with self._turn:
            try:
                content = _content(self.path)
                self._inode = _inode(self.path)
            except FileNotFoundError:
                return {}
            except OSError as error:
                # Of any other error the next start may be free, and what the file says is not to be given up for it.
                if error.errno not in NO_FILE:
                    # Python names the descriptor, or nothing, where the file could be opened and not read.
                    raise OSError(error.errno, error.strerror, str(self.path)) from error
                log.warning("a file cannot be read; it is kept aside", file=str(self.path), why=in_words(error))
                return {}
            self._take(there := scan(content))
            self._is_sound = not there.damage
            if there.damage:
                try:
                    self._write_anew({})
                except OSError as error:
                    log.warning("a damaged file could not be written anew", file=str(self.path), why=in_words(error))
            return {key: _value(text) for key, text in there.lines(content).items()}

    def change(self, changes: Mapping[str, bytes | None]) -> None:
        """Give keys these values, or forget those that have None; the unknown is fine. Raises OSError.

        Where values cannot be written nothing is changed.
        """
        with self._turn:
            new = {key: line(key, value) for key, value in changes.items() if value is not None}
            if new and self._is_sound:
                self._append(new)
            elif new:
                self._write_anew(new)
            self._forget([key for key, value in changes.items() if value is None and key in self._there.places])
            if self._is_sound and self._there.end > ROOM + 2 * self._counting:
                self._shrink()

    def __contains__(self, key: str) -> bool:
        return key in self._there.places

    def values(self, keys: Iterable[str]) -> Mapping[str, bytes]:
        """Read the values of keys; those that have none, or a damaged one, are left out. Raises OSError."""
        with self._turn:
            places = {key: place for key in keys if (place := self._there.places.get(key))}
            if not places:
                return {}
            descriptor, _ = self._opened(os.O_RDONLY)
            try:
                lines = {key: _part(descriptor, start, size) for key, (start, size) in places.items()}
            finally:
                os.close(descriptor)
        damaged = [key for key, text in lines.items() if key not in scan(text).places]
        if damaged:
            log.warning("a file is damaged", file=str(self.path), what=damaged)
        return {key: _value(text) for key, text in lines.items() if key not in damaged}

    def _append(self, lines: Mapping[str, bytes]) -> None:
        start = self._there.end
        descriptor, size = self._opened(os.O_WRONLY)
        try:
            if size > start:
                os.ftruncate(descriptor, start)
            try:
                _write(descriptor, b"".join(lines.values()), start)
            except OSError:
                with suppress(OSError):  # then it is cut off before the next append
                    os.ftruncate(descriptor, start)
                raise
            try:
                os.fdatasync(descriptor)
            except OSError:
                # The kernel may forget what it could not write, and report success the next time.
                self._is_sound = False
                raise
        finally:
            os.close(descriptor)
        for key, text in lines.items():
            self._counting += len(text) - self._there.places.pop(key, (0, 0))[1]
            self._there.places[key] = (self._there.end, len(text))
            self._there.end += len(text)

    def _forget(self, keys: Sequence[str]) -> None:
        if not keys:
            return
        descriptor, _ = self._opened(os.O_WRONLY)
        try:
            for key in keys:
                os.pwrite(descriptor, _FORGOTTEN, self._there.places[key][0] + _MARK)
                self._counting -= self._there.places.pop(key)[1]
        finally:
            os.close(descriptor)

    def _shrink(self) -> None:
        try:
            self._write_anew({})
        except OSError as error:
            # Nothing is lost: where there is no room for a second file the first one grows on.
            log.info("a file could not be written anew", file=str(self.path), why=in_words(error))

    def _write_anew(self, new: Mapping[str, bytes]) -> None:
        """Have the file hold what counts and nothing else; the old one or the new one is there, whatever happens."""
        # Without what failed, which may be there all the same behind the end.
        content = self._whole()[: self._there.end] if self._inode else b""
        there = scan(content)
        if there.damage or not self._inode:
            self._keep_aside(there.damage)
        kept, before = b"".join(there.lines(content).values()), _inode(self.path)
        written = kept + b"".join(new.values())
        try:
            durable.write(self.path, written)
        except OSError:
            # It may have its name already, and only that is not flushed: the old places are none in it. What was
            # refused is behind the end, as after an append that failed; the next change writes a file anew again.
            if (now := _inode(self.path)) != before:
                self._take(scan(kept))
                self._inode, self._is_sound = now, False
            raise
        self._take(scan(written))
        self._inode, self._is_sound = _inode(self.path), True

    def _take(self, there: Contents) -> None:
        self._there = there
        self._counting = sum(size for _, size in there.places.values())

    def _keep_aside(self, damage: Sequence[Damage]) -> None:
        """Give the file, if there is one, a second name; the first one is about to be another's."""
        aside = self.path.with_name(self.path.name + ASIDE)
        if self.path.exists():
            log.warning("a damaged file is kept aside", file=str(aside), damage=[str(each) for each in damage])
            aside.unlink(missing_ok=True)
            aside.hardlink_to(self.path)

    def _whole(self) -> bytes:
        """Read all of the file. Raises OSError, also for another one than that which was read or written last."""
        os.close(self._opened(os.O_RDONLY)[0])
        return _content(self.path)

    def _opened(self, flags: int) -> tuple[int, int]:
        """Open the file. Returns its descriptor and its length.

        Raises OSError, also for another one than that which was read or written last.
        """
        descriptor = os.open(self.path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
        status = os.fstat(descriptor)
        if status.st_ino != self._inode or status.st_size < self._there.end:
            os.close(descriptor)
            raise OSError(errno.ESTALE, "It was replaced or cut off in use; start the agent again", str(self.path))
        return descriptor, status.st_size


def line(key: str, value: bytes) -> bytes:
    """Write down a value. Raises ValueError for what is no line."""
    if b"\n" in value or not re.fullmatch("[!-~]{1,100}", key):
        raise ValueError(f"{key[:100]!r} and its value are no line")
    checked = b"%d %s %s" % (len(value), key.encode(), value)
    return b"%08x%s%s\n" % (zlib.crc32(checked), _COUNTS, checked)


def scan(content: bytes) -> Contents:
    """Read what the bytes of a file say."""
    there, at = Contents(), 0
    last: list[Damage] = []  # behind which no whole line was found yet
    while at < len(content):
        if (found := _line(content, at)) is not None:
            there.lose(last)
            last.clear()
            there.places.pop(found.key, None)
            if found.counts:
                there.places[found.key] = (at, found.end - at)
            at = there.end = found.end
        elif end := content.find(b"\n", at) + 1:
            head = _DAMAGED_HEAD.match(content, at, end)
            last.append(Damage(at, end - at, head[1].decode() if head else None))
            at = end
        else:
            break
    there.lose(takewhile(lambda each: not _has_hole(content, each), last))
    return there


def examine(path: Path) -> Sequence[Damage]:
    """Return which parts of a file are damaged; it may be in use. Raises OSError."""
    return scan(_content(path)).damage


def _has_hole(content: bytes, damage: Damage) -> bool:
    """Return whether blocks of a damaged part were never written, and are zeros therefore."""
    first, end = -(-damage.start // _BLOCK) * _BLOCK, damage.start + damage.size
    begins = content[damage.start : min(first, end)]
    holes = (content.startswith(bytes(_BLOCK), at) for at in range(first, end - _BLOCK + 1, _BLOCK))
    return (begins != b"" and not begins.strip(b"\0")) or any(holes)


@attrs.frozen
class _JournalLine:
    key: str
    counts: bool
    end: int


def _line(content: bytes, at: int) -> _JournalLine | None:
    """Read the line that begins here; None where there is none, or one that is damaged or cut off."""
    if (head := _HEAD.match(content, at)) is None:
        return None
    end = head.end() + int(head[3])
    # Its newline has to be there, and need not be one: what follows is found by the length.
    if end >= len(content) or zlib.crc32(memoryview(content)[head.start(3) : end]) != int(head[1], 16):
        return None
    return _JournalLine(head[4].decode(), head[2] == _COUNTS, end + 1)


def _value(text: bytes) -> bytes:
    return text.split(b" ", 3)[3][:-1]


def _content(path: Path) -> bytes:
    """Read a file; what the disk does not give back are bytes that no line has. Raises OSError."""
    try:
        return durable.read(path, MOST)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        return b"".join(_part(file.fileno(), start, min(_SECTOR, size - start)) for start in range(0, size, _SECTOR))


def _part(descriptor: int, start: int, size: int) -> bytes:
    try:
        return os.pread(descriptor, size, start)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return _LOST * size


def _inode(path: Path) -> int:
    return path.stat().st_ino if path.exists() else 0


def _write(descriptor: int, content: bytes, start: int) -> None:
    while content:
        written = os.pwrite(descriptor, content, start)
        content, start = content[written:], start + written
