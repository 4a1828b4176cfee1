"""QEMU processes of ours: found by what they were started with, held by a descriptor that no other process can get."""

import asyncio
import os
import select
import signal
from collections.abc import Mapping
from pathlib import Path

import attrs

from novakit_driver_qemu.machine import PIDFILE
from novakit_hookspecs.errors import Busy

TERM_WITHIN = 3.0
"""Seconds a QEMU has to flush its disks and end before it is killed."""
KILL_WITHIN = 30.0
START_WITHIN = 20.0
LOOK_EVERY = 0.05


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


def running(root: Path) -> Mapping[str, list[int]]:
    """Find our QEMU processes by guest: those of this user that were told a pidfile below the instances directory."""
    found: dict[str, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (guest := _guest_of(int(entry.name), root)):
            found.setdefault(guest, []).append(int(entry.name))
    return found


def hold(pid: int, guest: str, root: Path) -> QemuProcess | None:
    """Take hold of the guest's QEMU by its number; None when that process is another or has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except (OSError, OverflowError):
        return None
    # Asked after the descriptor is there: from now on the number cannot be given to another process.
    if _guest_of(pid, root) == guest:
        return QemuProcess(pid, descriptor)
    os.close(descriptor)
    return None


def find(guest: str, root: Path) -> QemuProcess | None:
    """Take hold of the guest's QEMU by its pidfile; None when it does not run."""
    try:
        pid = int((root / guest / PIDFILE).read_text())
    except (OSError, ValueError):
        return None
    return hold(pid, guest, root)


async def settled(guest: str, root: Path) -> QemuProcess | None:
    """Take hold of the guest's QEMU, after its start when it is being started; None when none runs.

    While it starts, QEMU is two processes, and the one that stays is the one of the pidfile.
    """
    end = asyncio.get_running_loop().time() + START_WITHIN
    while (process := find(guest, root)) is None and guest in await asyncio.to_thread(running, root):
        if asyncio.get_running_loop().time() > end:
            await end_all(guest, root)
        await asyncio.sleep(LOOK_EVERY)
    return process


async def end_all(guest: str, root: Path) -> None:
    """Kill whatever QEMU the guest has; raise `Busy` when one is still there in the end."""
    for _ in range(5):
        # Looked for again after the kill: one that was starting may have forked meanwhile.
        if not (pids := (await asyncio.to_thread(running, root)).get(guest)):
            return
        for pid in pids:
            if (process := hold(pid, guest, root)) is not None:
                await process.stop(gently=False)
                process.close()
    raise Busy(f"a QEMU process of guest {guest} does not end: {pids}")


def _guest_of(pid: int, root: Path) -> str | None:
    try:
        if Path(f"/proc/{pid}").stat().st_uid != os.geteuid():
            return None
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return None
    if b"-pidfile" not in argv[:-1] or not Path(os.fsdecode(argv[0])).name.startswith("qemu-system"):
        return None
    pidfile = Path(os.fsdecode(argv[argv.index(b"-pidfile") + 1]))
    return pidfile.parent.name if pidfile.name == PIDFILE and pidfile.parent.parent == root else None
