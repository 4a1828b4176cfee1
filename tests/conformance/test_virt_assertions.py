"""Each assertion of the virt suite is there for a wrong driver: it fails for one that is wrong in that word alone."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from novakit_hookspecs.hosts import HostContext, HostFacts
from novakit_hookspecs.servers import Guest, GuestPlan
from novakit_hookspecs.testing.virt import VirtConformance
from novakit_hookspecs.virt import LogsConsole
from novakit_simulated.options import VirtOptions
from novakit_simulated.virt import SimulatedVirt

Lie = Callable[[HostFacts], HostFacts]


class Liar(SimulatedVirt):
    """Right in all but what it is told to say wrong."""

    lie: Lie = staticmethod(lambda facts: facts)
    log: Callable[[bytes, int], bytes] = staticmethod(lambda whole, most: whole[-most:] if most else b"")

    async def host(self) -> HostFacts:
        return self.lie(await super().host())

    async def console_log(self, guest: str, max_bytes: int) -> bytes:
        return self.log(await super().console_log(guest, 1 << 20), max_bytes)


class Suite(VirtConformance):
    __test__ = False
    facets = frozenset({LogsConsole})
    patience = 0.3


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[Liar]:
    driver = Liar(VirtOptions(), HostContext(host="here", state_dir=str(tmp_path)))
    await driver.open()
    yield driver
    await driver.close()


def stock(resource: str, **changes: Any) -> Lie:
    def lie(facts: HostFacts) -> HostFacts:
        changed = attrs.evolve(facts.inventory[resource], **changes)
        return attrs.evolve(facts, inventory={**facts.inventory, resource: changed})

    return lie


@pytest.mark.parametrize(
    "changes",
    [
        {"hypervisor_type": ""},
        {"hypervisor_hostname": ""},
        {"hypervisor_version": 0},
        {"acceleration": "magic"},
        {"acceleration": "tcg", "why": ""},
    ],
    ids=str,
)
async def test_a_host_that_does_not_say_what_it_runs_is_caught(driver: Liar, changes: dict[str, Any]) -> None:
    test = Suite().test_the_host_names_its_hypervisor_and_says_how_it_is_accelerated
    await test(driver)
    driver.lie = lambda facts: attrs.evolve(facts, **changes)
    with pytest.raises(AssertionError):
        await test(driver)


@pytest.mark.parametrize("resource", ["VCPU", "MEMORY_MB", "DISK_GB"])
async def test_a_host_that_lacks_a_resource_is_caught(driver: Liar, resource: str) -> None:
    test = Suite().test_the_host_states_cpus_memory_and_disk
    await test(driver)
    driver.lie = lambda facts: attrs.evolve(
        facts, inventory={name: each for name, each in facts.inventory.items() if name != resource}
    )
    with pytest.raises(AssertionError, match=resource):
        await test(driver)


@pytest.mark.parametrize(
    "changes", [{"total": 0}, {"reserved": -1}, {"total": 4, "reserved": 5}, {"allocation_ratio": 0.0}], ids=str
)
async def test_a_stock_that_makes_no_sense_is_caught(driver: Liar, changes: dict[str, Any]) -> None:
    driver.lie = stock("VCPU", **changes)
    with pytest.raises((AssertionError, ValueError)):
        await Suite().test_the_host_states_cpus_memory_and_disk(driver)


@pytest.mark.parametrize(
    "log",
    [lambda whole, most: whole[:most], lambda whole, most: whole[-max(most, 1) :], lambda whole, most: b""],
    ids=["the beginning", "never nothing", "always nothing"],
)
async def test_a_console_that_is_not_the_end_of_what_was_printed_is_caught(
    driver: Liar, log: Callable[[bytes, int], bytes]
) -> None:
    plan = GuestPlan(
        id="11111111-2222-4333-8444-555555555555", name="a", hostname="a", vcpus=1, memory_mb=64, root_gb=1
    )
    guest: Guest = await driver.create(plan)
    test = Suite().test_the_console_log_is_the_end_of_what_was_printed
    await test(driver, plan, guest)
    driver.log = log
    with pytest.raises(AssertionError):
        await test(driver, plan, guest)
