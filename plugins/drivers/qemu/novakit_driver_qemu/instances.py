"""A guest's directory on the host: the plan first, every file complete or absent, the mark of completion last."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import attrs

from novakit_driver_qemu.commands import run
from novakit_driver_qemu.machine import CONSOLE, PIDFILE, Machine
from novakit_hookspecs.errors import NotFound, Refused
from novakit_hookspecs.fields import UUID_PATTERN
from novakit_hookspecs.servers import GuestPlan

GIB, MIB = 1 << 30, 1 << 20
PLAN, BUILT = "plan.json", "built"


@attrs.frozen
class Instances:
    """The directories of all guests."""

    root: Path

    def of(self, guest: str) -> Path:
        """Give the directory of a guest; raise `NotFound` for what cannot be one's id."""
        if not re.fullmatch(UUID_PATTERN, guest):
            raise NotFound(f"{guest[:80]!r} is no guest's id")
        return self.root / guest

    def built(self) -> Sequence[str]:
        """List the guests that have all their disks."""
        return [guest for guest in self.held() if self.is_built(guest)]

    def held(self) -> Sequence[str]:
        """List the guests that have a directory, half-built ones too."""
        names = sorted(entry.name for entry in self.root.iterdir())
        return [name for name in names if re.fullmatch(UUID_PATTERN, name)]

    def is_built(self, guest: str) -> bool:
        """Say whether the guest has all its disks."""
        return (self.of(guest) / BUILT).is_file()

    def machine(self, guest: str) -> Machine:
        """Read the machine of a built guest; raise `NotFound` when there is none."""
        if not self.is_built(guest):
            raise NotFound(f"there is no guest {guest} on this host")
        return Machine.load(json.loads((self.of(guest) / PLAN).read_text())["machine"])

    def devices(self) -> Mapping[str, Sequence[str]]:
        """List the PCI addresses of the host's devices by guest, half-built ones too."""
        plans = {guest: self.of(guest) / PLAN for guest in self.held()}
        machines = {guest: json.loads(plan.read_text())["machine"] for guest, plan in plans.items() if plan.is_file()}
        return {guest: Machine.load(machine).devices for guest, machine in machines.items()}

    def ended_badly(self, guest: str) -> bool:
        """Say whether the guest's QEMU, which runs no more, was killed: one that ends by itself takes its pidfile."""
        return (self.of(guest) / PIDFILE).exists()

    def forget_end(self, guest: str) -> None:
        """Take the pidfile of a QEMU that was killed on purpose."""
        (self.of(guest) / PIDFILE).unlink(missing_ok=True)

    def console(self, guest: str) -> Path:
        """Give the file that keeps what the guest prints."""
        return self.of(guest) / CONSOLE

    def remove(self, guest: str) -> None:
        """Remove all files of a guest, the mark first; the unknown is fine."""
        directory = self.of(guest)
        (directory / BUILT).unlink(missing_ok=True)
        if directory.is_dir():
            shutil.rmtree(directory)

    async def build(self, plan: GuestPlan, machine: Machine) -> None:
        """Make whatever of the guest is missing; what is there is whole and stays."""
        if self.is_built(plan.id):
            return
        size = root_bytes(plan)
        directory = self.of(plan.id)
        directory.mkdir(mode=0o700, exist_ok=True)
        people = {"name": plan.name, "hostname": plan.hostname, "owner": dict(plan.owner)}
        _write_whole(directory / PLAN, json.dumps({"machine": attrs.asdict(machine), "for people": people}))
        await _root_disk(plan, directory / "root.qcow2", size)
        if plan.ephemeral_gb:
            fill = ("mke2fs", "-q", "-F", "-t", "ext4", "-L", "ephemeral0")
            await _filled(directory / "ephemeral.raw", plan.ephemeral_gb * GIB, fill)
        if plan.swap_mb:
            await _filled(directory / "swap.raw", plan.swap_mb * MIB, ("mkswap", "-q", "-L", "swap"))
        if plan.config_drive is not None:
            await _config_drive(directory, plan.config_drive)
        _write_whole(directory / BUILT, "")


def root_bytes(plan: GuestPlan) -> int:
    """Give the root disk's size; refuse an image that does not fit the flavor or the driver."""
    image = plan.image
    if image is None:
        if not plan.root_gb:
            raise Refused("a guest without an image needs a root disk size in its flavor")
        return plan.root_gb * GIB
    if image.disk_format not in ("qcow2", "raw"):
        raise Refused(f"image {image.id} is {image.disk_format[:20]!r}; this driver boots raw and qcow2")
    if not image.path.startswith("/") or not Path(image.path).is_file():
        raise Refused(f"the file of image {image.id} is not at {image.path}")
    if not plan.root_gb:
        return image.virtual_size
    if image.virtual_size > plan.root_gb * GIB:
        needed = -(-image.virtual_size // GIB)
        have = f"image {image.id} is {needed} GiB and the flavor's root disk is {plan.root_gb} GiB"
        raise Refused(f"{have}: use a flavor with at least {needed} GiB")
    return plan.root_gb * GIB


async def _root_disk(plan: GuestPlan, path: Path, size: int) -> None:
    argv = ["qemu-img", "create", "-q", "-f", "qcow2"]
    if plan.image is not None:
        argv += ["-F", plan.image.disk_format, "-b", plan.image.path]
    await _made(path, argv, str(size))


async def _filled(path: Path, size: int, fill: Sequence[str]) -> None:
    if not _exists(path):
        with path.with_name(path.name + ".new").open("wb") as file:
            file.truncate(size)
        await _made(path, fill)


async def _config_drive(directory: Path, files: Mapping[str, bytes]) -> None:
    with tempfile.TemporaryDirectory(prefix="drive-", dir=directory) as scratch:
        for name, content in files.items():
            target = Path(scratch) / _relative(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        options = ("-quiet", "-V", "config-2", "-r", "-J", "-l", "-ldots", "-allow-lowercase", "-o")
        await _made(directory / "config.iso", ["genisoimage", *options], scratch)


async def _made(path: Path, argv: Sequence[str], *after: str) -> None:
    """Let a command make a file under another name, so that it is never there in part."""
    if _exists(path):
        return
    fresh = path.with_name(path.name + ".new")
    ended = await run([*argv, str(fresh), *after])
    if ended.status != 0:
        fresh.unlink(missing_ok=True)
        raise Refused(f"{argv[0]} could not make {path.name}: {ended.said}")
    fresh.replace(path)


def _exists(path: Path) -> bool:
    return path.is_file()


def _write_whole(path: Path, text: str) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    fresh.replace(path)


def _relative(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name or os.fsencode(name) != name.encode():
        raise Refused(f"{name[:80]!r} is no relative path for a config drive")
    return path
