"""What operators change holds for the next decision, and what they name is looked up as it is then."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from novakit import errors, world
from novakit.bus import MemoryBus
from novakit.compute.hosts import Hosts
from novakit.placement import HostReport, Placement
from novakit.scheduler.picture.groups import Groups
from novakit.scheduler.picture.table import HostTable
from novakit.store import Session
from novakit.store.compute import server_groups
from novakit.store.placement import inventories, resource_providers, traits
from novakit.store.placement.tables import CountedInventory
from novakit_hookspecs.hosts import Inventory


@pytest.mark.parametrize(("name", "node"), [("host1", None), (None, "node1"), ("host1", "node1")])
async def test_a_host_is_known_from_its_first_report_on(cloud: Any, name: str | None, node: str | None) -> None:
    hosts = Hosts(cloud.store, MemoryBus().join("api"))
    with pytest.raises(errors.BadRequest, match=r"^Compute host .*1 could not be found\.$"):
        await hosts.require(name, node)
    await cloud.add_hosts(2)
    await hosts.require(name, node)
    with pytest.raises(errors.BadRequest, match=r"^Compute host host1 with the hypervisor node0 could not be found\.$"):
        await hosts.require("host1", "node0")


async def test_a_group_that_changes_while_it_is_read_is_read_again(cloud: Any) -> None:
    group = await cloud.group("affinity", [])
    groups = Groups(cloud.store, HostTable())
    reading = asyncio.create_task(groups.load([group["id"]]))
    await asyncio.sleep(0)
    groups.forget([group["id"]])
    await reading
    async with cloud.store.write() as session:
        await server_groups.change(session, group["id"], policy="anti-affinity")
    await groups.load([group["id"]])
    known = groups.get(group["id"])
    assert known is not None and known.policy == "anti-affinity"


async def test_a_group_that_changes_stays_known_to_those_who_are_deciding(cloud: Any) -> None:
    group = await cloud.group("affinity", [])
    groups = Groups(cloud.store, HostTable())
    await groups.load([group["id"]])
    groups.forget([group["id"]])
    assert groups.get(group["id"]) is not None
    async with cloud.store.write() as session:
        await server_groups.remove(session, group["id"])
    await groups.load([group["id"]])
    assert groups.get(group["id"]) is None


async def test_nobody_decides_on_a_picture_that_is_half_painted(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(3)
    scheduler = cloud.scheduler()
    first = asyncio.create_task(scheduler.state.refresh())
    await asyncio.sleep(0)
    assert (await scheduler.dry_run(make())).hosts == 3
    await first


class Interrupted(Placement):
    """A ledger of which the inventories cannot be read once."""

    is_away = False

    async def inventories(
        self, session: Session, ids: Iterable[str] | None = None
    ) -> dict[str, dict[str, CountedInventory]]:
        if self.is_away:
            self.is_away = False
            raise ConnectionError("the database is away")
        return await super().inventories(session, ids)


async def test_what_changed_while_the_database_was_away_is_read_afterwards(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(1)
    cloud.placement = placement = Interrupted(cloud.store)
    scheduler = cloud.scheduler()
    await scheduler.open()
    await cloud.scheduler(name="other").select([make()])
    placement.is_away = True
    scheduler.state.mark_stale()
    with pytest.raises(ConnectionError):
        await scheduler.state.refresh()
    await scheduler.state.refresh()
    assert scheduler.state.table.column("used_memory_mb").tolist() == [1024.0]


async def test_a_host_gets_back_what_it_lost_in_placement_and_its_provider_too(cloud: Any) -> None:
    id, inventory = world.new_id(), {"VCPU": Inventory(total=4), "MEMORY_MB": Inventory(total=0)}
    one = HostReport(provider_id=id, name="one", inventory=inventory, traits=frozenset({"CUSTOM_A", "CUSTOM_B"}))

    async def restored() -> tuple[bool, set[str], set[str]]:
        async with cloud.store.write() as session:
            changed = await cloud.placement.stale(session, {id: one})
            await cloud.placement.report_hosts(session, [one] if changed else [])
            traits = (await cloud.placement.traits(session, [id])).get(id, set())
            return changed == {id}, set(traits), set((await cloud.placement.inventories(session, [id])).get(id, ()))

    assert await restored() == (True, {"CUSTOM_A", "CUSTOM_B"}, {"VCPU"})
    assert await restored() == (False, {"CUSTOM_A", "CUSTOM_B"}, {"VCPU"})
    async with cloud.store.write() as session:
        await traits.replace(session, id, {"CUSTOM_B"})
        await inventories.replace(session, id, {})
    assert await restored() == (True, {"CUSTOM_A", "CUSTOM_B"}, {"VCPU"})
    async with cloud.store.write() as session:
        await resource_providers.delete(session, id)
    assert await restored() == (True, {"CUSTOM_A", "CUSTOM_B"}, {"VCPU"})
