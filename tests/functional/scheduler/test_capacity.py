"""Capacity against the ledger: as many as it says can be claimed, and not one more."""

from typing import Any

import pytest

from novakit import world
from novakit.calls.scheduler import Selection
from novakit.store.compute import aggregates
from novakit_hookspecs.hosts import PciDevice
from novakit_hookspecs.numa import NumaCell

CELLS = [NumaCell(id=number, dedicated=range(number * 4, number * 4 + 4), memory_mb=8192) for number in range(2)]
NICS = [PciDevice(address=f"0000:{bus:02x}:00.0", kind="nic", numa_cell=bus % 2) for bus in range(5)]
PINNED = {"hw:cpu_policy": "dedicated"}
NEAR = {**PINNED, "pci_passthrough:alias": "nic:1", "hw:pci_numa_affinity_policy": "required"}


@pytest.mark.parametrize(
    ("ask", "fits", "ends"),
    [
        ({"memory_mb": 1500}, 2 * 4 + 3 * 2, {"MEMORY_MB": 5}),
        ({"memory_mb": 64, "vcpus": 3}, 5 * 5, {"VCPU": 5}),
        ({"memory_mb": 64, "vcpus": 3, "extra_specs": PINNED}, 2 * 2, {"PCPU": 2}),
        ({"memory_mb": 64, "vcpus": 1, "extra_specs": NEAR}, 2 * 5, {"CUSTOM_PCI_NIC": 2}),
        ({"memory_mb": 64, "vcpus": 2, "extra_specs": NEAR}, 2 * 4, {"PCPU": 2}),
    ],
)
async def test_as_many_can_be_claimed_as_are_said_to_fit(
    cloud: Any, make: Any, ask: dict[str, Any], fits: int, ends: dict[str, int]
) -> None:
    await cloud.add_hosts(2, memory_mb=6144, numa=CELLS, pci=NICS)
    await cloud.add_hosts(3, memory_mb=3500, start=2)
    scheduler = cloud.scheduler()
    told = await scheduler.capacity(make(**ask))
    assert (told.fits, told.runs_out_first) == (fits, ends)
    results = await scheduler.select([make(**ask) for _ in range(fits + 1)])
    assert sum(isinstance(one, Selection) for one in results) == fits
    assert (await scheduler.capacity(make(**ask))).fits == 0


async def test_a_lower_ratio_of_an_aggregate_counts(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2)
    async with cloud.store.write() as session:
        half = await aggregates.add(session, "half", {"ram_allocation_ratio": "0.5"})
        await aggregates.add_host(session, half["id"], "host0")
    scheduler = cloud.scheduler()
    told = await scheduler.capacity(make())
    assert {each.host: (each.fits, each.runs_out) for each in told.hosts} == {
        "host0": (2, "ram"),
        "host1": (4, "MEMORY_MB"),
    }
    results = await scheduler.select([make() for _ in range(7)])
    assert sum(isinstance(one, Selection) for one in results) == told.fits == 6


async def test_the_members_of_a_group_that_stand_already_count(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(4)
    scheduler = cloud.scheduler()
    servers = [world.new_id() for _ in range(6)]
    group = {"id": (await cloud.group("anti-affinity", servers))["id"]}
    first = await scheduler.select([make(server_id=servers[0], group=group)])
    told = await scheduler.capacity(make(group=group))
    assert told.fits == 3 and first[0].host not in {each.host for each in told.hosts}
    assert set(told.runs_out_first) == {"group_anti_affinity"}
    rest = await scheduler.select([make(server_id=server, group=group) for server in servers[1:]])
    assert sum(isinstance(one, Selection) for one in rest) == 3


async def test_where_nothing_fits_the_reason_is_told(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2)
    scheduler = cloud.scheduler()
    told = await scheduler.capacity(make(extra_specs={"hw:cpu_policy": "dedicated"}))
    assert told.fits == 0 and "2 lack PCPU (wanted 1, at most 0 free)" in told.message
    assert not (await scheduler.capacity(make())).message
