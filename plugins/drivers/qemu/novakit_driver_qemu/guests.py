"""Watches one running guest: what its QEMU tells, and how it ends.

The idea: two tasks for each guest. One follows the events of QMP, and connects anew where it lost QEMU; the other waits
for the end of the process, gives the first a moment to read the last words, and tells what the guest is then.
The invariant: that a guest has ended is told once, after its process is gone, and as the last thing: what is told comes
from the process and its record, and QMP only says why. A guest that is paused, saved or stopped on request is in that
state before whoever asked goes on, whichever of the answer and the event is read first.
The cost: two tasks and a socket for each guest; up to `LAST_WORDS` (1 s) twice between the end of QEMU and the telling
of it, and `RECONNECT` (0.5 s) to a QEMU that hung up.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from novakit_driver_qemu import memory, processes
from novakit_driver_qemu.instances import GuestDirectories
from novakit_driver_qemu.machine import socket_of
from novakit_driver_qemu.processes import QemuProcess
from novakit_driver_qemu.qmp import ANSWER_WITHIN, QmpMonitor
from novakit_hookspecs.errors import Busy
from novakit_hookspecs.servers import Power
from novakit_host.guest_work import end

PRESS_EVERY = 5.0
"""Seconds after which the power button is pressed again: a guest that boots misses the first time."""
RECONNECT = 0.5
"""Seconds between two tries to reach the QMP socket of a QEMU that runs."""
LAST_WORDS = 1.0
"""Seconds in which the events of a QEMU that ended must have been read."""
_STOPPED = frozenset({"paused", "io-error", "internal-error", "guest-panicked", "watchdog"})


@attrs.define(eq=False)
class Watch:
    """The watch over one QEMU from its start, or from the driver's, to its end."""

    guest: str
    process: QemuProcess
    instances: GuestDirectories
    tell: Callable[[str, Power, str], None]
    power: Power = attrs.field(init=False, default=Power.RUNNING)
    why: str = attrs.field(init=False, default="")
    _end: str = attrs.field(init=False, default="")
    """Why QEMU is about to end, once it said so."""
    _ends_as: Power | None = attrs.field(init=False, default=None)
    """What the guest is once QEMU has ended, where that is settled before."""
    _monitor: QmpMonitor | None = attrs.field(init=False, default=None)
    _listening: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)
    """Set while there is a connection to QEMU."""
    _pulled: bool = attrs.field(init=False, default=False)
    _tasks: "list[asyncio.Task[None]]" = attrs.field(init=False, factory=list)

    def start(self, forget: Callable[[], object]) -> None:
        """Begin; `forget` is called when QEMU has ended, before that is told."""
        loop = asyncio.get_running_loop()
        listening = loop.create_task(self._listen(), name=f"listen {self.guest}")
        self._tasks = [listening, loop.create_task(self._wait(listening, forget), name=f"watch {self.guest}")]

    async def close(self) -> None:
        """Look away; QEMU runs on."""
        await end(self._tasks)
        self.process.close()

    async def stop(self, *, gently: bool) -> None:
        """Pull the plug; return when QEMU has ended and that was told."""
        self._pulled = self._pulled or self.process.alive
        await self.process.stop(gently=gently)
        await asyncio.wait(self._tasks)

    async def resume(self) -> None:
        """Let a paused guest go on."""
        if self.power is Power.PAUSED:
            await self.bring(Power.RUNNING, "cont", "resumed")
            memory.forget(self._memory)

    async def bring(self, to: Power, command: str, why: str) -> None:
        """Have QEMU do what brings the guest to a power state, unless it is in it."""
        if self.power is not to:
            await self.execute(command)
            # QEMU's own event may be read after its answer, and whoever asked looks at once.
            self.power, self.why = to, why

    async def execute(self, command: str) -> None:
        """Have QEMU do what a command of QMP says. Raises Busy when QEMU does not answer."""
        await (await self._connected()).execute(command)

    async def suspend(self) -> None:
        """Write the guest's memory down and end QEMU.

        Raises Refused or Busy when QEMU cannot; the guest is as before then.
        """
        monitor, was = await self._connected(), self.power
        if not self._memory.exists():
            if (await monitor.execute("query-status")).get("status") == "postmigrate":
                # An earlier one was cut short after QEMU had written, and before the file was whole.
                await monitor.execute("cont")
            await monitor.execute("stop")
            try:
                await memory.save(monitor, self._memory)
            except BaseException:
                if was is Power.RUNNING:
                    await monitor.execute("cont")
                raise
        self._ends_as = Power.SUSPENDED
        await self.stop(gently=True)

    async def restore(self) -> None:
        """Read the guest's memory into this QEMU, which waits for it, and let the guest go on."""
        monitor = await self._connected()
        await memory.load(monitor, self._memory)
        await monitor.execute("cont")
        self.power, self.why = Power.RUNNING, "resumed"
        memory.forget(self._memory)

    @property
    def _memory(self) -> Path:
        return self.instances.memory(self.guest)

    async def _connected(self) -> QmpMonitor:
        """Wait for the connection to QEMU, which listens from its start on."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_WITHIN):
                await self._listening.wait()
        if self._monitor is None:
            raise Busy(f"QEMU of guest {self.guest} does not listen")
        return self._monitor

    async def shut_down(self, within: float) -> None:
        """Press the power button until the guest is off or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self.process.alive:
                    pressed = await self._press()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(PRESS_EVERY if pressed else RECONNECT):
                            await self.process.ended()
                await asyncio.wait(self._tasks)

    async def _press(self) -> bool:
        if self._monitor is None:
            return False
        try:
            await self._monitor.execute("system_powerdown")
        except (Busy, OSError):
            return False
        return True

    async def _listen(self) -> None:
        """Follow what QEMU tells until it ends; a lost connection is made anew."""
        while self.process.alive:
            # ValueError: a line that was cut off when QEMU was killed.
            with contextlib.suppress(OSError, EOFError, ValueError):
                async with QmpMonitor.connect(self.instances.of(self.guest), socket_of(self.guest)) as monitor:
                    self._monitor = monitor
                    self._listening.set()
                    if monitor.status in _STOPPED and self.power is Power.RUNNING:
                        self._change(Power.PAUSED, f"QEMU says {monitor.status}")
                    async for name, data in monitor.events():
                        self._hear(name, data)
            self._monitor = None
            self._listening.clear()
            if self.process.alive:
                await asyncio.sleep(RECONNECT)

    def _hear(self, name: str, data: Mapping[str, object]) -> None:
        if name == "SHUTDOWN":
            self._end = "shut down by the guest" if data.get("guest") else "QEMU was told to end"
        elif name == "RESET":
            self._change(Power.RUNNING, "reset by the guest" if data.get("guest") else "reset")
        elif name == "STOP" and not self._end:  # QEMU stops the CPUs of a guest that shuts down, too
            self._change(Power.PAUSED, "paused")
        elif name == "RESUME":
            self._change(Power.RUNNING, "resumed")

    def _change(self, power: Power, why: str) -> None:
        self.power, self.why = power, why
        self.tell(self.guest, power, why)

    async def _wait(self, listening: "asyncio.Task[None]", forget: Callable[[], object]) -> None:
        await self.process.ended()
        await asyncio.wait([listening], timeout=LAST_WORDS)
        await end([listening])
        record = await processes.said(self.instances.of(self.guest), LAST_WORDS)
        crashed = not self._pulled and record.ended_badly
        if self._pulled:
            self.instances.forget_end(self.guest)
        ends_as = self._ends_as or (Power.CRASHED if crashed else Power.SHUTDOWN)
        whys = {Power.SUSPENDED: "saved to disk", Power.CRASHED: "QEMU ended unexpectedly"}
        why = whys.get(ends_as, "the plug was pulled" if self._pulled else self._end)
        self.process.close()
        forget()
        self._change(ends_as, why)
