"""What operators change holds for the next decision, and what they name is looked up as it is then."""

import asyncio
from typing import Any

import pytest

from novakit import errors
from novakit.bus import MemoryBus
from novakit.compute.hosts import Hosts
from novakit.scheduler.groups import Groups
from novakit.scheduler.table import HostTable
from novakit.store import server_groups


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
    assert (await scheduler.dry_run(make()))["hosts"] == 3
    await first
