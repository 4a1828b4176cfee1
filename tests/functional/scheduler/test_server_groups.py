"""Server groups beyond the compute API: limits for every policy, a strategy, and changes the next decision heeds."""

from typing import Any

import pytest

from novakit import world
from novakit.store.compute import server_groups
from tests.functional.scheduler.conftest import Desk

GROUPS = "/v1/server-groups"


async def made(desk: Desk, **fields: Any) -> dict[str, Any]:
    status, told = await desk.post(GROUPS, {"server_group": {"name": "g", **fields}}, "member:p")
    assert status == 201, told
    return told["server_group"]  # type: ignore[no-any-return]


async def changed(desk: Desk, group: Any, token: str = "member:p", **fields: Any) -> tuple[int, Any]:
    answer = await desk.http.patch(
        f"{GROUPS}/{group['id']}", json={"server_group": fields}, headers={"X-Auth-Token": token}
    )
    return answer.status, await answer.json()


async def hosts_of(desk: Desk, make: Any, group: Any, count: int) -> list[str | None]:
    ids = [world.new_id() for _ in range(count)]
    async with desk.cloud.store.write() as session:
        await server_groups.join(session, group["id"], ids)
    asks = [make(server_id=server, group={"id": group["id"]}) for server in ids]
    return [getattr(one, "host", None) for one in await desk.scheduler.select(asks)]


@pytest.mark.parametrize(("policy", "placed"), [("affinity", 2), ("soft-affinity", 5), ("soft-anti-affinity", 5)])
async def test_every_policy_takes_the_most_servers_per_host(
    desk: Desk,
    make: Any,
    policy: str,
    placed: int,
) -> None:
    metadata = {"description": "x", "availability_requirement": "high", "placement_strategy": "consolidate"}
    group = await made(desk, policies=[policy], rules={"max_server_per_host": "2"}, metadata=metadata)
    assert (group["policy"], group["rules"], group["metadata"]) == (policy, {"max_server_per_host": 2}, metadata)
    found = [host for host in await hosts_of(desk, make, group, 5) if host]
    assert len(found) == placed and max(found.count(host) for host in found) <= 2
    _, shown = await desk.get(f"{GROUPS}/{group['id']}", "member:p")
    assert shown["server_group"]["metadata"] == metadata
    assert (await desk.get(f"{GROUPS}/{group['id']}", "member:other"))[0] == 404
    assert [one["id"] for one in (await desk.get(GROUPS, "member:p"))[1]["server_groups"]] == [group["id"]]


@pytest.mark.parametrize(("strategy", "hosts"), [("distribute", 3), ("consolidate", 1)])
async def test_the_strategy_drives_the_weighers(
    desk: Desk,
    make: Any,
    strategy: str,
    hosts: int,
) -> None:
    group = await made(desk, policy="soft-affinity", metadata={"placement_strategy": strategy})
    desk.scheduler.pipeline.weighers = [one for one in desk.scheduler.pipeline.weighers if one.spec.stacks]
    assert len(set(await hosts_of(desk, make, group, 3))) == hosts


async def test_a_change_holds_from_the_next_decision_on(desk: Desk, make: Any) -> None:
    group = await made(desk, policy="anti-affinity")
    assert (await hosts_of(desk, make, group, 5)).count(None) == 1
    assert (await changed(desk, group, rules={"max_server_per_host": 2}))[0] == 200
    assert (await hosts_of(desk, make, group, 4)).count(None) == 0
    status, told = await changed(desk, group, rules={})
    assert status == 409 and "one host has 2. Take servers out of the group" in told["error"]["message"]
    status, told = await changed(desk, group, policy="affinity")
    assert status == 409 and "they have 4" in told["error"]["message"]
    status, told = await changed(desk, group, policy="soft-affinity", rules={})
    assert (status, told["server_group"]["policy"], told["server_group"]["name"]) == (200, "soft-affinity", "g")
    assert (await changed(desk, group, "member:other", name="mine"))[0] == 404


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"policy": "near"},
        {"policy": "affinity", "policies": ["affinity"]},
        {"policy": "affinity", "rules": {"max_server_per_host": 0}},
        {"policy": "affinity", "metadata": {"placement_strategy": "pile"}},
        {"policy": "affinity", "metadata": {"n": 7}},
    ],
)
async def test_a_group_that_means_nothing_is_refused(desk: Desk, fields: Any) -> None:
    assert (await desk.post(GROUPS, {"server_group": {"name": "g", **fields}}, "member:p"))[0] == 400
