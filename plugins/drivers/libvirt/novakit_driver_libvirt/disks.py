"""A guest's files on the host: one directory each, every file complete or absent."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from novakit_driver_libvirt.domain_xml import DomainDisk
from novakit_hookspecs.pci import addresses
from novakit_hookspecs.servers import GuestPlan
from novakit_host import disks as making
from novakit_host import durable
from novakit_host.pci import held

SEARCHABLE = 0o711
"""QEMU may run as a user of its own, who must get through to the disks and need not list them."""
CONSOLE, NVRAM = "console.log", "nvram.fd"


@attrs.frozen
class Disks:
    """The instances directory."""

    root: Path

    def of(self, guest: str) -> Path:
        """Return the directory of a guest; ids are UUIDs, so it lies below the root."""
        return self.root / guest

    def prepare(self) -> None:
        """Make the instances directory."""
        durable.directory(self.root)
        self.root.chmod(SEARCHABLE)

    async def build(self, plan: GuestPlan) -> Sequence[DomainDisk]:
        """Make whatever disk of the plan is missing; what is there is whole and stays."""
        making.root_bytes(plan)  # refuse before anything is made
        directory = self.of(plan.id)
        durable.directory(directory)
        directory.chmod(SEARCHABLE)
        self.note_devices(plan.id, addresses(plan.attachments))
        root = await making.root(plan, directory / "root.qcow2")
        disks = [DomainDisk(path=str(root), format="qcow2", base=plan.image)]
        if plan.ephemeral_gb:
            made = await making.ephemeral(directory / "ephemeral.raw", plan.ephemeral_gb)
            disks.append(DomainDisk(path=str(made), format="raw"))
        if plan.swap_mb:
            made = await making.swap(directory / "swap.raw", plan.swap_mb)
            disks.append(DomainDisk(path=str(made), format="raw"))
        if plan.config_drive is not None:
            made = await making.config_drive(directory / "config.iso", plan.config_drive)
            disks.append(DomainDisk(path=str(made), format="raw", cdrom=True))
        return disks

    def note_devices(self, guest: str, devices: Sequence[str]) -> None:
        """Write down which devices of the host a guest has. Raises OSError."""
        held.note(self.of(guest), devices)

    def devices(self) -> Mapping[str, Sequence[str]]:
        """Return which devices are noted, by guest; those that have none are left out."""
        noted = {guest: held.noted(self.of(guest)) for guest in self.guests()}
        return {guest: devices for guest, devices in noted.items() if devices}

    async def flatten(self, guest: str, path: Path, *, within: float) -> None:
        """Write the root disk, with what it takes from its image, to `path`; `within` is in seconds."""
        await making.flatten(self.of(guest) / "root.qcow2", path, within=within)

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
        """Return the file that keeps what the guest prints."""
        return self.of(guest) / CONSOLE

    def nvram(self, guest: str) -> Path:
        """Return the file that keeps what UEFI remembers; libvirt makes it where it is missing."""
        return self.of(guest) / NVRAM


def unsearchable(path: Path, user: int) -> Path | None:
    """Return the first directory above `path` through which another user cannot get, or None."""
    if user == 0:
        return None
    for directory in reversed(path.resolve().parents):
        status = directory.stat()
        if not status.st_mode & (0o100 if status.st_uid == user else 0o001):
            return directory
    return None
