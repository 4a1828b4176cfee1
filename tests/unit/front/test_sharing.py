"""Whoever is no party yet has a pace."""

import asyncio

import pytest

from novakit import errors, world
from novakit.front.sharing import Pace

A_WHILE = 0.01


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_pace_lets_a_burst_through_and_then_so_many_a_second() -> None:
    pace = Pace(rate=50.0)
    started = world.monotonic()
    for _ in range(100):
        await pace.turn("a")
    assert world.monotonic() - started < 0.5
    for _ in range(10):
        await pace.turn("a")
    assert world.monotonic() - started >= 0.15
    before = world.monotonic()
    await pace.turn("b")
    assert world.monotonic() - before < 0.1


async def test_who_is_far_too_fast_is_sent_away() -> None:
    pace = Pace(rate=1.0)
    waiting = [asyncio.create_task(pace.turn("a")) for _ in range(12)]
    await settle()
    with pytest.raises(errors.TooMany):
        await pace.turn("a")
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
