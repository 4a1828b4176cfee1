"""Image files that no row of the database names: an operator sees them, makes images of them, or removes them.

A file is locked while somebody adopts or removes it, so that no row ever names one that is just being removed.
"""

import asyncio
import os
import stat
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import attrs

from novakit import durable, errors
from novakit.disk.pieces import PIECE
from novakit.disk_images import FORMATS, Inspection
from novakit.image import files
from novakit.image.records import NewImage, document
from novakit.image.service import Images
from novakit.store import images as table

LONGEST = 128
"""Characters that a row keeps of a file's name."""


@attrs.frozen(kw_only=True)
class UnknownFile:
    """A file in the directory of images that no row names."""

    name: str
    size: int
    written_at: datetime
    image_id: str
    """The id that its image had, as an upload put it into the name; made of the name where that says none."""


@attrs.frozen(kw_only=True)
class DamagedFile:
    """The file of an image that is gone, or not what was uploaded."""

    name: str
    image_id: str
    problem: str


@attrs.frozen(kw_only=True)
class ImageAdoption:
    """What an image is to be that is made of a file; what is None is found out."""

    project: str | None = None
    """Its id; needed unless the database has the image, waiting for its data."""
    name: str | None = None
    disk_format: str | None = None
    new_id: bool = False
    """Whether the image gets another id than it had: that one is taken, or was deleted."""


@attrs.frozen
class UnknownFiles:
    """The files in the directory of images that no row names."""

    images: Images

    async def damaged(self) -> list[DamagedFile]:
        """List the files of images whose data is not given out, by image."""
        found = await self.images.damaged()
        return [DamagedFile(name=name, image_id=id, problem=what) for id, (name, what) in sorted(found.items())]

    async def every(self) -> list[UnknownFile]:
        """List them by name."""
        paths = await self._paths()
        return await asyncio.to_thread(lambda: [each for path in paths.values() if (each := _described(path))])

    async def adopt(self, name: str, asked: ImageAdoption) -> dict[str, object]:
        """Make an image of a file after an inspection like that of an upload; return it as the image API shows it.

        Raises NotFound, UnsupportedMedia for what is not safe, and Conflict where its id is not free.
        """
        path = await self._path(name)
        if len(os.fsencode(path.name)) > LONGEST or files.shown(path.name) != path.name:
            raise errors.Conflict(f"The file {name} has no name that can be kept: rename it to one of {LONGEST} bytes.")
        handle = await _lock(path)
        try:
            await self._path(name)  # it may have been adopted or removed before it was locked
            return await self._adopt(path, handle, asked)
        finally:
            os.close(handle)

    async def remove(self, name: str) -> None:
        """Remove a file. Raises NotFound, and Conflict for a directory or one that somebody is adopting."""
        path = await self._path(name)
        if await asyncio.to_thread(lambda: path.is_dir() and not path.is_symlink()):
            raise errors.Conflict(f"{name} is a directory: move it out of {self.images.directory}.")
        if not await asyncio.to_thread(lambda: path.is_file() and not path.is_symlink()):
            await asyncio.to_thread(path.unlink, missing_ok=True)
            return
        handle = await _lock(path)
        try:
            await asyncio.to_thread(files.remove, await self._path(name))
        finally:
            os.close(handle)

    async def _adopt(self, path: Path, handle: int, asked: ImageAdoption) -> dict[str, object]:
        image_id = _image_id(path.name, new=asked.new_id)
        queued = await self._queued(image_id, asked)
        content = files.Content(Inspection(queued["disk_format"] if queued else asked.disk_format))
        while piece := await asyncio.to_thread(os.read, handle, PIECE):
            content.feed(piece)
        stored = await asyncio.to_thread(content.stored, path.name)
        declared = content.inspection.declared
        assert declared in FORMATS
        await asyncio.to_thread(os.fsync, handle)
        await asyncio.to_thread(durable.sync_directory, path.parent)
        async with self.images.store.write() as session:
            session.after_commit(self.images.forget)
            if queued is None:
                name = asked.name or image_id
                new = NewImage(id=image_id, name=name, disk_format=declared, container_format="bare")
                await self.images.add(session, new, asked.project or "")
            elif queued["disk_format"] is None:
                missing = {"disk_format": declared, "container_format": queued["container_format"] or "bare"}
                await table.update(session, image_id, missing)
            await self.images.activate(session, image_id, stored, declared)
            row = await table.locked(session, image_id)
        assert row is not None
        return document(row)

    async def _queued(self, image_id: str, asked: ImageAdoption) -> table.ImageRow | None:
        """Return the image that waits for this very data, if the database has it."""
        async with self.images.store.read() as session:
            row = await table.visible(session, image_id, None, True)
            gone = row is None and await table.was_deleted(session, image_id)
        if gone or (row is not None and row["status"] != "queued"):
            why = "was deleted" if gone else "exists and has other data"
            raise errors.Conflict(f"Its image {image_id} {why}: adopt the file under another id, or remove it.")
        if row is None and asked.project is None:
            raise errors.BadRequest("Name the project that is to have the image.")
        if row is not None and asked.project not in (None, row["owner"]):
            raise errors.Conflict(
                f"Its image {image_id} waits for this data in project {row['owner']}: name that one, or none."
            )
        return row

    async def _path(self, name: str) -> Path:
        found = (await self._paths()).get(name)
        if found is None:
            raise errors.NotFound(f"There is no image file {name} without an image; see `novakit image strangers`.")
        return found

    async def _paths(self) -> dict[str, Path]:
        directory = self.images.directory
        found = await files.strangers(directory, self.images.file_names)
        return {files.shown(name): directory / name for name in found}


async def _lock(path: Path) -> int:
    handle = await asyncio.to_thread(files.claimed, path)
    if handle is None:
        raise errors.Conflict(f"The file {path.name} cannot be opened, or is being adopted: try again in a moment.")
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise errors.Conflict(f"{path.name} is not a regular file, so no image can be made of it.")
    return handle


def _described(path: Path) -> UnknownFile | None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    written = datetime.fromtimestamp(status.st_mtime, UTC)
    shown = files.shown(path.name)
    return UnknownFile(name=shown, size=status.st_size, written_at=written, image_id=_image_id(shown, new=False))


def _image_id(name: str, *, new: bool) -> str:
    """Return the id of the image of a file; always the same one, so that two adoptions at once make one image."""
    if not new:
        with suppress(ValueError):
            return str(uuid.UUID(name.partition(".")[0]))
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))
