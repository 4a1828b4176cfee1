"""A guest's directory on the host: the plan first, every file complete or absent, the mark of completion last."""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from novakit_driver_qemu.machine import CONSOLE, PIDFILE, Machine
from novakit_hookspecs.errors import NotFound
from novakit_hookspecs.fields import UUID_PATTERN
from novakit_hookspecs.servers import GuestPlan
from novakit_host import disks, durable

PLAN, BUILT, MEMORY = "plan.json", "built", "memory"


@attrs.frozen
class Instances:
    """The directories of all guests."""

    root: Path

    def of(self, guest: str) -> Path:
        """Return the directory of a guest. Raises NotFound for what cannot be one's id."""
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
        """Return whether the guest has all its disks."""
        return (self.of(guest) / BUILT).is_file()

    def machine(self, guest: str) -> Machine:
        """Read the machine of a built guest. Raises NotFound when there is none."""
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

    def memory(self, guest: str) -> Path:
        """Return the file that holds the memory of a suspended guest, whole where it is there."""
        return self.of(guest) / MEMORY

    def console(self, guest: str) -> Path:
        """Return the file that keeps what the guest prints."""
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
        disks.root_bytes(plan)  # refuse before anything is made
        directory = self.of(plan.id)
        durable.directory(directory, 0o700)
        people = {"name": plan.name, "hostname": plan.hostname, "owner": dict(plan.owner)}
        durable.write(directory / PLAN, json.dumps({"machine": attrs.asdict(machine), "for people": people}))
        await disks.root(plan, directory / "root.qcow2")
        if plan.ephemeral_gb:
            await disks.ephemeral(directory / "ephemeral.raw", plan.ephemeral_gb)
        if plan.swap_mb:
            await disks.swap(directory / "swap.raw", plan.swap_mb)
        if plan.config_drive is not None:
            await disks.config_drive(directory / "config.iso", plan.config_drive)
        durable.write(directory / BUILT, "")
