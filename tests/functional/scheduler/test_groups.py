"""Groups of servers."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from novakit import world
from novakit.calls.scheduler import Refusal, Selection


def placed(results: list[Any]) -> list[Selection]:
    return [one for one in results if isinstance(one, Selection)]


def refused(results: list[Any]) -> list[Refusal]:
    return [one for one in results if isinstance(one, Refusal)]


@pytest.mark.parametrize("together", [True, False])
async def test_anti_affinity_never_puts_two_on_a_host(cloud: Any, make: Any, together: bool) -> None:
    await cloud.add_hosts(5)
    ids = [world.new_id() for _ in range(8)]
    group = await cloud.group("anti-affinity", ids)
    asks = [make(server_id=server, group=group) for server in ids]
    schedulers = [cloud.scheduler() for _ in range(1 if together else 4)]
    if together:
        results = await schedulers[0].select(asks)
    else:
        work = (schedulers[number % 4].select([one]) for number, one in enumerate(asks))
        results = [one for (one,) in await asyncio.gather(*work)]
    assert sorted(one.host for one in placed(results)) == [f"host{number}" for number in range(5)]
    assert len(refused(results)) == 3
    assert "hold servers of the same group already" in refused(results)[0].message


async def test_affinity_keeps_a_group_together_and_soft_policies_bend(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(4, memory_mb=3072)
    for policy, expected in (("affinity", [3]), ("soft-affinity", [1, 3]), ("soft-anti-affinity", [1, 1, 1, 1])):
        ids = [world.new_id() for _ in range(4)]
        group = await cloud.group(policy, ids)
        scheduler = cloud.scheduler()
        results = await scheduler.select([make(server_id=server, group=group) for server in ids])
        assert sorted(Counter(one.host for one in placed(results)).values()) == expected, policy
        async with cloud.store.write() as session:
            await cloud.placement.release_many(session, ids)


async def test_the_most_per_host_holds_for_each_policy_under_concurrency(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(3, memory_mb=16384)
    for policy, most in (("anti-affinity", 6), ("affinity", 2), ("soft-anti-affinity", 6), ("soft-affinity", 6)):
        ids = [world.new_id() for _ in range(9)]
        group = await cloud.group(policy, ids, max_server_per_host=2)
        schedulers = [cloud.scheduler() for _ in range(3)]
        work = (schedulers[n % 3].select([make(server_id=server, group=group)]) for n, server in enumerate(ids))
        results = [one for (one,) in await asyncio.gather(*work)]
        counts = Counter(one.host for one in placed(results))
        assert max(counts.values()) <= 2, policy
        assert sum(counts.values()) == most, policy
