"""QEMU processes of ours: known by a record that root wrote, held by a descriptor that no other process can get.

The idea: beside a guest's disks lies the record of its last start. A shell keeps it locked from the start on until QEMU
has ended; the first line is what the kernel says of the process that became QEMU, written before it did, and the last
one is how it ended.
The invariant: whatever a guest does to its QEMU, it can neither change the record nor be taken for another process: a
process counts as the guest's only if it began when the record says, asked after a descriptor of it is held. Whether a
start is under way is told by the lock, never by what is written.
The cost: 12 µs to read a record, 0.13 ms to take hold of a process by it; one descriptor for each guest. The end of a
process is told by the kernel, and of one that is only starting it is looked for every `LOOK_EVERY` seconds.
"""

import asyncio
import fcntl
import os
import select
import signal
from collections.abc import Mapping
from pathlib import Path

import attrs

from novakit_hookspecs.errors import Busy

RECORD = "qemu.process"
TERM_WITHIN = 3.0
"""Seconds a QEMU has to flush its disks and end before it is killed."""
KILL_WITHIN = 30.0
"""Seconds for a killed QEMU to be gone: one that waits for a disk cannot end before the disk answers."""
START_WITHIN = 20.0
"""Seconds for QEMU to start and write its pid; it needs a fraction of one, unless the machine is overloaded."""
LOOK_EVERY = 0.05
"""Seconds between two looks; no event tells that a process is gone which is not our child."""
_STARTED_AT = 22 - 3
"""The place of `starttime` among the fields of /proc/PID/stat that follow the name, see proc(5)."""


@attrs.define(eq=False)
class QemuProcess:
    """One running QEMU; `close` it when nobody needs to know of its end."""

    pid: int
    descriptor: int
    _ended: "asyncio.Future[None] | None" = attrs.field(init=False, default=None)

    @property
    def alive(self) -> bool:
        """Return whether it still runs."""
        if self.descriptor < 0:
            return False
        poll = select.poll()
        poll.register(self.descriptor, select.POLLIN)
        return not poll.poll(0)

    async def ended(self) -> None:
        """Wait until it has ended."""
        loop = asyncio.get_running_loop()
        if self._ended is None and self.descriptor < 0:
            return
        if self._ended is None:
            self._ended = loop.create_future()
            loop.add_reader(self.descriptor, self._told)
        await asyncio.shield(self._ended)

    async def stop(self, *, gently: bool) -> None:
        """End it, by SIGTERM first when `gently`, so that it writes back what it holds."""
        for number, within in ((signal.SIGTERM, TERM_WITHIN if gently else 0), (signal.SIGKILL, KILL_WITHIN)):
            if not within or not self.alive:
                continue
            try:
                signal.pidfd_send_signal(self.descriptor, number)
                async with asyncio.timeout(within):
                    await self.ended()
            except (TimeoutError, ProcessLookupError):
                continue
            return

    def close(self) -> None:
        """Let go of it; it runs on."""
        if self.descriptor >= 0:
            if self._ended is not None:
                self._ended.get_loop().remove_reader(self.descriptor)
            os.close(self.descriptor)
            self.descriptor = -1

    def _told(self) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.get_loop().remove_reader(self.descriptor)
            self._ended.set_result(None)


@attrs.frozen(kw_only=True)
class Record:
    """What the record of a guest's last start says."""

    pid: int = 0
    """0 while it is being started, and for a guest that never was."""
    began: int = 0
    """When the process began, in the kernel's ticks since the machine did."""
    status: int | None = None
    """How QEMU ended; None while it runs, and when the shell that would say so was killed as well."""
    held: bool = False
    """Whether the shell still has it: QEMU is being started, runs, or has ended this very moment."""

    @property
    def ended_badly(self) -> bool:
        """Return whether QEMU was killed: one that ends by itself says 0."""
        return bool(self.pid) and not self.held and self.status != 0


def read(directory: Path) -> Record:
    """Read the record of the guest with this directory; one that is missing or torn names no process."""
    try:
        with (directory / RECORD).open("rb") as file:
            # Asked first: what is written before the lock goes is read after it.
            held = _is_locked(file.fileno())
            lines = file.read(4096).splitlines()
    except OSError:
        return Record()
    pid, began = _identity(lines[0]) if lines else (0, 0)
    word, _, number = lines[-1].partition(b" ") if lines else (b"", b"", b"")
    status = int(number) if word == b"ended" and number.isdigit() else None
    return Record(pid=pid, began=began, status=status, held=held)


def create(directory: Path) -> int:
    """Begin a new record, locked by whoever holds the descriptor that is returned.

    It is another file than the one before: a shell that is late writes into its own.
    """
    path = directory / RECORD
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def running(root: Path) -> Mapping[str, list[int]]:
    """Find the running QEMU processes of the guests below the instances directory."""
    found: dict[str, list[int]] = {}
    for path in root.glob(f"*/{RECORD}"):
        if (process := find(path.parent.name, root)) is not None:
            found[path.parent.name] = [process.pid]
            process.close()
    return found


def find(guest: str, root: Path) -> QemuProcess | None:
    """Take hold of the guest's QEMU by its record; None when it does not run."""
    record = read(root / guest)
    if not record.pid:
        return None
    try:
        process = QemuProcess(record.pid, os.pidfd_open(record.pid))
    except (OSError, OverflowError):
        return None
    # Asked after the descriptor is there: from now on the number cannot be given to another process.
    if process.alive and _began(record.pid) == record.began:
        return process
    process.close()
    return None


def user(guest: str, root: Path) -> int | None:
    """Return the user of the guest's QEMU; None when it does not run."""
    process = find(guest, root)
    if process is None:
        return None
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
        return int(status.partition("\nUid:")[2].split()[0]) if process.alive else None
    except OSError:
        return None
    finally:
        process.close()


async def settled(guest: str, root: Path) -> QemuProcess | None:
    """Take hold of the guest's QEMU, after its start when it is being started; None when none runs."""
    end = asyncio.get_running_loop().time() + START_WITHIN
    while (process := find(guest, root)) is None and read(root / guest).held:
        if asyncio.get_running_loop().time() > end:
            raise Busy(f"a start of guest {guest} that was begun earlier does not end")
        await asyncio.sleep(LOOK_EVERY)
    return process


async def end_all(guest: str, root: Path) -> None:
    """Kill the QEMU that the guest has or is about to have; raise `Busy` when it is still there in the end."""
    end = asyncio.get_running_loop().time() + KILL_WITHIN
    while (process := find(guest, root)) is not None or read(root / guest).held:
        if process is not None:
            await process.stop(gently=False)
            process.close()
        if asyncio.get_running_loop().time() > end:
            raise Busy(f"the QEMU process of guest {guest} does not end")
        await asyncio.sleep(LOOK_EVERY)


async def said(directory: Path, within: float) -> Record:
    """Return the record once the shell has written how QEMU, which has ended, did."""
    end = asyncio.get_running_loop().time() + within
    while True:
        record = read(directory)
        if not record.held or asyncio.get_running_loop().time() > end:
            return record
        await asyncio.sleep(0.01)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _began(pid: int) -> int:
    try:
        return _identity(Path(f"/proc/{pid}/stat").read_bytes())[1]
    except OSError:
        return 0


def _identity(stat: bytes) -> tuple[int, int]:
    """Return number and beginning of a process from its /proc/PID/stat; zeros for what is not a process."""
    number, _, _ = stat.partition(b" ")
    fields = stat.rpartition(b")")[2].split()
    try:
        return int(number), int(fields[_STARTED_AT])
    except (ValueError, IndexError):
        return 0, 0
