"""A guest's directory on the host: the plan first, every file complete or absent, the mark of completion last."""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from novakit_driver_qemu import processes
from novakit_driver_qemu.machine import CONSOLE, Machine
from novakit_hookspecs.errors import NotFound, Refused
from novakit_hookspecs.fields import UUID_PATTERN
from novakit_hookspecs.servers import GuestPlan
from novakit_host import disks, durable, guest_users

PLAN, BUILT, MEMORY, USER = "plan.json", "built", "memory", "user"


@attrs.frozen
class Instances:
    """The directories of all guests."""

    root: Path
    first_user: int = guest_users.FIRST

    def of(self, guest: str) -> Path:
        """Return the directory of a guest. Raises NotFound for what cannot be one's id."""
        if not re.fullmatch(UUID_PATTERN, guest):
            raise NotFound(f"{guest[:80]!r} is not the id of a guest")
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

    def user(self, guest: str) -> int | None:
        """Return the user of a built guest's QEMU; None where this process cannot become another.

        A guest that was built without one gets one now.
        """
        if not guest_users.may_be_given():
            return None
        path = self.of(guest) / PLAN
        plan = json.loads(path.read_text())
        if USER not in plan:
            durable.write(path, json.dumps({**plan, USER: self._unused_user(guest)}))
            return self.user(guest)
        return int(plan[USER])

    def _unused_user(self, guest: str) -> int:
        plans = [self.of(each) / PLAN for each in self.held()]
        used = {json.loads(plan.read_text()).get(USER) for plan in plans if plan.is_file()}
        try:
            return guest_users.unused(guest, used, self.first_user)
        except ValueError as error:
            raise Refused(f"guest {guest} cannot be given a user: {error}") from error

    def devices(self) -> Mapping[str, Sequence[str]]:
        """List the PCI addresses of the host's devices by guest, half-built ones too."""
        plans = {guest: self.of(guest) / PLAN for guest in self.held()}
        machines = {guest: json.loads(plan.read_text())["machine"] for guest, plan in plans.items() if plan.is_file()}
        return {guest: Machine.load(machine).devices for guest, machine in machines.items()}

    def ended_badly(self, guest: str) -> bool:
        """Return whether the guest's QEMU, which runs no more, was killed."""
        return processes.read(self.of(guest)).ended_badly

    def forget_end(self, guest: str) -> None:
        """Take the record of a QEMU that was killed on purpose."""
        (self.of(guest) / processes.RECORD).unlink(missing_ok=True)

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
