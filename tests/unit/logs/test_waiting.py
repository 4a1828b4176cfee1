"""A start says what it waits for, once it takes long, and is silent again when it is over."""

import asyncio

from novakit.logs.waiting import Waits


async def test_what_takes_long_is_told_again_and_again_until_it_is_over() -> None:
    told: list[str] = []
    async with asyncio.timeout(10), Waits(told.append, after=0.0, again=0.01).on("the database"):
        while len(told) < 2:
            await asyncio.sleep(0.005)
    assert all(one.startswith("waiting for the database (") for one in told)
    count = len(told)
    await asyncio.sleep(0.05)
    assert len(told) == count


async def test_what_is_quick_is_not_told() -> None:
    told: list[str] = []
    async with Waits(told.append, after=60).on("the database"):
        await asyncio.sleep(0)
    assert not told
