"""The disks of shelved guests on their way to the image service; every file is whole or has another name."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import aiohttp
import attrs
import structlog

from novakit import durable
from novakit.calls.host import ImageTarget
from novakit.concurrency.threads import to_its_end
from novakit.disk.pieces import pieces
from novakit.errors import in_words
from novakit_hookspecs.errors import Busy, Refused

log = structlog.get_logger(__name__)

_READY = ("qcow2", "raw")


@attrs.frozen
class SnapshotFiles:
    """Files named by server, operation and disk format under one directory of the host."""

    directory: Path

    async def make(self, server: str, operation: str, copy: Callable[[str], Awaitable[str]]) -> Path:
        """Return the file of an operation, with the disk format as suffix; `copy` writes it and returns the format."""
        for disk_format in _READY:
            path = self._path(server, operation, disk_format)
            if await asyncio.to_thread(path.exists):
                return path
        await self.discard(server)
        await asyncio.to_thread(durable.directory, self.directory, mode=0o700)
        part = self._path(server, operation, "part")
        disk_format = await copy(str(part))
        if disk_format not in _READY:
            raise Refused(f"The driver wrote a snapshot in the format {disk_format[:20]!r}; images are qcow2 or raw.")
        ready = self._path(server, operation, disk_format)
        await to_its_end(durable.publish, part, ready)
        return ready

    async def upload(self, path: Path, to: ImageTarget) -> None:
        """Send a file to the image service and remove it.

        Raises Busy when the service did not take it now, Refused when it will not.
        """
        log.info("uploading a snapshot", file=path.name)
        headers = {"X-Auth-Token": to.ticket, "Content-Type": "application/octet-stream"}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=120)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.put(to.url, data=pieces(path), headers=headers) as answer,
            ):
                # A conflict says that an earlier try did fill the image, and only its answer was lost.
                if 400 <= answer.status < 500 and answer.status != 409:
                    raise Refused(f"The image service refused the snapshot (HTTP {answer.status}).")
                if answer.status != 409:
                    answer.raise_for_status()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Busy(f"The snapshot could not be uploaded: {in_words(error)}", 2.0) from error
        await asyncio.to_thread(path.unlink, missing_ok=True)

    async def discard(self, server: str) -> None:
        """Remove every file of a server; the unknown is fine."""
        if self.directory.is_dir():
            for path in await asyncio.to_thread(lambda: list(self.directory.glob(f"{server}.*"))):
                await asyncio.to_thread(path.unlink, missing_ok=True)

    async def held(self) -> Sequence[tuple[str, Path]]:
        """List the files that are there, each with the id of its server."""
        if not self.directory.is_dir():
            return []
        found = await asyncio.to_thread(lambda: sorted(self.directory.iterdir()))
        return [(path.name.partition(".")[0], path) for path in found]

    def _path(self, server: str, operation: str, ending: str) -> Path:
        return self.directory / f"{server}.{operation}.{ending}"
