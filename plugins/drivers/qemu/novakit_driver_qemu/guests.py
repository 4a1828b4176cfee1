"""Watches one running guest: what its QEMU tells, and how it ends."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from novakit_driver_qemu.instances import Instances
from novakit_driver_qemu.machine import socket_of
from novakit_driver_qemu.processes import Process
from novakit_driver_qemu.qmp import Monitor
from novakit_driver_qemu.work import end
from novakit_hookspecs.errors import Busy
from novakit_hookspecs.servers import Power

PRESS_EVERY = 5.0
"""Seconds after which the power button is pressed again: a guest that boots misses the first time."""
RECONNECT = 0.5
LAST_WORDS = 1.0
"""Seconds in which the events of a QEMU that ended must have been read."""
_STOPPED = frozenset({"paused", "io-error", "internal-error", "guest-panicked", "watchdog"})


@attrs.define(eq=False)
class Watch:
    """The watch over one QEMU from its start, or from the driver's, to its end."""

    guest: str
    process: Process
    instances: Instances
    tell: Callable[[str, Power, str], None]
    power: Power = attrs.field(init=False, default=Power.RUNNING)
    why: str = attrs.field(init=False, default="")
    _end: str = attrs.field(init=False, default="")
    """Why QEMU is about to end, once it said so."""
    _monitor: Monitor | None = attrs.field(init=False, default=None)
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
        if self.power is Power.PAUSED and self._monitor is not None:
            await self._monitor.execute("cont")
            self.power, self.why = Power.RUNNING, "resumed"

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
                async with Monitor.connect(self.instances.of(self.guest), socket_of(self.guest)) as monitor:
                    self._monitor = monitor
                    if monitor.status in _STOPPED and self.power is Power.RUNNING:
                        self._change(Power.PAUSED, f"QEMU says {monitor.status}")
                    async for name, data in monitor.events():
                        self._hear(name, data)
            self._monitor = None
            if self.process.alive:
                await asyncio.sleep(RECONNECT)

    def _hear(self, name: str, data: Mapping[str, Any]) -> None:
        if name == "SHUTDOWN":
            self._end = "shut down by the guest" if data.get("guest") else "QEMU was told to end"
        elif name == "RESET":
            self._change(Power.RUNNING, "reset by the guest" if data.get("guest") else "reset")
        elif name == "STOP" and not self._end:
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
        crashed = not self._pulled and self.instances.ended_badly(self.guest)
        if self._pulled:
            self.instances.forget_end(self.guest)
        why = "the plug was pulled" if self._pulled else "QEMU ended unexpectedly" if crashed else self._end
        self.process.close()
        forget()
        self._change(Power.CRASHED if crashed else Power.SHUTDOWN, why)
