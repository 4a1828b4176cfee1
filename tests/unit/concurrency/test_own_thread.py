"""Foreign code in a thread of its own: its answer, its error, or a sentence when it does not come back."""

import asyncio
import threading

import pytest

from novakit.concurrency.own_thread import OwnThread, Stuck


async def test_answers_and_errors_come_back_from_one_thread() -> None:
    thread = OwnThread("filter acme")
    names = [await thread.run(lambda _: threading.current_thread().name, 5) for _ in range(2)]
    assert names == ["filter acme", "filter acme"]
    with pytest.raises(ZeroDivisionError):
        await thread.run(lambda _: divmod(1, 0), 5)


async def test_an_error_that_a_future_cannot_carry_is_told_as_stuck() -> None:
    def stops(_: threading.Event) -> None:
        raise StopIteration

    with pytest.raises(Stuck, match="StopIteration"):
        await OwnThread("filter acme").run(stops, 5)


async def test_a_call_that_hangs_is_given_up_and_the_next_refused_until_it_is_back() -> None:
    thread, go_on = OwnThread("filter acme"), threading.Event()
    seen: list[threading.Event] = []

    def hangs(given_up: threading.Event) -> None:
        seen.append(given_up)
        go_on.wait(30)

    with pytest.raises(Stuck, match=r"took longer than its 0\.05 s"):
        await thread.run(hangs, 0.05)
    assert seen[0].is_set(), "the code may look whether anybody still waits"
    with pytest.raises(Stuck, match="still has not returned from an earlier call"):
        await thread.run(lambda _: 1, 5)
    go_on.set()
    async with asyncio.timeout(30):
        while True:
            try:
                assert await thread.run(lambda _: 1, 5) == 1
                break
            except Stuck:
                await asyncio.sleep(0.01)


async def test_after_a_cancelled_call_the_next_waits_for_it_or_is_refused_without_a_limit() -> None:
    thread, go_on, began = OwnThread("filter acme"), threading.Event(), threading.Event()

    def slow(_: threading.Event) -> None:
        began.set()
        go_on.wait(30)

    asked = asyncio.ensure_future(thread.run(slow, None))
    while not began.is_set():
        await asyncio.sleep(0.005)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    with pytest.raises(Stuck):
        await thread.run(lambda _: 1, None)
    asyncio.get_running_loop().call_later(0.02, go_on.set)
    assert await thread.run(lambda _: 1, 30) == 1
