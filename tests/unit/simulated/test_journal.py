"""What simulated guests leave on disk."""

import asyncio
import os
import subprocess
import sys
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


def _plan() -> GuestPlan:
    return GuestPlan(id=str(uuid.uuid4()), name="a", hostname="web-1", vcpus=2, memory_mb=512, root_gb=1)


async def _driver(folder: Path, clock: Clock | None = None, host: str = "here", **options: object) -> SimulatedVirt:
    clock = clock or Clock()
    settings = VirtOptions(**options)  # type: ignore[arg-type]
    context = HostContext(host=host, state_dir=str(folder))
    driver = SimulatedVirt(settings, context, clock=clock, sleep=clock.sleep)
    await driver.open()
    return driver


async def test_a_torn_last_line_is_a_change_that_never_happened(tmp_path: Path) -> None:
    first, second = _plan(), _plan()
    driver = await _driver(tmp_path)
    await driver.create(first)
    whole = (tmp_path / "guests.journal").stat().st_size
    await driver.create(second)
    os.truncate(tmp_path / "guests.journal", whole + 20)
    again = await _driver(tmp_path)
    assert [guest.id for guest in await again.guests()] == [first.id]
    await again.create(second)
    assert {guest.id for guest in await (await _driver(tmp_path)).guests()} == {first.id, second.id}


async def test_the_journal_stays_small_however_many_guests_come_and_go(tmp_path: Path) -> None:
    driver, kept = await _driver(tmp_path), _plan()
    await driver.create(kept)
    for _ in range(1000):
        plan = _plan()
        await driver.create(plan)
        await driver.destroy(plan.id)
    assert (tmp_path / "guests.journal").stat().st_size < 20_000
    assert [guest.id for guest in await (await _driver(tmp_path)).guests()] == [kept.id]


CREATE_FOR_EVER = """
import asyncio, sys, uuid
from novakit_hookspecs.hosts import HostContext
from novakit_hookspecs.servers import GuestPlan
from novakit_simulated.options import VirtOptions
from novakit_simulated.virt import SimulatedVirt

async def main():
    driver = SimulatedVirt(VirtOptions(), HostContext(host="here", state_dir=sys.argv[1]))
    await driver.open()
    for _ in range(100_000):
        id = str(uuid.uuid4())
        await driver.create(GuestPlan(id=id, name="", hostname="", vcpus=1, memory_mb=1, root_gb=1))
        print(id, flush=True)

asyncio.run(main())
"""


async def test_what_was_created_before_a_kill_is_found_after_it(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CREATE_FOR_EVER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    told = [process.stdout.readline().strip() for _ in range(50)]
    process.kill()
    told += process.stdout.read().split()
    process.wait()
    found = [guest.id for guest in await (await _driver(tmp_path)).guests()]
    assert set(told) - {told[-1]} <= set(found)
    assert len(found) <= len(told) + 1
