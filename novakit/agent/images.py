"""The images of a host: each fetched once, checked by digest and inspected before a driver may open it.

The idea: files go by the digest of their content, so concurrent boots share one download, and what is under a name
can be checked by anybody. A file here is root's, read by all and written by nobody; guests may take from it for
years.
The invariant: a driver gets no file whose digest was not right when it was last looked at; one that differs from what
was checked (inode, size, ctime) is hashed again. A file goes only when each driver on this host has said which files
its guests need, nobody is just building with it, and it is old or too many are there.
The cost: one hash for each fetch, and for each file that is used first after a start of the agent: 0.6 s of CPU for 1
GiB, in a thread. A boot from a file that is known costs a few system calls.
"""

import asyncio
import hashlib
import os
import stat
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import attrs
import structlog

from novakit import durable, errors, world
from novakit.bus import BusError
from novakit.calls.host import ImageSource
from novakit.disk import Disk
from novakit.disk_images import header, inspect_file
from novakit_hookspecs.errors import Busy, Refused
from novakit_hookspecs.servers import LocalImage

log = structlog.get_logger(__name__)

CHUNK = 1 << 20
"""Bytes that are read, hashed and written at once: large enough that the threads' switching costs nothing."""
Show = Callable[[str], Awaitable[str]]
"""Adds to a ticket what shows that it is this host's; asked only when an image is really fetched."""


@attrs.define
class ImageCache:
    """Image files by digest under one directory; concurrent boots of one image share one download."""

    directory: Path
    disk: Disk | None = None
    """Where the directory is, to fetch nothing before it is full."""
    unused: float = 86400.0
    """Seconds for which a file that nobody needs is kept after its last use."""
    limit: int = 0
    """Bytes beyond which files that nobody needs go; 0 is no limit."""
    users: list[Callable[[], Awaitable[Collection[str] | None]]] = attrs.field(factory=list)
    """Each says which files its guests need; None is: it cannot say."""
    _fetching: dict[tuple[str, str, str], asyncio.Task[LocalImage]] = attrs.field(factory=dict)
    """By digest, image and format: another image of the same bytes may be gone, or said to be something else."""
    _held: Counter[str] = attrs.field(factory=Counter)
    _let_go: set[str] = attrs.field(factory=set)
    """What was held when the drivers were asked: a guest that was built meanwhile is in no answer."""
    _checked: dict[str, tuple[int, ...]] = attrs.field(factory=dict)
    """What the files were when their digest was right."""

    def open(self) -> None:
        """Make the directory and drop what a killed download left."""
        durable.directory(self.directory)
        for left in self.directory.glob("*.part"):
            left.unlink()

    @asynccontextmanager
    async def held(self, source: ImageSource, show: Show) -> AsyncIterator[LocalImage]:
        """Hold the local file of an image: it stays at least until the block ends. Raises what `get` does."""
        self._held[source.sha256] += 1
        try:
            yield await self.get(source, show)
        finally:
            self._held[source.sha256] -= 1
            self._held += Counter()
            self._let_go.add(source.sha256)

    async def tidy(self) -> Sequence[str]:
        """Remove files that no guest needs and that are old, or too many; return the digests of those that went."""
        if not any(self.directory.iterdir()):
            return []
        needed: set[str] = set()
        self._let_go.clear()
        for user in self.users:
            if (told := await user()) is None:
                return []
            needed |= {Path(path).name for path in told}
        # From here to the end nothing is awaited, so nobody can begin to build with a file that goes.
        return self._tidy(needed)

    def _tidy(self, needed: set[str]) -> Sequence[str]:
        files = {path.name: path.lstat() for path in self.directory.iterdir() if path.suffix != ".part"}
        total, now, gone = sum(status.st_size for status in files.values()), world.now(), []
        busy = {digest for digest, _, _ in self._fetching}
        for name, status in sorted(files.items(), key=lambda each: each[1].st_mtime):
            if name in needed | self._let_go or name in self._held or name in busy:
                continue
            if now.timestamp() - status.st_mtime > self.unused or (self.limit and total > self.limit):
                (self.directory / name).unlink(missing_ok=True)
                self._checked.pop(name, None)
                total -= status.st_size
                gone.append(name)
                log.info("removed an image that no guest needs", sha256=name, size=status.st_size)
        return gone

    async def get(self, source: ImageSource, show: Show) -> LocalImage:
        """Return the local file of an image; `show` adds to its ticket that it is this host's.

        Raises Refused when the content is not what was promised, Busy when it could not be fetched now,
        InsufficientStorage when this host has no room for it: another one may.
        """
        about = (source.sha256, source.id, source.disk_format)
        task = self._fetching.get(about)
        if task is None:
            task = world.spawn(self._get(source, show), name=f"image/{source.id}")
            self._fetching[about] = task
            task.add_done_callback(lambda done: self._fetching.pop(about, None))
        return await asyncio.shield(task)

    async def _get(self, source: ImageSource, show: Show) -> LocalImage:
        path = self.directory / source.sha256
        if not await asyncio.to_thread(self._is_whole, path):
            await self._fetch(source, path, show)
        virtual_size = await asyncio.to_thread(_inspect, path, source.disk_format)
        await asyncio.to_thread(self._note_use, path)
        return LocalImage(id=source.id, path=str(path), disk_format=source.disk_format, virtual_size=virtual_size)

    def _is_whole(self, path: Path) -> bool:
        """Return whether the file is there and has the content that its name says."""
        try:
            status = path.lstat()
        except FileNotFoundError:
            return False
        if stat.S_ISREG(status.st_mode) and self._checked.get(path.name) == _identity(status):
            return True
        if stat.S_ISREG(status.st_mode):
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == path.name:
                    return True
        log.warning("a cached image does not match its digest and is fetched again", sha256=path.name)
        return False

    def _note_use(self, path: Path) -> None:
        path.chmod(0o444)
        os.utime(path)
        self._checked[path.name] = _identity(path.lstat())

    async def _fetch(self, source: ImageSource, path: Path, show: Show) -> None:
        part = path.with_name(f"{path.name}.{world.new_id()}.part")
        if self.disk is not None:
            self.disk.require_for_content(source.size)
        log.info("fetching image", image=source.id, size=source.size)
        try:
            digest = await self._download(source, part, await show(source.ticket))
            if digest != source.sha256:
                raise Refused("The image's content is not what the image service recorded; upload it again.")
            await asyncio.to_thread(part.chmod, 0o444)
            await asyncio.to_thread(durable.publish, part, path)
        except (BusError, aiohttp.ClientError, TimeoutError) as error:
            raise Busy(f"The image could not be fetched: {errors.in_words(error)}", 2.0) from error
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
                raise Refused(f"The image {source.id} does not exist any more.")
            if answer.status == 409:
                raise Refused(f"The image service no longer has the whole data of image {source.id}; upload it anew.")
            answer.raise_for_status()
            with part.open("wb") as file:
                async for chunk in answer.content.iter_chunked(CHUNK):
                    digest.update(chunk)
                    await asyncio.to_thread(file.write, chunk)
        return digest.hexdigest()


def _identity(status: os.stat_result) -> tuple[int, ...]:
    """Return what changes with any change of a file: its clock cannot be set by who writes."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns)


def _inspect(path: Path, promised: str) -> int:
    """Look at the file again, whoever wrote it: give the bytes a guest would see, or raise `Refused`."""
    with path.open("rb") as file:
        head = file.read(header.LENGTH)
    if method := header.encryption(head):
        raise Refused(
            f"The image is encrypted with {method}, and this host has no key; decrypt it and upload it again."
        )
    try:
        return inspect_file(path, promised)
    except errors.UnsupportedMedia as error:
        raise Refused(error.message) from error
