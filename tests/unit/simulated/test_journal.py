"""What simulated guests leave on disk."""

import os
import subprocess
import sys
from pathlib import Path

from tests.unit.simulated.made import driver_in, plan_of_guest


async def test_a_torn_last_line_is_a_change_that_never_happened(tmp_path: Path) -> None:
    first, second = plan_of_guest(), plan_of_guest()
    driver = await driver_in(tmp_path)
    await driver.create(first)
    whole = (tmp_path / "guests.journal").stat().st_size
    await driver.create(second)
    os.truncate(tmp_path / "guests.journal", whole + 20)
    again = await driver_in(tmp_path)
    assert [guest.id for guest in await again.guests()] == [first.id]
    await again.create(second)
    assert {guest.id for guest in await (await driver_in(tmp_path)).guests()} == {first.id, second.id}


async def test_the_journal_stays_small_however_many_guests_come_and_go(tmp_path: Path) -> None:
    driver, kept = await driver_in(tmp_path), plan_of_guest()
    await driver.create(kept)
    for _ in range(1000):
        plan = plan_of_guest()
        await driver.create(plan)
        await driver.destroy(plan.id)
    assert (tmp_path / "guests.journal").stat().st_size < 20_000
    assert [guest.id for guest in await (await driver_in(tmp_path)).guests()] == [kept.id]


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
    found = [guest.id for guest in await (await driver_in(tmp_path)).guests()]
    assert set(told) - {told[-1]} <= set(found)
    assert len(found) <= len(told) + 1
