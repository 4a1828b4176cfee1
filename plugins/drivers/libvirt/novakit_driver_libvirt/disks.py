"""A guest's files on the host: one directory each, every file complete or absent."""

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import attrs

from novakit_driver_libvirt.commands import run
from novakit_driver_libvirt.domain_xml import Disk
from novakit_hookspecs.errors import Refused
from novakit_hookspecs.servers import GuestPlan

GIB, MIB = 1 << 30, 1 << 20
SEARCHABLE = 0o711
"""QEMU may run as a user of its own, who must get through to the disks and need not list them."""
CONSOLE, NVRAM = "console.log", "nvram.fd"
FORMATS = frozenset({"raw", "qcow2"})


@attrs.frozen
class Disks:
    """The instances directory."""

    root: Path

    def of(self, guest: str) -> Path:
        """Give the directory of a guest; ids are UUIDs, so it lies below the root."""
        return self.root / guest

    def prepare(self) -> None:
        """Make the instances directory."""
        self.root.mkdir(exist_ok=True)
        self.root.chmod(SEARCHABLE)

    async def build(self, plan: GuestPlan) -> Sequence[Disk]:
        """Make whatever disk of the plan is missing; what is there is whole and stays."""
        directory = self.of(plan.id)
        directory.mkdir(exist_ok=True)
        directory.chmod(SEARCHABLE)
        disks = [Disk(path=str(await self._root_disk(plan, directory)), format="qcow2")]
        if plan.ephemeral_gb:
            fill = ("mke2fs", "-q", "-F", "-t", "ext4", "-L", "ephemeral0")
            disks.append(await _filled(directory / "ephemeral.raw", plan.ephemeral_gb * GIB, fill))
        if plan.swap_mb:
            disks.append(await _filled(directory / "swap.raw", plan.swap_mb * MIB, ("mkswap", "-q", "-L", "swap")))
        if plan.config_drive is not None:
            drive = await _config_drive(directory, plan.config_drive)
            disks.append(Disk(path=str(drive), format="raw", cdrom=True))
        return disks

    async def flatten(self, guest: str, path: Path, *, within: float) -> None:
        """Write the root disk, with what it takes from its image, to `path`; `within` is in seconds."""
        root = self.of(guest) / "root.qcow2"
        ended = await run(("qemu-img", "convert", "-f", "qcow2", "-O", "qcow2", str(root), str(path)), within=within)
        if ended.status != 0:
            raise Refused(f"qemu-img could not copy the root disk of {guest}: {ended.said}")

    def remove(self, guest: str) -> None:
        """Remove all files of a guest; the unknown is fine."""
        try:
            shutil.rmtree(self.of(guest))
        except FileNotFoundError:
            return

    def guests(self) -> Sequence[str]:
        """List the guests that have a directory."""
        return sorted(entry.name for entry in self.root.iterdir()) if self.root.is_dir() else []

    def files(self, guest: str) -> Sequence[Path]:
        """List the files of one guest."""
        return sorted(path for path in self.of(guest).rglob("*") if path.is_file())

    def console(self, guest: str) -> Path:
        """Give the file that keeps what the guest prints."""
        return self.of(guest) / CONSOLE

    def nvram(self, guest: str) -> Path:
        """Give the file that keeps what UEFI remembers; libvirt makes it where it is missing."""
        return self.of(guest) / NVRAM

    async def _root_disk(self, plan: GuestPlan, directory: Path) -> Path:
        size = root_bytes(plan)
        if plan.image is None:
            return await _made(directory / "root.qcow2", ("qemu-img", "create", "-q", "-f", "qcow2"), str(size))
        image = plan.image
        if not _exists(image.path):
            raise Refused(f"the file of image {image.id} is not at {image.path}")
        based = ("qemu-img", "create", "-q", "-f", "qcow2", "-F", image.disk_format, "-b", image.path)
        return await _made(directory / "root.qcow2", based, str(size))


def root_bytes(plan: GuestPlan) -> int:
    """Give the root disk's size; refuse an image that does not fit the flavor or the driver."""
    image = plan.image
    if image is None:
        if not plan.root_gb:
            raise Refused("a guest without an image needs a root disk size in its flavor")
        return plan.root_gb * GIB
    if image.disk_format not in FORMATS:
        raise Refused(f"image {image.id} is {image.disk_format[:20]!r}; this driver boots raw and qcow2")
    if not image.path.startswith("/"):
        raise Refused(f"the path of image {image.id} is not absolute")
    if not plan.root_gb:
        return image.virtual_size
    if image.virtual_size > plan.root_gb * GIB:
        needed = -(-image.virtual_size // GIB)
        raise Refused(
            f"image {image.id} is {needed} GiB and the flavor's root disk is {plan.root_gb} GiB:"
            f" use a flavor with at least {needed} GiB"
        )
    return plan.root_gb * GIB


def unsearchable(path: Path, user: int) -> Path | None:
    """Give the first directory above `path` through which another user cannot get, or None."""
    if user == 0:
        return None
    for directory in reversed(path.resolve().parents):
        status = directory.stat()
        if not status.st_mode & (0o100 if status.st_uid == user else 0o001):
            return directory
    return None


async def _made(path: Path, argv: Sequence[str], *after: str) -> Path:
    """Let a command make a file under another name, so that it is never there in part."""
    if _exists(path):
        return path
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    ended = await run([*argv, str(fresh), *after])
    if ended.status != 0:
        fresh.unlink(missing_ok=True)
        raise Refused(f"{argv[0]} could not make {path.name}: {ended.said}")
    fresh.replace(path)
    return path


async def _filled(path: Path, size: int, fill: Sequence[str]) -> Disk:
    if not _exists(path):
        fresh = path.with_name(path.name + ".new")
        _blank(fresh, size)
        ended = await run([*fill, str(fresh)])
        if ended.status != 0:
            raise Refused(f"{fill[0]} could not format {path.name}: {ended.said}")
        fresh.replace(path)
    return Disk(path=str(path), format="raw")


async def _config_drive(directory: Path, files: Mapping[str, bytes]) -> Path:
    path = directory / "config.iso"
    if _exists(path):
        return path
    with tempfile.TemporaryDirectory(prefix="drive-", dir=directory) as scratch:
        _write(Path(scratch), files)
        argv = ("genisoimage", "-quiet", "-V", "config-2", "-r", "-J", "-l", "-ldots", "-allow-lowercase", "-o")
        return await _made(path, argv, scratch)


def _write(root: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        target = root / _relative(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _exists(path: Path | str) -> bool:
    return Path(path).is_file()


def _blank(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


def _relative(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\0" in name or os.fsencode(name) != name.encode():
        raise Refused(f"{name[:80]!r} is no relative path for a config drive")
    return path
