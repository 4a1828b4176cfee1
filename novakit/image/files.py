"""Image files: one name per upload, locked while it is written, official once a row names it."""

import asyncio
import fcntl
import hashlib
import os
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any, BinaryIO

import attrs

from novakit import durable, world
from novakit.image.inspection import Inspection


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
class Draft:
    """A file under way; nobody else knows it, and a kill leaves it to the next start to remove."""

    path: Path
    inspection: Inspection
    size: int = 0
    _file: BinaryIO | None = None
    _digests: tuple[Any, ...] = attrs.field(
        factory=lambda: (hashlib.md5(usedforsecurity=False), hashlib.sha256(), hashlib.sha512())
    )

    @classmethod
    async def begin(cls, directory: Path, image_id: str, inspection: Inspection) -> "Draft":
        """Open a fresh file below the directory."""
        draft = cls(directory / f"{image_id}.{world.new_id()}", inspection)
        await asyncio.to_thread(draft._open)
        return draft

    def _open(self) -> None:
        while self._file is None:
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640)
            file = os.fdopen(handle, "wb")
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:  # else a collection came between the two calls
                self._file = file
            else:
                file.close()

    async def write(self, piece: bytes) -> None:
        """Add bytes."""
        self.size += len(piece)
        await asyncio.to_thread(self._write, piece)

    def _write(self, piece: bytes) -> None:
        assert self._file is not None
        self._file.write(piece)
        for digest in self._digests:
            digest.update(piece)
        self.inspection.feed(piece)

    async def finish(self) -> Stored:
        """Judge the content and make the file durable; raise `UnsupportedMedia` for what must not be used."""
        return await asyncio.to_thread(self._finish)

    def _finish(self) -> Stored:
        assert self._file is not None
        virtual_size = self.inspection.verdict()
        self._file.flush()
        os.fsync(self._file.fileno())
        durable.sync_directory(self.path.parent)
        md5, sha256, sha512 = (digest.hexdigest() for digest in self._digests)
        return Stored(self.path.name, self.size, virtual_size, md5, sha256, sha512)

    async def close(self, *, keep: bool) -> None:
        """Let go of the file, and remove it unless a row names it now."""
        await asyncio.to_thread(self._close, keep)

    def _close(self, keep: bool) -> None:
        if not keep:
            self.path.unlink(missing_ok=True)
        if self._file is not None:
            self._file.close()


async def collect(directory: Path, known: Callable[[], Awaitable[Collection[str]]]) -> int:
    """Remove the files that no row names and nobody is writing; say how many.

    `known` gives the names that rows hold; it is asked again with each file locked, since an upload may just have
    ended.
    """
    removed = 0
    names = await known()
    for path in [one for one in await asyncio.to_thread(lambda: list(directory.iterdir())) if one.name not in names]:
        handle = await asyncio.to_thread(_claimed, path)
        if handle is None:
            continue
        try:
            if path.name not in await known():
                path.unlink(missing_ok=True)
                removed += 1
        finally:
            os.close(handle)
    return removed


def _claimed(path: Path) -> int | None:
    """Lock a file that nobody is writing."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle
