"""Resources of several providers below a host: each class from one of them, each request group from one of them."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from novakit import errors, world
from novakit.calls.scheduler import Refusal, Selection
from novakit.scheduler.limits import SchedulerLimits
from novakit.store.compute import hosts
from novakit.store.placement import inventories, names, resource_providers, traits
from novakit.store.placement.inventories import StatedInventory
from novakit_hookspecs.hosts import PciDevice


async def card(cloud: Any, host: str, traits_of: str = "", **stock: int | StatedInventory) -> str:
    """Hang a provider below a host, as an operator would; give its id."""
    made, bears = world.new_id(), set(traits_of.split())
    amounts = {
        name: one if isinstance(one, StatedInventory) else StatedInventory(total=one, max_unit=one)
        for name, one in stock.items()
    }
    async with cloud.store.write() as session:
        (root,) = [row["provider_id"] for row in await hosts.every(session) if row["name"] == host]
        await names.ensure_classes(session, amounts)
        await names.ensure_traits(session, bears)
        await resource_providers.create(session, id=made, name=f"{host}-{made}", parent_id=root)
        await inventories.replace(session, made, amounts)
        await traits.replace(session, made, bears)
    return str(made)


async def held(cloud: Any, server: str) -> dict[str, Mapping[str, int]]:
    """Give what a server holds below its host, by provider."""
    async with cloud.store.read() as session:
        claim = (await cloud.placement.consumers(session))[server]
        roots = {row["provider_id"] for row in await hosts.every(session)}
    return {provider: amounts for provider, amounts in claim.allocations.items() if provider not in roots}


async def test_a_group_comes_from_a_provider_that_has_all_of_it(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2)
    await card(cloud, "host0", "CUSTOM_OLD", FPGA=2)
    await card(cloud, "host1", "CUSTOM_OLD", FPGA=8)
    new = await card(cloud, "host1", "CUSTOM_AI", FPGA=2)
    specs = {"resources1:FPGA": "2", "trait1:CUSTOM_AI": "required", "trait1:CUSTOM_OLD": "forbidden"}
    one = make(extra_specs=specs)
    assert one.resources["FPGA"] == 2
    (placed,) = await cloud.scheduler().select([one])
    assert placed.host == "host1" and await held(cloud, one.server_id) == {new: {"FPGA": 2}}
    (refused,) = await cloud.scheduler().select([make(extra_specs=specs)])
    assert isinstance(refused, Refusal)
    wanted = "2 FPGA with CUSTOM_AI and without CUSTOM_OLD"
    assert f"2 have no provider for a group ({wanted})" in refused.message


async def test_groups_that_are_isolated_take_a_provider_each(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2)
    await card(cloud, "host0", FPGA=8)
    two = {await card(cloud, "host1", FPGA=1), await card(cloud, "host1", FPGA=1)}
    specs = {"resources_A:FPGA": "1", "resources_B:FPGA": "1", "group_policy": "isolate"}
    one = make(extra_specs=specs)
    (placed,) = await cloud.scheduler().select([one])
    assert placed.host == "host1" and (await held(cloud, one.server_id)).keys() == two
    (refused,) = await cloud.scheduler().select([make(extra_specs=specs)])
    assert isinstance(refused, Refusal) and "too few providers for the groups" in refused.message
    together = make(extra_specs={**specs, "group_policy": "none"})
    (placed,) = await cloud.scheduler().select([together])
    assert placed.host == "host0" and list((await held(cloud, together.server_id)).values()) == [{"FPGA": 2}]


async def test_groups_come_beside_what_the_flavor_takes_without_a_group(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(1)
    small, large = await card(cloud, "host0", FPGA=1), await card(cloud, "host0", FPGA=3)
    one = make(vcpus=2, extra_specs={"resources:FPGA": "1", "resources1:FPGA": "3", "resources2:VCPU": "1"})
    assert (one.resources["FPGA"], one.resources["VCPU"]) == (4, 3)
    (placed,) = await cloud.scheduler().select([one])
    assert await held(cloud, one.server_id) == {small: {"FPGA": 1}, large: {"FPGA": 3}}
    async with cloud.store.read() as session:
        claim = (await cloud.placement.consumers(session))[one.server_id]
    assert claim.allocations[placed.provider_id] == {"VCPU": 3, "MEMORY_MB": 1024, "DISK_GB": 1}


async def test_a_class_that_no_single_provider_has_enough_of_is_refused_by_that_reason(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(1)
    for _ in range(2):
        await card(cloud, "host0", FPGA=2)
    scheduler = cloud.scheduler()
    (refused,) = await scheduler.select([make(extra_specs={"resources:FPGA": "3"})])
    assert isinstance(refused, Refusal)
    assert "1 have no provider with enough FPGA (wanted 3, at most 2 on one)" in refused.message
    assert "1 more FPGA on one provider" in refused.detail
    assert scheduler.counts.conflicts == 0


async def test_an_amount_between_the_units_is_refused_by_that_reason(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(1)
    await card(cloud, "host0", FPGA=StatedInventory(total=8, min_unit=2, step_size=2))
    scheduler = cloud.scheduler()
    (refused,) = await scheduler.select([make(extra_specs={"resources:FPGA": "3"})])
    assert isinstance(refused, Refusal) and "1 give FPGA in other amounts (wanted 3)" in refused.message
    assert scheduler.counts.conflicts == 0
    (placed,) = await scheduler.select([make(extra_specs={"resources:FPGA": "4"})])
    assert isinstance(placed, Selection)


async def test_odd_units_of_the_hosts_own_provider_count_too(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(1)
    async with cloud.store.write() as session:
        (row,) = await hosts.every(session)
        await inventories.create(session, row["provider_id"], "SRIOV_NET_VF", StatedInventory(total=8, max_unit=2))
    scheduler = cloud.scheduler()
    (refused,) = await scheduler.select([make(extra_specs={"resources:SRIOV_NET_VF": "4"})])
    assert isinstance(refused, Refusal) and "give one server less SRIOV_NET_VF (wanted 4, at most 2)" in refused.message
    assert "a max_unit of 4 SRIOV_NET_VF instead of 2" in refused.detail
    (placed,) = await scheduler.select([make(extra_specs={"resources:SRIOV_NET_VF": "2"})])
    assert isinstance(placed, Selection) and scheduler.counts.conflicts == 0


@pytest.mark.parametrize("isolate", [False, True])
async def test_groups_of_hosts_with_one_provider_come_from_it(cloud: Any, make: Any, isolate: bool) -> None:
    await cloud.add_hosts(2)
    specs = {"resources1:VCPU": "1", "trait1:CUSTOM_EVEN": "required", "resources2:MEMORY_MB": "64"}
    one = make(extra_specs={**specs, "group_policy": "isolate" if isolate else "none"})
    (told,) = await cloud.scheduler().select([one])
    if isolate:
        assert isinstance(told, Refusal) and "2 have too few providers for the groups" in told.message
    else:
        assert told.host == "host0" and await held(cloud, one.server_id) == {}


async def test_a_batch_knows_what_its_first_servers_took_of_each_provider(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2, vcpus=64)
    for host in ("host0", "host1"):
        for kind in ("CUSTOM_AI", "CUSTOM_OLD"):
            await card(cloud, host, kind, FPGA=4)
    scheduler = cloud.scheduler()
    specs = {"resources1:FPGA": "1", "trait1:CUSTOM_AI": "required"}
    results = await scheduler.select([make(memory_mb=64, extra_specs=specs) for _ in range(12)])
    assert [isinstance(one, Selection) for one in results].count(True) == 8
    assert scheduler.counts.conflicts == 0
    (more,) = await scheduler.select([make(memory_mb=64, extra_specs={"resources1:FPGA": "1"})])
    assert isinstance(more, Selection)


async def test_no_unit_is_given_twice_by_schedulers_side_by_side(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2, vcpus=64)
    cards = [await card(cloud, host, "CUSTOM_AI", FPGA=1) for host in ("host0", "host1") for _ in range(4)]
    schedulers = [cloud.scheduler(limits=SchedulerLimits(batch=4)) for _ in range(2)]
    specs = {"resources1:FPGA": "1", "trait1:CUSTOM_AI": "required"}
    asks = [make(memory_mb=64, extra_specs=specs) for _ in range(30)]
    results = await asyncio.gather(*(schedulers[n % 2].select([one]) for n, one in enumerate(asks)))
    placed = [one.server_id for (one,) in results if isinstance(one, Selection)]
    assert len(placed) == 8
    taken = [provider for server in placed for provider in (await held(cloud, server))]
    assert sorted(taken) == sorted(cards)
    async with cloud.store.read() as session:
        assert await cloud.placement.drift(session) == []


async def test_a_group_may_name_a_device_of_the_host_by_its_model(cloud: Any, make: Any) -> None:
    models = (("0000:10:00.0", "20b0"), ("0000:11:00.0", "20b5"), ("0000:12:00.0", "20b0"))
    pci = tuple(PciDevice(address=at, kind="a100", vendor_id="10de", product_id=model) for at, model in models)
    await cloud.add_hosts(1, pci=pci)
    specs = {"resources1:CUSTOM_PCI_A100": "1", "trait1:CUSTOM_PCI_10DE_20B5": "required"}
    one = make(extra_specs={**specs, "pci_passthrough:alias": "a100:1"})
    (placed,) = await cloud.scheduler().select([one])
    assert [each.address for each in placed.devices] == ["0000:10:00.0", "0000:11:00.0"]
    (again,) = await cloud.scheduler().select([one])
    assert again.devices == placed.devices
    (refused,) = await cloud.scheduler().select([make(extra_specs=specs)])
    assert isinstance(refused, Refusal) and "CUSTOM_PCI_10DE_20B5" in refused.message


async def test_what_was_held_of_a_provider_comes_back(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(1)
    await card(cloud, "host0", FPGA=1)
    scheduler = cloud.scheduler()
    scheduler.state.refresh_every = 0
    one, two = (make(extra_specs={"resources1:FPGA": "1"}) for _ in range(2))
    await scheduler.select([one])
    async with cloud.store.write() as session:
        await cloud.placement.release(session, one.server_id)
    (again,) = await scheduler.select([two])
    assert isinstance(again, Selection)


@pytest.mark.parametrize(
    ("specs", "told"),
    [
        ({"resources1:FPGA": "many"}, "takes a number"),
        ({"trait1:CUSTOM_AI": "maybe"}, "takes required or forbidden"),
        ({"trait1:CUSTOM_AI": "required"}, "has traits and no resources"),
        ({"resources1:FPGA": "1", "group_policy": "apart"}, "takes none or isolate"),
        ({"resources1:fpga": "1"}, "names no resource class"),
        ({"resources 1:FPGA": "1"}, "names no resource class"),
        ({f"resources{number}:FPGA": "1" for number in range(65)}, "64 is the most"),
    ],
)
def test_groups_that_cannot_be_are_refused_with_a_sentence(make: Any, specs: dict[str, str], told: str) -> None:
    with pytest.raises(errors.BadRequest, match=told):
        make(extra_specs=specs)
