"""PCI devices in the ledger: what hosts report, what servers hold, what operators set."""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest

from novakit.errors import Conflict
from novakit.placement import AllocationClaim, HostReport, Placement
from novakit.store.placement import inventories, resource_providers, traits
from novakit.store.placement.hosts import device_id
from novakit.store.placement.inventories import StatedInventory
from novakit_hookspecs.hosts import Inventory, PciDevice, pci_name
from tests.support.stores import sqlite_store

HOST, SERVER = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
GPU = PciDevice(address="0000:3b:00.0", kind="a100", vendor_id="10de", product_id="20b5", numa_cell=0)
NIC = PciDevice(address="0000:af:00.1", kind="fast-nic")
GPU_ID, NIC_ID = device_id(HOST, GPU.address), device_id(HOST, NIC.address)


@pytest.fixture
async def placement(tmp_path: Path) -> AsyncIterator[Placement]:
    store = await sqlite_store(tmp_path / "placement.db")
    yield Placement(store)
    await store.close()


async def report(placement: Placement, *pci: PciDevice, host: str = HOST, name: str = "host") -> bool:
    async with placement.store.write() as session:
        stock = {"VCPU": Inventory(total=8)}
        return await placement.report_host(session, provider_id=host, name=name, inventory=stock, pci=pci)


async def is_stale(placement: Placement, *pci: PciDevice) -> bool:
    """Tell whether the host is to be compared again with a report that is the last one."""
    stock = {"VCPU": Inventory(total=8)}
    again = HostReport(provider_id=HOST, name="host", inventory=stock, traits=frozenset(), pci=pci)
    async with placement.store.read() as session:
        return await placement.stale(session, {HOST: again}) == {HOST}


async def tree(placement: Placement) -> dict[str, dict[str, int]]:
    """Give what can be allocated, by provider name and class."""
    async with placement.store.read() as session:
        stock = await placement.inventories(session)
        rows = await resource_providers.search(session, in_tree=HOST)
    return {
        row["name"]: {name: one["capacity"] for name, one in stock.get(row["id"], {}).items()}
        for row in rows
        if row["id"] == HOST or (row["parent_id"], row["root_id"]) == (HOST, HOST)
    }


async def hold(placement: Placement, provider: str, resource_class: str) -> bool:
    claim = AllocationClaim(
        consumer_id=SERVER, project_id="p", user_id="u", allocations={provider: {resource_class: 1}}
    )
    async with placement.store.write() as session:
        return (await placement.claim_many(session, [claim]))[0]


async def release(placement: Placement) -> None:
    async with placement.store.write() as session:
        await placement.release(session, SERVER)


async def test_each_device_is_a_provider_below_its_host(placement: Placement) -> None:
    assert await report(placement, GPU, NIC)
    assert await tree(placement) == {
        "host": {"VCPU": 8},
        "host_0000:3b:00.0": {"CUSTOM_PCI_A100": 1},
        "host_0000:af:00.1": {"CUSTOM_PCI_FAST_NIC": 1},
    }
    async with placement.store.read() as session:
        assert await placement.traits(session) == {GPU_ID: {"CUSTOM_PCI_10DE_20B5"}}
    assert not await report(placement, GPU, NIC)


async def test_a_device_that_is_gone_leaves_nothing(placement: Placement) -> None:
    await report(placement, GPU, NIC)
    async with placement.store.read() as session:
        _, seen = await placement.changed_since(session, 0)
    assert await report(placement, NIC)
    assert set(await tree(placement)) == {"host", "host_0000:af:00.1"}
    async with placement.store.read() as session:
        changed, _ = await placement.changed_since(session, seen)
        assert set(changed) == {GPU_ID, HOST}
        assert GPU_ID not in await placement.traits(session)


async def test_a_device_that_is_gone_while_held_is_withdrawn_and_removed_when_free(placement: Placement) -> None:
    await report(placement, GPU)
    assert await hold(placement, GPU_ID, "CUSTOM_PCI_A100")
    await report(placement)
    assert (await tree(placement))["host_0000:3b:00.0"] == {"CUSTOM_PCI_A100": 0}
    assert not await is_stale(placement)
    await release(placement)
    assert await is_stale(placement)
    await report(placement)
    assert set(await tree(placement)) == {"host"}


async def test_a_device_that_comes_back_while_held_is_still_held(placement: Placement) -> None:
    await report(placement, GPU)
    await hold(placement, GPU_ID, "CUSTOM_PCI_A100")
    await report(placement)
    await report(placement, GPU)
    async with placement.store.read() as session:
        row = (await placement.inventories(session))[GPU_ID]["CUSTOM_PCI_A100"]
    assert (row["capacity"], row["used"]) == (1, 1)


async def test_a_device_of_another_kind_is_offered_only_when_nobody_holds_it_by_the_former(
    placement: Placement,
) -> None:
    other = PciDevice(address=GPU.address, kind="a30")
    await report(placement, GPU)
    await hold(placement, GPU_ID, "CUSTOM_PCI_A100")
    await report(placement, other)
    assert (await tree(placement))["host_0000:3b:00.0"] == {"CUSTOM_PCI_A100": 0}
    assert not await is_stale(placement, other)
    await release(placement)
    assert await is_stale(placement, other)
    await report(placement, other)
    assert (await tree(placement))["host_0000:3b:00.0"] == {"CUSTOM_PCI_A30": 1}


async def test_what_operators_set_on_a_device_survives(placement: Placement) -> None:
    await report(placement, GPU, NIC)
    async with placement.store.write() as session:
        await traits.ensure(session, "CUSTOM_GOLD")
        await traits.replace(session, GPU_ID, [*await traits.of_provider(session, GPU_ID), "CUSTOM_GOLD"])
        await inventories.create(session, NIC_ID, "VGPU", StatedInventory(total=3))
    await report(placement, GPU)
    await report(placement)
    assert await tree(placement) == {"host": {"VCPU": 8}, "host_0000:3b:00.0": {}, "host_0000:af:00.1": {"VGPU": 3}}
    async with placement.store.read() as session:
        assert (await placement.traits(session))[GPU_ID] == {"CUSTOM_GOLD"}


async def test_providers_that_operators_hang_below_a_host_are_left_alone(placement: Placement) -> None:
    await report(placement, GPU)
    mine = "33333333-3333-3333-3333-333333333333"
    async with placement.store.write() as session:
        await resource_providers.create(session, id=mine, name="host_0000:3b:00.7", parent_id=HOST)
        await inventories.create(session, mine, "VGPU", StatedInventory(total=1))
    await report(placement)
    assert await tree(placement) == {"host": {"VCPU": 8}, "host_0000:3b:00.7": {"VGPU": 1}}
    with pytest.raises(Conflict, match="already named"):
        await report(placement, PciDevice(address="0000:3b:00.7", kind="a100"))


async def test_a_host_with_a_hundred_devices_takes_no_more_statements_than_one_with_one(placement: Placement) -> None:
    async def count(host: str, devices: Iterable[PciDevice]) -> int:
        before = placement.store.tally.statements
        await report(placement, *devices, host=host, name=host)
        return placement.store.tally.statements - before

    def some(number: int) -> Any:
        return [PciDevice(address=f"0000:{bus:02x}:00.0", kind="a100") for bus in range(number)]

    await report(placement, GPU)
    hosts = [f"44444444-4444-4444-4444-{number:012}" for number in range(2)]
    assert await count(hosts[0], some(2)) == await count(hosts[1], some(100))
    assert await count(hosts[0], some(1)) == await count(hosts[1], some(50))


async def test_a_batch_larger_than_a_statement_takes_is_written(placement: Placement) -> None:
    devices = [PciDevice(address=f"0000:{bus:02x}:{slot:02x}.0", kind="nic") for bus in range(25) for slot in range(32)]
    reports = [
        HostReport(
            provider_id=f"55555555-5555-5555-5555-{number:012}",
            name=f"h{number}",
            inventory={},
            traits=frozenset(),
            pci=devices,
        )
        for number in range(8)
    ]
    async with placement.store.write() as session:
        assert len(await placement.report_hosts(session, reports)) == 8 * (1 + len(devices))
    async with placement.store.write() as session:
        assert await placement.report_hosts(session, reports) == set()


@pytest.mark.parametrize("address", ["../etc", "0000:3b:00", "0000:3B:00.0", "0000:3b:00.9", "0000:3b:00.0\n"])
def test_an_address_is_one_of_the_bus(address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        PciDevice(address=address, kind="a100")


def test_names_of_classes_hold_what_the_ledger_takes() -> None:
    assert pci_name("a-100 ü") == "CUSTOM_PCI_A_100__"
    assert len(pci_name("x" * 1000)) == 200
