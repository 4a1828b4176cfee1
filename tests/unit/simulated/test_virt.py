"""Simulated guests: timing, faults on order, and a memory that survives a kill."""

import asyncio
import uuid
from pathlib import Path

import pytest

from novakit_hookspecs.errors import Busy, NotFound, Refused
from novakit_hookspecs.hosts import HostContext
from novakit_hookspecs.servers import Power
from novakit_simulated.faults import SimulatedFault
from novakit_simulated.options import VirtOptions
from novakit_simulated.virt import SimulatedVirt
from tests.unit.simulated.made import Clock, driver_in, plan_of_guest


async def test_the_console_shows_the_boot_as_it_goes_on(tmp_path: Path) -> None:
    clock, plan = Clock(), plan_of_guest()
    driver = await driver_in(tmp_path, clock, boot_seconds=10.0)
    await driver.create(plan)
    assert b"login:" not in await driver.console_log(plan.id, 10_000)
    clock.now += 10
    log = await driver.console_log(plan.id, 10_000)
    assert b"web-1 login:" in log
    assert b"512 MiB, 2 CPUs" in log


async def test_a_guest_hears_a_shutdown_only_once_it_has_booted(tmp_path: Path) -> None:
    clock, plan = Clock(), plan_of_guest()
    driver = await driver_in(tmp_path, clock, boot_seconds=10.0, shutdown_seconds=2.0)
    await driver.create(plan)
    await driver.set_power(plan.id, Power.SHUTDOWN, 60)
    assert clock.now == 1012


async def test_a_guest_that_ignores_the_shutdown_loses_power_at_the_end(tmp_path: Path) -> None:
    clock, plan = Clock(), plan_of_guest()
    driver = await driver_in(tmp_path, clock, ignores_shutdown=True)
    await driver.create(plan)
    assert (await driver.set_power(plan.id, Power.SHUTDOWN, 60)).power is Power.SHUTDOWN
    assert clock.now == 1060


async def test_only_running_and_shutdown_can_be_asked_for(tmp_path: Path) -> None:
    driver, plan = await driver_in(tmp_path), plan_of_guest()
    await driver.create(plan)
    with pytest.raises(Refused, match="paused"):
        await driver.set_power(plan.id, Power.PAUSED, 0)


@pytest.mark.parametrize(("how", "error"), [("fault", SimulatedFault), ("refused", Refused), ("busy", Busy)])
async def test_creates_fail_in_the_way_that_was_ordered(tmp_path: Path, how: str, error: type[Exception]) -> None:
    driver = await driver_in(tmp_path, fail_create=1.0, fail_how=how)
    with pytest.raises(error):
        await driver.create(plan_of_guest())
    assert await driver.guests() == []


async def test_the_first_creates_fail_and_a_restart_does_not_begin_to_count_anew(tmp_path: Path) -> None:
    plan = plan_of_guest()
    for _ in range(2):
        with pytest.raises(SimulatedFault):
            await (await driver_in(tmp_path, fail_first=2)).create(plan)
    assert (await (await driver_in(tmp_path, fail_first=2)).create(plan)).power is Power.RUNNING


async def test_only_the_named_hosts_fail(tmp_path: Path) -> None:
    with pytest.raises(SimulatedFault):
        await (await driver_in(tmp_path, host="bad", fail_hosts=("bad",))).create(plan_of_guest())
    await (await driver_in(tmp_path, host="good", fail_hosts=("bad",))).create(plan_of_guest())


async def test_the_same_seed_fails_the_same_creates_and_differs_between_hosts(tmp_path: Path) -> None:
    async def run(host: str) -> list[bool]:
        folder = tmp_path / str(uuid.uuid4())
        folder.mkdir()
        driver = await driver_in(folder, host=host, fail_create=0.5, seed=7)
        results = await asyncio.gather(*(driver.create(plan_of_guest()) for _ in range(64)), return_exceptions=True)
        return [isinstance(result, Exception) for result in results]

    assert await run("one") == await run("one")
    assert await run("one") != await run("two")


async def test_a_guest_crashes_when_it_was_ordered_to_even_if_the_agent_was_away(tmp_path: Path) -> None:
    clock, plan = Clock(), plan_of_guest()
    driver = await driver_in(tmp_path, clock, crash_after=100.0)
    await driver.create(plan)
    await driver.close()
    clock.now += 200
    again = await driver_in(tmp_path, clock, crash_after=100.0)
    event = await anext(again.events())
    assert (event.guest, event.power) == (plan.id, Power.CRASHED)
    assert [guest.power for guest in await again.guests()] == [Power.CRASHED]


async def test_a_half_built_guest_is_a_holding_and_no_guest_until_it_is_completed(tmp_path: Path) -> None:
    plan, begun = plan_of_guest(), asyncio.Event()

    async def hang(_: float) -> None:
        begun.set()
        await asyncio.Event().wait()

    driver = SimulatedVirt(VirtOptions(hang_create=60), HostContext(host="here", state_dir=str(tmp_path)), sleep=hang)
    await driver.open()
    work = asyncio.create_task(driver.create(plan))
    await begun.wait()
    work.cancel()
    assert await driver.guests() == []
    again = await driver_in(tmp_path)
    assert [held.kind for held in await again.holdings()] == ["disk"]
    with pytest.raises(NotFound):
        await again.set_power(plan.id, Power.RUNNING, 0)
    assert (await again.create(plan)).power is Power.RUNNING
