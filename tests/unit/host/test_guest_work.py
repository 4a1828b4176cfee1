"""One thing at a time for each guest, and removal overtakes."""

import asyncio

import pytest

from novakit_hookspecs.errors import Refused
from novakit_host.guest_work import WorkByGuest


async def test_work_on_one_guest_is_done_in_a_row_and_on_two_side_by_side() -> None:
    work, log, gate = WorkByGuest(), [], asyncio.Event()

    async def step(name: str) -> str:
        log.append(f"begin {name}")
        await gate.wait()
        log.append(f"end {name}")
        return name

    tasks = [asyncio.create_task(work.do(guest, step(name))) for guest, name in (("a", "1"), ("a", "2"), ("b", "3"))]
    while len(log) < 2:
        await asyncio.sleep(0)
    assert log == ["begin 1", "begin 3"]
    gate.set()
    assert await asyncio.gather(*tasks) == ["1", "2", "3"]
    assert log.index("end 1") < log.index("begin 2")


async def test_removal_ends_work_that_runs_and_work_that_waits() -> None:
    work = WorkByGuest()
    ended = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cleaned up")

    tasks = [asyncio.create_task(work.do("a", forever())) for _ in range(2)]
    while not work._running.get("a"):
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    async with work.overtaking("a"):
        assert len(ended) <= 1
        for task in tasks:
            with pytest.raises(Refused, match="removed meanwhile"):
                await task
    assert not work._running


async def test_what_comes_after_a_removal_waits_for_its_end() -> None:
    work = WorkByGuest()

    async def answer() -> int:
        return 42

    async with work.overtaking("a"):
        task = asyncio.create_task(work.do("a", answer()))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not task.done()
    assert await task == 42


async def test_a_caller_who_goes_away_takes_the_work_along() -> None:
    work, begun, ended = WorkByGuest(), asyncio.Event(), []

    async def slow() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    task = asyncio.create_task(work.do("a", slow()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


async def test_a_failed_piece_of_work_leaves_the_guest_free() -> None:
    work = WorkByGuest()

    async def fail() -> None:
        raise Refused("no")

    for _ in range(2):
        with pytest.raises(Refused, match="no"):
            await work.do("a", fail())
    assert not work._running
