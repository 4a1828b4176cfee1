"""A simulated driver by a clock of its own."""

import asyncio
import uuid
from pathlib import Path

import attrs

from novakit_hookspecs.hosts import HostContext
from novakit_hookspecs.servers import GuestPlan
from novakit_simulated.options import VirtOptions
from novakit_simulated.virt import SimulatedVirt


@attrs.define
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


def plan_of_guest() -> GuestPlan:
    return GuestPlan(id=str(uuid.uuid4()), name="a", hostname="web-1", vcpus=2, memory_mb=512, root_gb=1)


async def driver_in(folder: Path, clock: Clock | None = None, host: str = "here", **options: object) -> SimulatedVirt:
    clock = clock or Clock()
    settings = VirtOptions(**options)  # type: ignore[arg-type]
    context = HostContext(host=host, state_dir=str(folder))
    driver = SimulatedVirt(settings, context, clock=clock, sleep=clock.sleep)
    await driver.open()
    return driver
