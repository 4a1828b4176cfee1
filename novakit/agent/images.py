"""The images of a host: each fetched once, checked by digest and inspected before a driver may open it."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import attrs
import structlog
from oslo_utils.imageutils import format_inspector

from novakit import disk_header, durable, world
from novakit.agent.calls import ImageSource
from novakit.bus import BusError
from novakit.disk import Disk
from novakit_hookspecs.errors import Busy, Refused
from novakit_hookspecs.servers import LocalImage

log = structlog.get_logger(__name__)

CHUNK = 1 << 20
Show = Callable[[str], Awaitable[str]]
"""Adds to a ticket what shows that it is this host's; asked only when an image is really fetched."""


@attrs.define
class ImageCache:
    """Image files by digest under one directory; concurrent boots of one image share one download."""

    directory: Path
    disk: Disk | None = None
    """Where the directory is, to fetch nothing before it is full."""
    _fetching: dict[str, asyncio.Task[LocalImage]] = attrs.field(factory=dict)

    def open(self) -> None:
        """Make the directory and drop what a killed download left."""
        durable.directory(self.directory)
        for left in self.directory.glob("*.part"):
            left.unlink()

    async def get(self, source: ImageSource, show: Show) -> LocalImage:
        """Give the local file of an image; `show` adds to its ticket that it is this host's.

        Raises `Refused` when the content is not what was promised, `Busy` when it could not be fetched now,
        InsufficientStorage when this host has no room for it: another one may.
        """
        digest = source.sha256
        task = self._fetching.get(digest)
        if task is None:
            task = world.spawn(self._get(source, show), name=f"image/{source.id}")
            self._fetching[digest] = task
            task.add_done_callback(lambda done: self._fetching.pop(digest, None))
        return attrs.evolve(await asyncio.shield(task), id=source.id)

    async def _get(self, source: ImageSource, show: Show) -> LocalImage:
        path = self.directory / source.sha256
        if not await asyncio.to_thread(path.exists):
            await self._fetch(source, path, show)
        virtual_size = await asyncio.to_thread(_inspect, path, source.disk_format)
        return LocalImage(id=source.id, path=str(path), disk_format=source.disk_format, virtual_size=virtual_size)

    async def _fetch(self, source: ImageSource, path: Path, show: Show) -> None:
        part = path.with_name(f"{path.name}.{world.new_id()}.part")
        if self.disk is not None:
            self.disk.require_for_content(source.size)
        log.info("fetching image", image=source.id, size=source.size)
        try:
            digest = await self._download(source, part, await show(source.ticket))
            if digest != source.sha256:
                raise Refused("The image's content is not what the image service recorded; upload it again.")
            await asyncio.to_thread(part.chmod, 0o644)
            await asyncio.to_thread(durable.publish, part, path)
        except (BusError, aiohttp.ClientError, TimeoutError) as error:
            raise Busy(f"The image could not be fetched: {error or type(error).__name__}", 2.0) from error
        finally:
            await asyncio.to_thread(part.unlink, missing_ok=True)

    async def _download(self, source: ImageSource, part: Path, ticket: str) -> str:
        digest = hashlib.sha256()
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.get(source.url, headers={"X-Auth-Token": ticket}) as answer,
        ):
            if answer.status in (403, 404):
                raise Refused(f"The image {source.id} is not there any more.")
            answer.raise_for_status()
            with part.open("wb") as file:
                async for chunk in answer.content.iter_chunked(CHUNK):
                    digest.update(chunk)
                    await asyncio.to_thread(file.write, chunk)
        return digest.hexdigest()


def _inspect(path: Path, promised: str) -> int:
    """Look at the file again, whoever wrote it: give the bytes a guest would see, or raise `Refused`."""
    with path.open("rb") as file:
        method = disk_header.encryption(file.read(disk_header.LENGTH))
    if method:
        raise Refused(
            f"The image is encrypted with {method}, and this host has no key; decrypt it and upload it again."
        )
    inspector = format_inspector.detect_file_format(str(path))
    found = "raw" if inspector is None or str(inspector) in ("raw", "gpt", "iso") else str(inspector)
    if found != promised:
        raise Refused(f"The image is {found}, not {promised} as the image service says.")
    if inspector is None or found == "raw":
        return path.stat().st_size
    try:
        inspector.safety_check()
    except format_inspector.SafetyCheckFailed as error:
        raise Refused(f"The image is not safe to boot: {error}") from error
    return int(inspector.virtual_size)
