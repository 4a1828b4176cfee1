"""Writes that come together share a transaction and nothing else."""

import asyncio
from collections.abc import Sequence

import pytest

from novakit.network.batches import Batch


async def test_what_is_asked_meanwhile_is_done_in_the_next_round() -> None:
    rounds: list[list[int]] = []
    gate = asyncio.Event()

    async def work(asks: Sequence[int]) -> list[int]:
        rounds.append(list(asks))
        await gate.wait()
        return [ask * 2 for ask in asks]

    batch = Batch("t", work, limit=3)
    first = asyncio.ensure_future(batch.ask(0))
    while not rounds:
        await asyncio.sleep(0)
    rest = [asyncio.ensure_future(batch.ask(number)) for number in range(1, 6)]
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(first, *rest) == [0, 2, 4, 6, 8, 10]
    assert rounds == [[0], [1, 2, 3], [4, 5]]


async def test_one_that_fails_and_one_that_gave_up_cost_the_others_nothing() -> None:
    begun, gate = asyncio.Event(), asyncio.Event()

    async def work(asks: Sequence[int]) -> list[int]:
        begun.set()
        await gate.wait()
        if 2 in asks:
            raise ValueError("two")
        return list(asks)

    batch = Batch("t", work)
    asked = [asyncio.ensure_future(batch.ask(number)) for number in range(4)]
    await begun.wait()
    asked[3].cancel()
    gate.set()
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert results[:2] == [0, 1]
    assert isinstance(results[2], ValueError)
    assert isinstance(results[3], asyncio.CancelledError)
    with pytest.raises(ValueError):
        await batch.ask(2)
    assert await batch.ask(7) == 7
