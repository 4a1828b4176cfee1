"""What hosts report, and what operators set beside it."""

import pytest

from novakit.errors import BadRequest, Conflict
from novakit.placement import AllocationClaim, Placement
from novakit.store.placement import inventories, resource_providers, traits
from novakit.store.placement.inventories import StatedInventory
from novakit_hookspecs.hosts import Inventory
from tests.support.stores import sqlite_store

HOST, OTHER = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
STOCK = {"VCPU": Inventory(total=8, allocation_ratio=2.5), "CUSTOM_ACME": Inventory(total=2)}


@pytest.fixture
async def placement(tmp_path):
    store = await sqlite_store(tmp_path / "placement.db")
    yield Placement(store)
    await store.close()


async def report(placement, id=HOST, name="host", inventory=STOCK, traits=("HW_CPU_X86_AVX2", "CUSTOM_ACME_V2")):
    async with placement.store.write() as session:
        return await placement.report_host(session, provider_id=id, name=name, inventory=inventory, traits=traits)


async def state(placement, id=HOST):
    async with placement.store.read() as session:
        generation = (await resource_providers.provider(session, id))["generation"]
        stock = {name: row["capacity"] for name, row in (await placement.inventories(session))[id].items()}
        return generation, stock, (await placement.traits(session)).get(id, frozenset())


async def test_a_report_makes_a_provider_with_its_own_classes_and_traits(placement):
    assert await report(placement)
    _, stock, borne = await state(placement)
    assert stock == {"VCPU": 20, "CUSTOM_ACME": 2}
    assert borne == {"HW_CPU_X86_AVX2", "CUSTOM_ACME_V2"}


async def test_the_same_report_again_changes_nothing(placement):
    await report(placement)
    before = await state(placement)
    assert not await report(placement)
    assert await state(placement) == before


async def test_a_changed_report_raises_the_generation(placement):
    await report(placement)
    generation, _, _ = await state(placement)
    assert await report(placement, inventory={"VCPU": Inventory(total=9)}, traits=())
    assert await state(placement) == (generation + 1, {"VCPU": 9}, frozenset())


async def test_what_an_operator_added_survives_reports(placement):
    await report(placement)
    async with placement.store.write() as session:
        await traits.ensure(session, "CUSTOM_GOLD")
        await traits.replace(session, HOST, [*await traits.of_provider(session, HOST), "CUSTOM_GOLD"])
        await inventories.create(session, HOST, "VGPU", StatedInventory(total=3))
    await report(placement, inventory={"VCPU": Inventory(total=1)}, traits=())
    _, stock, borne = await state(placement)
    assert stock == {"VCPU": 1, "VGPU": 3}
    assert borne == {"CUSTOM_GOLD"}


async def test_inventory_that_is_held_is_withdrawn_rather_than_removed(placement):
    await report(placement)
    claim = AllocationClaim(consumer_id=OTHER, project_id="p", user_id="u", allocations={HOST: {"CUSTOM_ACME": 1}})
    async with placement.store.write() as session:
        assert await placement.claim_many(session, [claim]) == [True]
    await report(placement, inventory={"VCPU": Inventory(total=8)})
    assert (await state(placement))[1] == {"VCPU": 8, "CUSTOM_ACME": 0}
    async with placement.store.write() as session:
        await placement.release(session, OTHER)
    await report(placement, inventory={"VCPU": Inventory(total=8)})
    assert (await state(placement))[1] == {"VCPU": 8}


async def test_a_name_that_another_provider_has_is_refused(placement):
    await report(placement)
    with pytest.raises(Conflict, match="already named host"):
        await report(placement, id=OTHER)
    assert await report(placement, name="renamed")
    assert await report(placement, id=OTHER)


async def test_a_class_or_trait_that_no_standard_knows_is_refused(placement):
    with pytest.raises(BadRequest, match="ACME_GPU"):
        await report(placement, inventory={"ACME_GPU": Inventory(total=1)})
    with pytest.raises(BadRequest, match="FAST"):
        await report(placement, traits=("FAST",))
