"""Decisions that are kept."""

import asyncio
from typing import Any

from novakit.scheduler.limits import SchedulerLimits
from novakit.store.scheduler import decisions


async def test_decisions_are_kept_in_bounds(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2)
    scheduler = cloud.scheduler(limits=SchedulerLimits(keep_decisions=5))
    for _ in range(3):
        await scheduler.select([make(memory_mb=99999) for _ in range(10)])
    await scheduler._prune()
    async with cloud.store.read() as session:
        assert len(await decisions.some(session)) == 5


async def test_a_request_that_cannot_be_recorded_fails_alone(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2)
    scheduler = cloud.scheduler()
    poison = make(hints={"query": object()})
    outcomes = await asyncio.gather(
        scheduler.select([make()]), scheduler.select([poison]), scheduler.select([make()]), return_exceptions=True
    )
    assert [isinstance(one, list) for one in outcomes] == [True, False, True]
    assert sum((await cloud.usage()).values()) == 2048
