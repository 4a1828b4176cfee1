"""Many small asks as one."""

import asyncio
from collections.abc import Sequence

import attrs
import pytest

from novakit.concurrency.gather import Gather


async def test_what_is_asked_together_is_done_together() -> None:
    batches: list[list[int]] = []

    async def work(items: Sequence[int]) -> list[int]:
        batches.append(list(items))
        await asyncio.sleep(0)
        return [item * 2 for item in items]

    double = Gather(work)
    assert await asyncio.gather(*(double(number) for number in range(5))) == [0, 2, 4, 6, 8]
    assert batches == [[0, 1, 2, 3, 4]]


async def test_what_comes_while_work_is_done_is_the_next_batch() -> None:
    batches: list[list[int]] = []
    late: list[asyncio.Task[int]] = []

    async def work(items: Sequence[int]) -> list[int]:
        batches.append(list(items))
        if not late:
            late.extend(asyncio.create_task(same(number)) for number in (7, 8))
            await asyncio.sleep(0)
        return list(items)

    same = Gather(work)
    assert await same(1) == 1
    assert await asyncio.gather(*late) == [7, 8]
    assert batches == [[1], [7, 8]]


async def test_who_was_alone_the_last_time_waits_for_nobody_and_who_had_company_waits_one_turn_for_it() -> None:
    batches: list[list[int]] = []

    async def work(items: Sequence[int]) -> list[int]:
        batches.append(list(items))
        return list(items)

    async def later(number: int) -> int:
        await asyncio.sleep(0)
        return await same(number)

    same = Gather(work)
    await same(1)
    await asyncio.gather(same(2), later(3))
    assert batches == [[1], [2], [3]]
    await asyncio.gather(same(4), same(5))
    await asyncio.gather(same(6), later(7))
    assert batches == [[1], [2], [3], [4, 5], [6, 7]]


async def test_one_that_cannot_be_done_costs_only_itself() -> None:
    async def work(items: Sequence[int]) -> list[float]:
        return [10 / item for item in items]

    divide = Gather(work)
    first, second, third = await asyncio.gather(divide(5), divide(0), divide(2), return_exceptions=True)
    assert (first, third) == (2, 5) and isinstance(second, ZeroDivisionError)


async def test_no_batch_is_larger_than_the_most() -> None:
    sizes: list[int] = []

    async def work(items: Sequence[int]) -> Sequence[int]:
        sizes.append(len(items))
        return items

    same = Gather(work, most=3)
    await asyncio.gather(*(same(number) for number in range(7)))
    assert sizes == [3, 3, 1]


async def test_one_that_is_not_waited_for_any_more_does_not_stop_the_others() -> None:
    async def work(items: Sequence[int]) -> Sequence[int]:
        return items

    same = Gather(work)
    given_up = asyncio.ensure_future(same(1))
    other = asyncio.ensure_future(same(2))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await other == 2
    with pytest.raises(asyncio.CancelledError):
        await given_up


async def test_what_is_asked_meanwhile_is_done_in_the_next_round() -> None:
    rounds: list[list[int]] = []
    gate = asyncio.Event()

    async def work(asks: Sequence[int]) -> list[int]:
        rounds.append(list(asks))
        await gate.wait()
        return [ask * 2 for ask in asks]

    batch = Gather(work, most=3)
    first = asyncio.ensure_future(batch(0))
    while not rounds:
        await asyncio.sleep(0)
    rest = [asyncio.ensure_future(batch(number)) for number in range(1, 6)]
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

    batch = Gather(work)
    asked = [asyncio.ensure_future(batch(number)) for number in range(4)]
    await begun.wait()
    asked[3].cancel()
    gate.set()
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert results[:2] == [0, 1]
    assert isinstance(results[2], ValueError)
    assert isinstance(results[3], asyncio.CancelledError)
    with pytest.raises(ValueError):
        await batch(2)
    assert await batch(7) == 7


@attrs.define
class Kept:
    """Work that notes its batches."""

    batches: list[list[int]] = attrs.field(factory=list)

    async def work(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        return list(items)


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_those_who_were_together_wait_for_each_other_where_a_batch_may_linger() -> None:
    kept = Kept()
    same = Gather(kept.work, linger=3600)
    await asyncio.gather(*(same(number) for number in range(3)))
    early = [asyncio.create_task(same(number)) for number in (3, 4)]
    await turns()
    assert kept.batches == [[0, 1, 2]], "two of three wait for the third"
    assert await same(5) == 5
    assert await asyncio.gather(*early) == [3, 4]
    assert kept.batches[1:] == [[3, 4, 5]]


async def test_those_who_came_while_others_were_served_are_company_too() -> None:
    kept, late = Kept(), list[asyncio.Task[int]]()

    async def work(items: Sequence[int]) -> list[int]:
        if not late:
            late.append(asyncio.create_task(same(1)))
            await turns(2)
        return await kept.work(items)

    same = Gather(work, linger=3600)
    assert await same(0) == 0
    await turns()
    assert not late[0].done(), "there were two of them"
    assert await same(2) == 2 and await late[0] == 1
    assert kept.batches == [[0], [1, 2]]


async def test_nobody_waits_for_company_for_ever() -> None:
    kept = Kept()
    same = Gather(kept.work, linger=0.001)
    await asyncio.gather(*(same(number) for number in range(3)))
    assert [await same(3), await same(4)] == [3, 4]
    assert kept.batches == [[0, 1, 2], [3], [4]]


async def test_who_asks_alone_again_and_again_never_waits() -> None:
    kept = Kept()
    same = Gather(kept.work, linger=3600)
    assert [await same(number) for number in range(5)] == [0, 1, 2, 3, 4]
    assert kept.batches == [[0], [1], [2], [3], [4]]


async def test_no_more_are_waited_for_than_one_batch_takes() -> None:
    kept = Kept()
    same = Gather(kept.work, most=2, linger=3600)
    await asyncio.gather(*(same(number) for number in range(5)), same(5))
    assert kept.batches == [[0, 1], [2, 3], [4, 5]]
