"""Shares are fair: bounds hold, turns go round, and nothing is lost when a waiter leaves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from novakit import errors
from novakit.concurrency.shares import Share


@asynccontextmanager
async def place(share: Share, party: str) -> AsyncIterator[None]:
    await share.enter(party)
    try:
        yield
    finally:
        share.leave(party)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_no_more_than_total_and_each_are_under_way() -> None:
    share, now, most = Share(total=4, each=2), {"a": 0, "b": 0, "c": 0}, {"a": 0, "b": 0, "c": 0, "all": 0}

    async def work(party: str) -> None:
        async with place(share, party):
            now[party] += 1
            most[party] = max(most[party], now[party])
            most["all"] = max(most["all"], sum(now.values()))
            await asyncio.sleep(0)
            now[party] -= 1

    await asyncio.gather(*(work(party) for party in "aaaaabbbbbccccc" * 4))
    assert most == {"a": 2, "b": 2, "c": 2, "all": 4}


async def test_a_newcomer_waits_for_one_turn_and_not_for_the_queue_of_another() -> None:
    share, order = Share(total=1, each=1), list[str]()

    async def work(name: str) -> None:
        async with place(share, name[0]):
            order.append(name)
            await asyncio.sleep(0)

    crowd = [asyncio.create_task(work(f"a{number}")) for number in range(50)]
    await settle()
    begun = len(order)
    await asyncio.create_task(work("b"))
    assert order.index("b") <= begun + 3
    await asyncio.gather(*crowd)
    assert len(order) == 51


async def test_a_place_of_one_who_left_while_waiting_goes_to_the_next() -> None:
    share = Share(total=1, each=1)
    done: list[str] = []

    async def work(name: str) -> None:
        async with place(share, name):
            done.append(name)

    async with place(share, "first"):
        tasks = {name: asyncio.create_task(work(name)) for name in ("a", "b", "c")}
        await settle()
        tasks["a"].cancel()
        tasks["c"].cancel()
        await settle()
    await asyncio.wait_for(tasks["b"], 30)
    assert done == ["b"]
    await asyncio.wait_for(work("d"), 30)


async def test_a_place_given_at_the_moment_of_a_cancel_is_not_lost() -> None:
    share = Share(total=1, each=1)

    async def work() -> None:
        async with place(share, "a"):
            await asyncio.sleep(0)

    for _ in range(20):
        holder = asyncio.create_task(work())
        waiter = asyncio.create_task(work())
        await holder
        waiter.cancel()
        with suppress(asyncio.CancelledError):
            await waiter
    await asyncio.wait_for(work(), 30)


async def test_too_many_waiting_are_told_so_and_others_are_not() -> None:
    share = Share(total=1, each=1, waiting_each=3)
    async with place(share, "a"):
        waiting = [asyncio.create_task(share.enter("a")) for _ in range(3)]
        await settle()
        with pytest.raises(errors.TooMany) as told:
            await share.enter("a")
        assert told.value.headers == {"Retry-After": "1"}
        other = asyncio.create_task(share.enter("b"))
        await settle()
        assert not other.done()
        for task in (*waiting, other):
            task.cancel()
        await asyncio.gather(*waiting, other, return_exceptions=True)
