"""Whoever is no party yet has a pace."""

import asyncio
from types import SimpleNamespace

import pytest

from novakit import errors, world
from novakit.front import sharing
from novakit.front.sharing import Pace


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_pace_lets_a_burst_through_and_then_so_many_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now, slept = 1000.0, list[float]()

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        slept.append(seconds)

    monkeypatch.setattr(world, "monotonic", lambda: now)
    monkeypatch.setattr(sharing, "asyncio", SimpleNamespace(sleep=sleep))
    pace = Pace(rate=50.0)
    for _ in range(100):
        await pace.turn("a")
    assert not slept
    for _ in range(10):
        await pace.turn("a")
    assert slept == pytest.approx([1 / 50] * 10)
    await pace.turn("b")
    assert len(slept) == 10, "another party has a burst of its own"
    now += 1.0
    for _ in range(50):
        await pace.turn("a")
    assert len(slept) == 10, "a second without a turn is worth fifty"


async def test_who_is_far_too_fast_is_sent_away() -> None:
    pace = Pace(rate=1.0)
    waiting = [asyncio.create_task(pace.turn("a")) for _ in range(12)]
    await settle()
    with pytest.raises(errors.TooMany):
        await pace.turn("a")
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
