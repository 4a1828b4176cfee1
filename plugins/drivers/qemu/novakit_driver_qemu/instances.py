"""A guest's directory on the host: the plan first, every file complete or absent, the mark of completion last."""

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import attrs

from novakit_driver_qemu import launch, processes
from novakit_driver_qemu.machine import CONSOLE, Machine
from novakit_hookspecs.errors import NotFound, Refused
from novakit_hookspecs.fields import UUID_PATTERN
from novakit_hookspecs.servers import GuestPlan
from novakit_host import disks, durable, guest_users
from novakit_host.pci import held

PLAN, BUILT, MEMORY, USER = "plan.json", "built", "memory", "user"


@attrs.frozen
class _BuildRecord:
    """What a guest was built by."""

    machine: Machine
    user: int | None
    written: Mapping[str, object]


@attrs.frozen
class GuestDirectories:
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
        return self._plan(guest).machine

    def user(self, guest: str) -> int | None:
        """Return the user of a built guest's QEMU; None where this process cannot become another.

        A guest that was built without one gets one now.
        """
        if not guest_users.may_be_given():
            return None
        plan = self._plan(guest)
        if plan.user is None:
            written = {**plan.written, USER: self._unused_user(guest)}
            durable.write(self.of(guest) / PLAN, json.dumps(written))
            return self.user(guest)
        return plan.user

    def _unused_user(self, guest: str) -> int:
        used: set[int] = set()
        for each in self.held():
            try:
                user = self._plan(each).user
                used |= set() if user is None else {user}
            except NotFound:
                continue
            except Refused:
                used.add(self._likely_user(each))
        try:
            return guest_users.unused(guest, used, self.first_user)
        except ValueError as error:
            raise Refused(f"guest {guest} cannot be given a user: {error}") from error

    def _likely_user(self, guest: str) -> int:
        """Return the user of a QEMU whose guest has no readable plan any more.

        All its files are root's, but one that runs tells its own user; one that does not most likely had the first
        number that is tried for the guest, which hardly ever another guest has already.
        """
        running = processes.user(guest, self.root)
        return guest_users.unused(guest, (), self.first_user) if running is None else running

    def devices(self, root: Path = Path("/")) -> Mapping[str, Sequence[str]]:
        """List the PCI addresses of the host's devices by guest, half-built ones too.

        A guest whose plan is damaged or lost cannot be started, but has its devices still: those that are written down
        beside the plan; else, as its QEMU may run, what its user was given of VFIO groups in the `dev` below `root`.
        """
        found: dict[str, Sequence[str]] = {}
        users = {0, os.geteuid()}
        damaged: list[str] = []
        for guest in self.held():
            try:
                plan = self._plan(guest)
            except (NotFound, Refused) as error:
                if noted := held.noted(self.of(guest)):
                    found[guest] = noted
                elif isinstance(error, Refused):
                    damaged.append(guest)
                continue
            found[guest] = plan.machine.devices
            users |= set() if plan.user is None else {plan.user}
        for guest in damaged:
            if devices := launch.devices_of({self._likely_user(guest)} - users, root):
                found[guest] = devices
        return found

    def note_devices(self) -> None:
        """Write down which devices guests have that an older version built. Raises OSError."""
        for guest in self.held():
            with suppress(NotFound, Refused):
                held.note(self.of(guest), self._plan(guest).machine.devices)

    def _plan(self, guest: str) -> "_BuildRecord":
        """Read a guest's plan. Raises NotFound where there is none, Refused for one that is damaged."""
        path = self.of(guest) / PLAN
        try:
            written = json.loads(path.read_bytes())
            user = written.get(USER)
            return _BuildRecord(Machine.load(written["machine"]), None if user is None else int(user), written)
        except FileNotFoundError:
            raise NotFound(f"guest {guest} has no plan on this host") from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Refused(
                f"the plan of guest {guest}, {path}, is damaged: restore it from a backup, or delete the server"
            ) from error

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
        held.note(directory, machine.devices)
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
