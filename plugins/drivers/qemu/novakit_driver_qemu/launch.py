"""Starts a guest's QEMU with nothing of the host's in its hands but what is the guest's.

What the guest needs is opened here, by root, and handed over as descriptors: disks, image, taps, console and control
socket. So QEMU runs as a user that owns nothing, in a place where none of it has a name, and root never gives a file
away. It cannot gain what it has not: no capability, no new privileges, no other program, no network, no new process.
"""

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path

import attrs

from novakit_driver_qemu import processes
from novakit_driver_qemu.machine import CONSOLE, Descriptors, Machine, command_line, socket_of
from novakit_driver_qemu.processes import QemuProcess
from novakit_driver_qemu.qmp import QmpMonitor
from novakit_hookspecs.errors import Refused
from novakit_host import disks
from novakit_host.acceleration import DEVICE
from novakit_host.commands import SEARCH, sandbox, walls
from novakit_host.sysfs import link, names
from novakit_host.taps import open_tap

SUPERVISE = '"$@"; echo "ended $?"'
"""Outlives the agent, and says on the record how QEMU ended."""
RECORD = 'read -r me </proc/$$/stat && echo "$me" && exec "$@" >/dev/null'
"""Writes down which process becomes QEMU, and becomes it; where that cannot be written, it does not."""
STARTED_WITHIN = 60.0
"""Seconds; the memory of a guest with a device of the host is made real and pinned before QEMU answers."""
FILES = 1024
"""Descriptors that QEMU may have open: its disks, taps and sockets are some dozens."""
THREADS = 256
"""Threads beside the guest's CPUs; most wait for the disks."""
VFIO = Path("/dev/vfio")
_GIB = 1 << 30
_CAP_SYS_RESOURCE = 24
"""The number of the capability in linux/capability.h."""


@attrs.frozen(kw_only=True)
class Launch:
    """One start of a guest's QEMU."""

    machine: Machine
    directory: Path
    acceleration: str
    user: int | None
    """Whom QEMU runs as; None for the agent's own user, who is not root then."""
    suspended: bool
    root: Path = Path("/")
    """Where `sys` and `dev` are, for PCI devices."""

    async def start(self) -> QemuProcess:
        """Start QEMU; return once it answers. Raises Refused with what it said, and no QEMU is left then."""
        heard, told = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)  # nobody may listen any more when QEMU complains
        try:
            try:
                await self._spawn(told)
            finally:
                os.close(told)
            if (process := await self._answering()) is not None:
                return process
            await processes.end_all(self.machine.id, self.directory.parent)
            said = ""
            with contextlib.suppress(BlockingIOError):
                said = os.read(heard, 1 << 16).decode(errors="replace").strip()[-600:]
        finally:
            os.close(heard)
        (self.directory / processes.RECORD).unlink(missing_ok=True)
        raise Refused(f"QEMU did not start guest {self.machine.id}: {said or 'it ended at once'}")

    async def _spawn(self, errors: int) -> None:
        with ExitStack() as opened:
            given, record = await asyncio.to_thread(self._open, opened)
            process = await asyncio.create_subprocess_exec(
                *self._argv(given),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=record,
                stderr=errors,
                pass_fds=given.all,
                cwd="/",
                env={"PATH": SEARCH, "LC_ALL": "C"},
            )
            await process.wait()  # `setsid --fork` ends at once

    async def _answering(self) -> QemuProcess | None:
        """Wait until QEMU answers; None when it has ended instead, or takes too long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STARTED_WITHIN):
                while (process := await processes.settled(self.machine.id, self.directory.parent)) is not None:
                    try:
                        async with QmpMonitor.connect(self.directory, socket_of(self.machine.id)):
                            return process
                    except (OSError, EOFError, ValueError):
                        process.close()
                    except BaseException:
                        process.close()
                        raise
                    await asyncio.sleep(processes.LOOK_EVERY)
        return None

    def _argv(self, given: Descriptors) -> Sequence[str]:
        devices = self.machine.devices
        limits = ["prlimit", "--core=0", f"--nofile={FILES}", f"--nproc={self.machine.vcpus + THREADS}"]
        if devices and _raises_limits():  # all of its memory is within reach of the device, and is not paged out
            limits.append(f"--memlock={(self.machine.memory_mb << 20) + _GIB}")
        qemu = command_line(self.machine, self.acceleration, given, suspended=self.suspended)
        program = shutil.which(qemu[0], path=SEARCH) or qemu[0]
        return [
            *("setsid", "--fork", "sh", "-c", SUPERVISE, f"guest={self.machine.id}", *limits, "--"),
            *_place(bool(devices)),
            *("sh", "-c", RECORD, f"guest={self.machine.id}"),
            *_nobody(self.user, (kvm_groups() or ()) if self.acceleration == "kvm" else ()),
            *(program, *qemu[1:]),
        ]

    def _open(self, opened: ExitStack) -> tuple[Descriptors, int]:
        """Open all that QEMU gets, and the record of this start; `opened` closes it here."""

        def keep(descriptor: int) -> int:
            opened.callback(os.close, descriptor)
            return descriptor

        record = keep(processes.create(self.directory))
        given = Descriptors(
            control=keep(self._listen()),
            console=keep(_opened(self.directory / CONSOLE, os.O_WRONLY | os.O_CREAT | os.O_APPEND)),
            disks=tuple(
                keep(_opened(self.directory / disk.file, os.O_RDONLY if disk.cdrom else os.O_RDWR))
                for disk in self.machine.disks
            ),
            taps=tuple(keep(open_tap(card.tap)) for card in self.machine.cards),
        )
        if (base := disks.noted_base(self.directory / self.machine.disks[0].file)) is not None:
            given = attrs.evolve(given, base=keep(_opened(base, os.O_RDONLY)))
        if self.user is not None:
            give_devices(self.machine.devices, self.user, self.root)
        return given, record

    def _listen(self) -> int:
        name = socket_of(self.machine.id)
        (self.directory / name).unlink(missing_ok=True)
        directory = _opened(self.directory, os.O_PATH | os.O_DIRECTORY)
        try:
            with socket.socket(socket.AF_UNIX) as listening:
                # A socket's path has at most 107 bytes, and a state directory may lie deep.
                listening.bind(f"/proc/self/fd/{directory}/{name}")
                listening.listen(1)
                return listening.detach()
        finally:
            os.close(directory)


def kvm_groups(device: Path = DEVICE) -> Sequence[int] | None:
    """Return the groups with which a user may use the device of KVM; None when only root may."""
    try:
        status = device.stat()
    except OSError:
        return None
    if status.st_mode & 0o006 == 0o006:
        return ()
    return (status.st_gid,) if status.st_mode & 0o060 == 0o060 and status.st_gid else None


def give_devices(addresses: Sequence[str], user: int, root: Path = Path("/")) -> None:
    """Let a user, or root again, open the VFIO groups of the host's devices."""
    for address in addresses:
        group = root / "sys/bus/pci/devices" / address / "iommu_group"
        # A device that is gone is told of by QEMU, or is nobody's.
        with contextlib.suppress(OSError):
            os.chown(root / "dev/vfio" / group.readlink().name, user, -1, follow_symlinks=False)


def devices_of(users: Collection[int], root: Path = Path("/")) -> Sequence[str]:
    """List the host's devices whose VFIO groups these users have been given, and were not taken back from."""
    found: list[str] = []
    for address in names(root / "sys/bus/pci/devices"):
        group = link(root / "sys/bus/pci/devices" / address / "iommu_group")
        with contextlib.suppress(OSError):
            if group and (root / "dev/vfio" / group).lstat().st_uid in users:
                found.append(address)
    return found


def _raises_limits() -> bool:
    """Return whether this process may raise limits: root in a container often may not, and its own count then."""
    status = Path("/proc/self/status").read_text()
    return bool(int(status.partition("CapEff:")[2].split()[0], 16) >> _CAP_SYS_RESOURCE & 1)


def _place(devices: bool) -> Sequence[str]:
    if sandbox() != "bubblewrap":
        return ()
    reads = (Path("/sys"),) if devices else ()
    return "bwrap", *walls(reads=reads, devices=(DEVICE, *((VFIO,) if devices else ())))


def _nobody(user: int | None, groups: Sequence[int]) -> Sequence[str]:
    if user is None:
        return "setpriv", "--no-new-privs", "--"
    others = ("--groups", ",".join(map(str, groups))) if groups else ("--clear-groups",)
    powers = ("--no-new-privs", "--bounding-set=-all", "--inh-caps=-all")
    return "setpriv", "--reuid", str(user), "--regid", str(user), *others, *powers, "--"


def _opened(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Refused(f"{path} cannot be opened: {error.strerror}") from error
