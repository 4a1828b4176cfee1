"""Servers that exist join and leave groups, and what stands already is judged with what is being placed."""

import asyncio
from typing import Any

import pytest

from novakit import world
from novakit.calls.scheduler import Selection
from novakit.store.compute import quotas, server_groups, servers
from tests.functional.scheduler.conftest import Cloud, Desk

GROUPS = "/v1/server-groups"
FLAVOR = {"id": "m1", "name": "m1", "vcpus": 1, "ram": 1024, "disk": 1, "extra_specs": {}}


async def server(cloud: Cloud, project: str = "p", task: str | None = None) -> str:
    now, server_id = world.now(), world.new_id()
    row = {
        "id": server_id,
        "project_id": project,
        "user_id": "u",
        "name": "s",
        "hostname": "s",
        "vm_state": "active",
        "task_state": task,
        "flavor": FLAVOR,
        "vcpus": 1,
        "memory_mb": 1024,
        "reservation_id": "r-1",
        "scheduler_hints": {"same_host": ["x"]},
        "created_at": now,
        "updated_at": now,
    }
    async with cloud.store.write() as session:
        await servers.add(session, [row])
    return server_id


async def placed(desk: Desk, make: Any, host: str | None = None, **fields: Any) -> str:
    server_id = await server(desk.cloud)
    (answer,) = await desk.scheduler.select([make(server_id=server_id, host=host, **fields)])
    assert isinstance(answer, Selection)
    return server_id


async def hints(cloud: Cloud, server_id: str) -> Any:
    async with cloud.store.read() as session:
        row = await servers.server(session, server_id)
    assert row is not None
    return row["scheduler_hints"]


async def group(desk: Desk, policy: str, **rules: int) -> str:
    body = {"server_group": {"name": "g", "policy": policy, "rules": rules}}
    status, told = await desk.post(GROUPS, body, "member:p")
    assert status == 201
    return str(told["server_group"]["id"])


async def put(desk: Desk, group_id: str, server_id: str, token: str = "member:p") -> tuple[int, Any]:
    answer = await desk.http.put(f"{GROUPS}/{group_id}/members/{server_id}", headers={"X-Auth-Token": token})
    return answer.status, await answer.json()


async def take(desk: Desk, group_id: str, server_id: str, token: str = "member:p") -> int:
    answer = await desk.http.delete(f"{GROUPS}/{group_id}/members/{server_id}", headers={"X-Auth-Token": token})
    return answer.status


async def test_a_server_joins_where_it_stands_and_leaves(desk: Desk, make: Any) -> None:
    one, other = await placed(desk, make, "host0"), await placed(desk, make, "host1")
    apart = await group(desk, "anti-affinity")
    for _ in range(2):
        status, told = await put(desk, apart, one)
        assert status == 200 and told["server_group"]["members"] == [one]
    assert await hints(desk.cloud, one) == {"same_host": ["x"], "group": apart}
    (third,) = await desk.scheduler.select([make(group={"id": apart}, host="host0")])
    assert not isinstance(third, Selection)
    assert (await put(desk, apart, other))[0] == 200
    assert await take(desk, apart, one) == 204
    assert await take(desk, apart, one) == 404
    assert await hints(desk.cloud, one) == {"same_host": ["x"]}
    assert (await desk.get(f"{GROUPS}/{apart}", "member:p"))[1]["server_group"]["members"] == [other]


@pytest.mark.parametrize(
    ("policy", "rules", "hosts", "why"),
    [
        ("affinity", {}, ("host0", "host1"), "affinity allows its servers one host, and with this change they have 2"),
        (
            "anti-affinity",
            {},
            ("host0", "host0"),
            "allows 1 of its servers on a host, and with this change one host has 2",
        ),
        (
            "anti-affinity",
            {"max_server_per_host": 2},
            ("host0",) * 3,
            "allows 2 of its servers on a host, and with this change one host has 3",
        ),
        ("soft-affinity", {"max_server_per_host": 1}, ("host2", "host2"), "with this change one host has 2"),
    ],
)
async def test_a_server_whose_place_breaks_the_rule_stays_outside(
    desk: Desk, make: Any, policy: str, rules: Any, hosts: Any, why: str
) -> None:
    *fine, last = [await placed(desk, make, host) for host in hosts]
    made = await group(desk, policy, **rules)
    assert [(await put(desk, made, each))[0] for each in fine] == [200] * len(fine)
    status, told = await put(desk, made, last)
    assert status == 409 and why in told["error"]["message"]
    assert await hints(desk.cloud, last) == {"same_host": ["x"]}
    assert last not in (await desk.get(f"{GROUPS}/{made}", "member:p"))[1]["server_group"]["members"]


async def test_what_is_busy_elsewhere_or_foreign_does_not_join(desk: Desk, make: Any) -> None:
    one, two = await group(desk, "affinity"), await group(desk, "affinity")
    mine, busy = await server(desk.cloud), await server(desk.cloud, task="unshelving")
    foreign = await server(desk.cloud, project="other")
    assert (await put(desk, one, mine))[0] == 200
    status, told = await put(desk, two, mine)
    assert status == 409 and f"member of instance group {one} already" in told["error"]["message"]
    status, told = await put(desk, one, busy)
    assert status == 409 and "(unshelving); try again" in told["error"]["message"]
    for group_id, server_id, token in (
        (one, foreign, "member:p"),
        (one, foreign, "admin:p"),
        (one, mine, "member:other"),
        (one, world.new_id(), "member:p"),
        (world.new_id(), mine, "member:p"),
    ):
        assert (await put(desk, group_id, server_id, token))[0] == 404
    assert await take(desk, one, mine, "member:other") == 404
    assert await take(desk, two, mine) == 404


async def test_the_quota_of_members_holds_for_joins_at_once(desk: Desk) -> None:
    made = await group(desk, "soft-affinity")
    async with desk.cloud.store.write() as session:
        await quotas.LIMITS.put(session, "p", {"server_group_members": 2})
    some = [await server(desk.cloud) for _ in range(4)]
    answers = await asyncio.gather(*(put(desk, made, each) for each in some))
    assert sorted(status for status, _ in answers) == [200, 200, 403, 403]
    [sentence] = {told["error"]["message"] for status, told in answers if status == 403}
    assert sentence == "Quota exceeded, too many servers in group."


async def test_joins_and_placements_at_once_never_break_the_rule(desk: Desk, make: Any) -> None:
    """Several schedulers place members on four hosts while servers that stand there join the same group."""
    standing = [await placed(desk, make, f"host{number % 4}") for number in range(8)]
    rivals = [desk.scheduler, desk.cloud.scheduler(name="rival")]
    await rivals[1].open()
    for _ in range(3):
        made = await group(desk, "anti-affinity")
        new = [world.new_id() for _ in range(8)]
        async with desk.cloud.store.write() as session:
            await server_groups.join(session, made, new)
        places = [
            rivals[number % 2].select([make(server_id=each, memory_mb=8, group={"id": made})])
            for number, each in enumerate(new)
        ]
        answers = await asyncio.gather(*places, *(put(desk, made, each) for each in standing))
        async with desk.cloud.store.read() as session:
            stands = (await server_groups.places(session, [made]))[made]
        assert sorted(len(members) for members in stands.values()) == [1, 1, 1, 1]
        joined = [each for each in answers[8:] if each[0] == 200]
        chosen = [each for (each,) in answers[:8] if isinstance(each, Selection)]
        assert len(joined) + len(chosen) == 4
        for each in standing:
            await take(desk, made, each)
