"""PCI devices are chosen with the NUMA cells, claimed one by one, and given to one server each."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from novakit import world
from novakit.calls.decisions import GivenDevice
from novakit.calls.scheduler import Refusal, Selection
from novakit.scheduler.limits import SchedulerLimits
from novakit.store.compute import hosts
from novakit.store.placement.hosts import device_id
from novakit_hookspecs.hosts import PciDevice
from novakit_hookspecs.numa import NumaCell

PINNED = {"hw:cpu_policy": "dedicated"}
CELLS = tuple(
    NumaCell(id=number, dedicated=tuple(range(number * 8, number * 8 + 8)), memory_mb=8192) for number in range(2)
)


def some(kind: str, cells: Iterable[int | None], bus: int = 0x10) -> tuple[PciDevice, ...]:
    """Make one device on each of these cells."""
    return tuple(
        PciDevice(address=f"0000:{bus + number:02x}:00.0", kind=kind, numa_cell=cell)
        for number, cell in enumerate(cells)
    )


def given(results: Sequence[Any]) -> list[tuple[str, str]]:
    """Give host and address of every device that was given."""
    return [(one.host, each.address) for one in results if isinstance(one, Selection) for each in one.devices]


async def held(cloud: Any, server: str) -> dict[str, int]:
    """Give how much a server holds of each class of devices."""
    async with cloud.store.read() as session:
        claim = (await cloud.placement.consumers(session)).get(server)
    amounts: Counter[str] = Counter()
    for classes in claim.allocations.values() if claim else ():
        amounts.update({name: amount for name, amount in classes.items() if name.startswith("CUSTOM_PCI")})
    return dict(amounts)


async def test_a_server_holds_the_devices_it_is_to_be_handed(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(1, pci=(*some("a100", [0, 0, 1]), *some("qat", [None], bus=0x40)))
    one = make(extra_specs={"pci_passthrough:alias": "a100:2,qat"})
    (first,) = await cloud.scheduler().select([one])
    assert [each.kind for each in first.devices] == ["a100", "a100", "qat"]
    assert await held(cloud, one.server_id) == {"CUSTOM_PCI_A100": 2, "CUSTOM_PCI_QAT": 1}
    async with cloud.store.read() as session:
        claim = (await cloud.placement.consumers(session))[one.server_id]
    expected = {device_id(first.provider_id, each.address) for each in first.devices}
    assert set(claim.allocations) == {first.provider_id, *expected}
    (again,) = await cloud.scheduler().select([one])
    assert (again.host, again.devices) == (first.host, first.devices)


async def test_a_decision_names_the_devices(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(1, pci=some("a100", [0]))
    scheduler, one = cloud.scheduler(), make(extra_specs={"pci_passthrough:alias": "a100:1"})
    await scheduler.select([one])
    (decision,) = await scheduler.decisions(server_id=one.server_id)
    assert decision.devices == (GivenDevice(address="0000:10:00.0", kind="a100"),)
    assert decision.asked is not None and decision.asked.resources["CUSTOM_PCI_A100"] == 1


@pytest.mark.parametrize("alone", [True, False])
async def test_no_device_is_given_twice_by_schedulers_side_by_side(cloud: Any, make: Any, alone: bool) -> None:
    await cloud.add_hosts(2, memory_mb=65536, vcpus=64, pci=some("a100", [0, 0, 1, 1]))
    schedulers = [cloud.scheduler(limits=SchedulerLimits(batch=4)) for _ in range(1 if alone else 2)]
    asks = [make(memory_mb=64, extra_specs={"pci_passthrough:alias": "a100:1"}) for _ in range(50)]
    work = (schedulers[number % len(schedulers)].select([one]) for number, one in enumerate(asks))
    results = [one for (one,) in await asyncio.gather(*work)]
    assert len([one for one in results if isinstance(one, Selection)]) == 8
    assert len(set(given(results))) == len(given(results)) == 8
    refused = [one.message for one in results if isinstance(one, Refusal)]
    assert any("lack CUSTOM_PCI_A100 (wanted 1, at most 0 free)" in message for message in refused)
    async with cloud.store.read() as session:
        assert await cloud.placement.drift(session) == []
    if alone:
        assert schedulers[0].counts.conflicts == 0


async def test_a_batch_gives_the_devices_of_one_host_without_conflicts(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(1, memory_mb=65536, vcpus=64, numa=CELLS, pci=some("nic", [0, 1] * 4))
    specs = {**PINNED, "pci_passthrough:alias": "nic:2", "hw:pci_numa_affinity_policy": "required"}
    scheduler = cloud.scheduler()
    results = await scheduler.select([make(vcpus=1, memory_mb=64, extra_specs=specs) for _ in range(5)])
    assert [isinstance(one, Selection) for one in results] == [True] * 4 + [False]
    assert len(set(given(results))) == 8 and scheduler.counts.conflicts == 0
    on_cell = {device.address: device.numa_cell for device in some("nic", [0, 1] * 4)}
    for one in results[:4]:
        assert {on_cell[each.address] for each in one.devices} == {taken.cell for taken in one.numa}


async def test_a_device_that_another_took_meanwhile_leads_to_the_next_host(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2, pci=some("a100", [0]))
    one, other = cloud.scheduler(), cloud.scheduler()
    for scheduler in (one, other):
        scheduler.state.refresh_every = 3600
        await scheduler.open()
    asks = [make(extra_specs={"pci_passthrough:alias": "a100:1"}) for _ in range(2)]
    (first,) = await one.select([asks[0]])
    # The other still believes that both are free.
    (second,) = await other.select([asks[1]])
    assert isinstance(second, Selection) and second.host != first.host
    assert len(set(given([first, second]))) == 2
    (none,) = await other.select([make(extra_specs={"pci_passthrough:alias": "a100:1"})])
    assert isinstance(none, Refusal)


async def test_devices_come_back_when_a_server_goes(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(1, pci=some("a100", [0]))
    scheduler = cloud.scheduler()
    scheduler.state.refresh_every = 0
    one, two = (make(extra_specs={"pci_passthrough:alias": "a100:1"}) for _ in range(2))
    await scheduler.select([one])
    async with cloud.store.write() as session:
        await cloud.placement.release(session, one.server_id)
    (again,) = await scheduler.select([two])
    assert given([again]) == [("host0", "0000:10:00.0")]


@pytest.mark.parametrize("first", ["facts", "stock"])
async def test_facts_and_stock_may_come_in_either_order(cloud: Any, make: Any, first: str) -> None:
    await cloud.add_hosts(1)
    scheduler = cloud.scheduler()
    scheduler.state.refresh_every = 0
    await scheduler.open()
    nics = some("nic", [0])
    async with cloud.store.read() as session:
        (row,) = await hosts.every(session)
    steps = {
        "facts": lambda session: hosts.report(
            session, "host0", {**row["facts"], "pci": [{"address": nics[0].address, "kind": "nic", "numa_cell": 0}]}
        ),
        "stock": lambda session: cloud.placement.report_host(
            session, provider_id=row["provider_id"], name="host0", inventory={}, pci=nics
        ),
    }
    specs = {"pci_passthrough:alias": "nic:1"}
    for name in sorted(steps, key=lambda name: name != first):
        told = await scheduler.dry_run(make(extra_specs=specs))
        assert any(stage.after == 0 for stage in told.filters)
        async with cloud.store.write() as session:
            await steps[name](session)
    await scheduler.state.refresh()
    (pool,) = scheduler.state.table.column("pci")[0]
    assert (pool.kind, pool.numa_cell, pool.free) == ("nic", 0, 1)
    assert scheduler.state.table.column("free_resource_custom_pci_nic")[0] == 1


async def test_a_device_that_an_operator_reserved_or_somebody_claimed_by_hand_is_not_given(
    cloud: Any, make: Any
) -> None:
    await cloud.add_hosts(1, pci=some("nic", [0, 0]))
    async with cloud.store.write() as session:
        (row,) = await hosts.every(session)
        provider = device_id(row["provider_id"], "0000:10:00.0")
        await cloud.placement.claim(
            session, world.new_id(), project_id="p", user_id="u", allocations={provider: {"CUSTOM_PCI_NIC": 1}}
        )
    results = await cloud.scheduler().select([make(extra_specs={"pci_passthrough:alias": "nic:1"}) for _ in range(2)])
    assert given(results) == [("host0", "0000:11:00.0")]
    assert isinstance(results[1], Refusal)


async def test_eight_gpus_over_two_cells_are_not_given_as_four_and_four_where_they_must_be_together(
    cloud: Any, make: Any
) -> None:
    await cloud.add_hosts(1, memory_mb=65536, pci=some("a100", [0, 1] * 4))
    specs = {"gpu:type": "a100", "gpu:count": "8", "gpu:numa_affinity": "true"}
    scheduler = cloud.scheduler()
    (refused,) = await scheduler.select([make(extra_specs=specs)])
    assert isinstance(refused, Refusal) and "but at most 4 on one NUMA cell" in refused.message
    (four,) = await scheduler.select([make(extra_specs={**specs, "gpu:count": "4"})])
    assert {each.address for each in four.devices} == {f"0000:{bus:02x}:00.0" for bus in (0x10, 0x12, 0x14, 0x16)}
    (two,) = await scheduler.select([make(extra_specs={**specs, "gpu:count": "2", "gpu:numa_affinity": "false"})])
    assert len(two.devices) == 2
    assert await held(cloud, two.server_id) == {"CUSTOM_PCI_A100": 2}


async def test_capacity_counts_devices(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2, memory_mb=65536, vcpus=64, pci=some("a100", [0] * 5))
    told = await cloud.scheduler().capacity(make(memory_mb=64, extra_specs={"pci_passthrough:alias": "a100:2"}))
    assert told.fits == 4 and told.runs_out_first == {"CUSTOM_PCI_A100": 2}


async def test_capacity_counts_only_devices_that_are_together(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2, memory_mb=65536, vcpus=64, pci=some("a100", [0, 0, 0, 1, 1, 1]))
    gpus = {"gpu:type": "a100", "gpu:count": "2", "gpu:numa_affinity": "true"}
    told = await cloud.scheduler().capacity(make(memory_mb=64, extra_specs=gpus))
    assert told.fits == 4 and told.runs_out_first == {"NUMA cells and devices": 2}


async def test_devices_asked_for_by_resource_class_are_particular_ones_too(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(1, pci=(*some("a100", [0, 0]), *some("A100", [1], bus=0x40), *some("nic", [0], bus=0x50)))
    scheduler = cloud.scheduler()
    one = make(extra_specs={"pci_passthrough:alias": "A100:1", "resources:CUSTOM_PCI_A100": "2"})
    results = await scheduler.select([one, make(extra_specs={"resources:CUSTOM_PCI_A100": "1"})])
    assert [each.kind for each in results[0].devices] == ["a100", "a100", "A100"]
    assert await held(cloud, one.server_id) == {"CUSTOM_PCI_A100": 3}
    assert "lack CUSTOM_PCI_A100 (wanted 1, at most 0 free)" in results[1].message
    (nic,) = await scheduler.select([make(extra_specs={"resources:CUSTOM_PCI_NIC": "1"})])
    assert given([nic]) == [("host0", "0000:50:00.0")]
