"""Makes a guest's disks as files of its directory: every file is complete or absent, whatever is killed.

The programs that make them see the guest's directory and its image, and nothing else (`novakit_host.commands`).
Each is told the format of each file it opens, for a program that guesses believes what a guest wrote.
"""

import asyncio
import os
import struct
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath

from novakit_hookspecs.errors import Refused
from novakit_hookspecs.servers import GuestPlan, LocalImage
from novakit_host import durable
from novakit_host.commands import Limits, tool

GIB, MIB = 1 << 30, 1 << 20
FORMATS = frozenset({"raw", "qcow2"})
BASE = "root.base"
"""Names the image that the root disk takes from, beside it: what the disk says of itself might be a guest's."""
SPARE = 64 * MIB
"""What a file may be longer than its content: headers, tables, rounding."""


def root_bytes(plan: GuestPlan) -> int:
    """Return the root disk's size; refuse an image that does not fit the flavor or the driver."""
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


async def root(plan: GuestPlan, path: Path) -> Path:
    """Make the root disk, a qcow2 that takes from the plan's image what the guest has not written."""
    size = root_bytes(plan)
    argv = ["qemu-img", "create", "-q", "-f", "qcow2"]
    if plan.image is None:
        return await _made(path, argv, str(size))
    base = await asyncio.to_thread(_note_base, plan.image, path)
    argv += ["-F", plan.image.disk_format, "-b", str(base)]
    return await _made(path, argv, str(size), reads=[base])


async def flatten(disk: Path, to: Path, *, within: float) -> None:
    """Write the disk, with what it takes from its image, to the qcow2 file `to`; `within` is in seconds.

    Raises Refused when the disk takes from another file than it was made with.
    """
    base = _base(disk)
    argv = ("qemu-img", "convert", "-f", "qcow2", "-O", "qcow2", str(disk), str(to))
    limits = Limits(cpu_s=int(within), file=_virtual_size(disk) * 9 // 8 + SPARE)
    reads, writes = [disk.parent, *([base] if base else [])], [to.parent]
    ended = await tool(argv, reads=reads, writes=writes, limits=limits, within=within)
    if ended.status != 0:
        raise Refused(f"qemu-img could not copy the root disk of {disk.parent.name}: {ended.said}")


def noted_base(disk: Path) -> Path | None:
    """Return the image that the disk was made with, by the note beside it and whatever the disk says of itself."""
    noted = disk.with_name(BASE)
    return Path(noted.read_text()) if noted.exists() else None


async def images_in_use(instances: Path) -> Collection[str]:
    """Return the files of images that disks below the instances directory take from.

    Raises Refused when a disk cannot be read.
    """
    return await asyncio.to_thread(_images_in_use, instances)


async def ephemeral(path: Path, gib: int) -> Path:
    """Make an empty ext4 disk."""
    return await _filled(path, gib * GIB, ("mke2fs", "-q", "-F", "-t", "ext4", "-L", "ephemeral0"))


async def swap(path: Path, mib: int) -> Path:
    """Make a swap disk."""
    return await _filled(path, mib * MIB, ("mkswap", "-q", "-L", "swap"))


async def config_drive(path: Path, files: Mapping[str, bytes]) -> Path:
    """Make the ISO image with the files; refuse a name that leads out of it."""
    if _exists(path):
        return path
    with tempfile.TemporaryDirectory(prefix="drive-", dir=path.parent) as scratch:
        for name, content in files.items():
            target = Path(scratch) / _relative(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        argv = ("genisoimage", "-quiet", "-V", "config-2", "-r", "-J", "-l", "-ldots", "-allow-lowercase", "-o")
        return await _made(path, argv, scratch)


def _images_in_use(instances: Path) -> Collection[str]:
    noted = {path.parent: path.read_text() for path in instances.glob(f"*/{BASE}")}
    # Where there is a note, the header is not asked: an emulator that a guest has taken over writes what it likes.
    named = {_backing(path) for path in instances.glob("*/root.qcow2") if path.parent not in noted}
    return {*noted.values(), *(name for name in named if name)}


def _note_base(image: LocalImage, disk: Path) -> Path:
    base = Path(image.path)
    if not base.is_file():
        raise Refused(f"the file of image {image.id} is not on the host any more; try again")
    durable.write(disk.with_name(BASE), str(base))
    return base


async def _made(path: Path, argv: Sequence[str], *after: str, reads: Sequence[Path] = ()) -> Path:
    """Let a program make a file under another name, so that it is never there in part."""
    if _exists(path):
        return path
    fresh = _fresh(path)
    fresh.unlink(missing_ok=True)
    return await _run([*argv, str(fresh), *after], fresh, path, reads, Limits())


async def _filled(path: Path, size: int, argv: Sequence[str]) -> Path:
    if _exists(path):
        return path
    fresh = _fresh(path)
    fresh.unlink(missing_ok=True)
    with fresh.open("xb") as file:
        file.truncate(size)
    return await _run([*argv, str(fresh)], fresh, path, (), Limits(file=size + SPARE))


async def _run(argv: Sequence[str], fresh: Path, path: Path, reads: Sequence[Path], limits: Limits) -> Path:
    ended = await tool(argv, reads=reads, writes=[path.parent], limits=limits)
    if ended.status != 0:
        await asyncio.to_thread(fresh.unlink, missing_ok=True)
        raise Refused(f"{argv[0]} could not make {path.name}: {ended.said or f'it ended with {ended.status}'}")
    # The directory lets other users through where QEMU runs as one of them.
    await asyncio.to_thread(fresh.chmod, 0o600)
    await asyncio.to_thread(durable.publish, fresh, path)
    return path


def _fresh(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def _exists(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _base(disk: Path) -> Path | None:
    """Return the image the disk takes from, when its header and what was noted at its making agree."""
    noted = disk.with_name(BASE)
    named = _backing(disk)
    if named is None:
        return None
    if noted.exists() and noted.read_text() != named:
        raise Refused(f"{disk} refers to {named[:200]!r} as its base, and was made with {noted.read_text()!r}")
    return Path(named)


def _backing(disk: Path) -> str | None:
    try:
        with disk.open("rb") as file:
            magic, _, offset, length = struct.unpack(">4sIQI", file.read(20))
            if magic != b"QFI\xfb" or not offset:
                return None
            file.seek(offset)
            return os.fsdecode(file.read(min(length, 1023)))
    except (OSError, struct.error) as error:
        raise Refused(
            f"the root disk of {disk.parent.name} cannot be read: {getattr(error, 'strerror', '') or error}"
        ) from error


def _virtual_size(disk: Path) -> int:
    with disk.open("rb") as file:
        file.seek(24)
        return int.from_bytes(file.read(8), "big")


def _relative(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name or os.fsencode(name) != name.encode():
        raise Refused(f"{name[:80]!r} is not a relative path, as files of a config drive have")
    return path
