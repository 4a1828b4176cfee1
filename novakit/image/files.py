"""Image files: one name per upload, official once a row names it, removed only where it is known that nobody keeps it.

A file `NAME.draft` beside `NAME` is the same file and says: unless a row names it, it is not to be kept.
An upload has it from its first byte until its row is committed, a deletion from before its row goes until the file is
gone, so a kill at any moment leaves either a row that names the file or a draft of it.
A file without a row and without a draft is a stranger: its row may be in a database that was lost, or in one newer
than the backup in use.
It is told of and left alone, until an operator has it adopted or removed (`novakit.image.unknown`).
"""

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import attrs

from novakit import durable, world
from novakit.concurrency import locks
from novakit.disk_images import Inspection

DRAFT = ".draft"
LOST_AND_FOUND = "lost+found"
"""What every ext4 file system has in its root, which the directory of images may be."""


@attrs.frozen
class Stored:
    """What is known of a file that was written whole."""

    name: str
    size: int
    virtual_size: int
    md5: str
    sha256: str
    sha512: str


@attrs.define
class Content:
    """Counts, digests and inspects the bytes of one image as they pass."""

    inspection: Inspection
    size: int = 0
    _digests: tuple[Any, ...] = attrs.field(
        factory=lambda: (hashlib.md5(usedforsecurity=False), hashlib.sha256(), hashlib.sha512())
    )

    def feed(self, piece: bytes) -> None:
        """Look at the next bytes."""
        self.size += len(piece)
        for digest in self._digests:
            digest.update(piece)
        self.inspection.feed(piece)

    def stored(self, name: str) -> Stored:
        """Return what is known of the whole, under the name of its file. Raises UnsupportedMedia."""
        virtual_size = self.inspection.verdict()
        md5, sha256, sha512 = (digest.hexdigest() for digest in self._digests)
        return Stored(name, self.size, virtual_size, md5, sha256, sha512)


@attrs.define
class Upload:
    """A file under way; nobody else knows it, and a kill leaves it to the next start to remove."""

    path: Path
    content: Content
    _file: BinaryIO | None = None
    _is_named: bool = False

    @property
    def size(self) -> int:
        """Return the bytes that were written."""
        return self.content.size

    @classmethod
    async def begin(cls, directory: Path, image_id: str, inspection: Inspection) -> "Upload":
        """Open a fresh file below the directory."""
        draft = cls(directory / f"{image_id}.{world.new_id()}{DRAFT}", Content(inspection))
        await asyncio.to_thread(draft._open)
        return draft

    def _open(self) -> None:
        while self._file is None:
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640)
            file = os.fdopen(handle, "wb")
            locks.wait_for(file.fileno())
            if os.fstat(file.fileno()).st_nlink:  # else a collection came between the two calls
                self._file = file
            else:
                file.close()

    async def write(self, piece: bytes) -> None:
        """Add bytes."""
        await asyncio.to_thread(self._write, piece)

    def _write(self, piece: bytes) -> None:
        assert self._file is not None
        self._file.write(piece)
        self.content.feed(piece)

    async def finish(self) -> Stored:
        """Judge the content, make the file durable and give it its name; it stays a draft until it is closed.

        Raises UnsupportedMedia for what must not be used.
        """
        return await asyncio.to_thread(self._finish)

    @property
    def final(self) -> Path:
        """Return what the file is called once it is whole."""
        return self.path.with_name(self.path.name.removesuffix(DRAFT))

    def _finish(self) -> Stored:
        assert self._file is not None
        stored = self.content.stored(self.final.name)
        self._file.flush()
        os.fsync(self._file.fileno())
        self.final.hardlink_to(self.path)
        durable.sync_directory(self.path.parent)
        return stored

    def keep(self) -> None:
        """Note that a row names the file now."""
        self._is_named = True

    async def close(self) -> None:
        """Let go of the file, and remove it unless a row names it."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        if not self._is_named:
            self.final.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
        if self._file is not None:
            self._file.close()


def doom(path: Path) -> None:
    """Make a file a draft again, before the row that names it goes; one that is not there is fine."""
    with suppress(FileExistsError, FileNotFoundError):
        path.with_name(path.name + DRAFT).hardlink_to(path)


def spare(path: Path) -> None:
    """Take `doom` back: the row stays."""
    path.with_name(path.name + DRAFT).unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove a file that no row names any more, its draft last: killed in between, it is removed at the next start."""
    path.unlink(missing_ok=True)
    spare(path)


async def collect(directory: Path, known: Callable[[], Awaitable[Collection[str]]]) -> int:
    """Remove drafts that nobody is writing, and their files where no row names them. Returns how many files went.

    `known` gives the names that rows hold; it is asked again with each file locked, since an upload may just have
    ended.
    """
    removed = 0
    for draft in await asyncio.to_thread(lambda: sorted(directory.glob(f"*{DRAFT}"))):
        handle = await asyncio.to_thread(claimed, draft)
        if handle is None:
            continue
        try:
            path = draft.with_name(draft.name.removesuffix(DRAFT))
            if path.name in await known():
                await asyncio.to_thread(spare, path)
            else:
                await asyncio.to_thread(remove, path)
                removed += 1
        finally:
            os.close(handle)
    return removed


async def strangers(directory: Path, known: Callable[[], Awaitable[Collection[str]]]) -> list[str]:
    """Name the files that are neither drafts nor named by a row."""
    there = await asyncio.to_thread(
        lambda: {path.name for path in directory.iterdir()} if directory.is_dir() else set()
    )
    # Read after the directory: a file that was given its row meanwhile is none.
    names = await known()
    return sorted(
        name for name in there - set(names) - {LOST_AND_FOUND} if not name.endswith(DRAFT) and name + DRAFT not in there
    )


def damage(path: Path, size: int | None) -> str | None:
    """Return in words how the file of an image differs from what its row says, by one look at its size; else None."""
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        return "is gone"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None if size is None or found == size else f"has {found} bytes where {size} were uploaded"


def shown(name: str) -> str:
    """Return the name of a file as text that any answer can carry; bytes that are no UTF-8 stand escaped."""
    return os.fsencode(name).decode(errors="backslashreplace")


def claimed(path: Path) -> int | None:
    """Open and lock a file. Returns None where somebody is at work on it, or it cannot be opened."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # else opening a pipe would wait
    except OSError:
        return None
    if not locks.try_lock(handle):
        os.close(handle)
        return None
    return handle
