"""Work of threads that is waited for to its end."""

import asyncio
import sys
import threading
import weakref

import pytest

from novakit.concurrency.threads import MOST, Worker, to_its_end


async def test_the_answer_of_the_function_is_returned_and_what_it_raises_is_raised() -> None:
    assert await to_its_end(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await to_its_end(divmod, 1, 0)


@pytest.mark.parametrize("fails", [False, True])
async def test_who_is_cancelled_is_so_once_the_function_has_ended(fails: bool) -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert go_on.wait(60)
        ended.set()
        if fails:
            raise OSError("the disk is full")

    task = asyncio.create_task(to_its_end(work))
    assert await asyncio.to_thread(begun.wait, 60)
    for _ in range(2):
        task.cancel()
        await asyncio.wait([task], timeout=0.05)
        assert not task.done() and not ended.is_set()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_works_that_come_one_after_another_are_done_in_one_thread() -> None:
    held, go_on = threading.Event(), threading.Event()

    def hold() -> int:
        held.set()
        assert go_on.wait(60)
        return threading.get_ident()

    holding = asyncio.create_task(to_its_end(hold))
    await asyncio.sleep(0)
    assert held.wait(60)
    beside = {await to_its_end(threading.get_ident) for _ in range(10)}
    go_on.set()
    first = await holding
    assert len(beside) == 1 and first not in beside
    # The one that was free last is the one whose memory is at hand.
    assert {await to_its_end(threading.get_ident) for _ in range(10)} == {first}


async def test_of_more_than_there_are_threads_those_that_came_first_are_begun_first() -> None:
    go_on, begun = [threading.Event() for _ in range(3 * MOST)], list[int]()

    def work(number: int) -> int:
        begun.append(number)
        assert go_on[number].wait(60)
        return number

    async def begin(wanted: int) -> None:
        async with asyncio.timeout(60):
            while len(begun) < wanted:
                await asyncio.sleep(0.001)

    works = [asyncio.create_task(to_its_end(work, number)) for number in range(3 * MOST)]
    await begin(MOST)
    await asyncio.sleep(0.05)
    assert sorted(begun) == [*range(MOST)]
    # One ends at a time: of threads that are given work at once, either may be the first to do it.
    for number in range(2 * MOST):
        go_on[number].set()
        await begin(MOST + number + 1)
    for each in go_on:
        each.set()
    assert await asyncio.gather(*works) == [*range(3 * MOST)]
    assert begun[MOST:] == [*range(MOST, 3 * MOST)]


async def test_what_waits_for_a_thread_waits_for_no_turn_of_the_loop() -> None:
    ended, many = threading.Semaphore(0), 3 * MOST
    works = [asyncio.create_task(to_its_end(ended.release)) for _ in range(many)]
    await asyncio.sleep(0)
    # From here on the loop is busy.
    assert all(ended.acquire(timeout=20) for _ in range(many))
    await asyncio.gather(*works)


async def test_a_thread_that_goes_on_with_what_waits_holds_nothing_of_what_it_has_done() -> None:
    class Large:
        """Something that is written."""

    first, others, begun = threading.Event(), threading.Event(), threading.Event()

    def last() -> None:
        begun.set()
        assert others.wait(60)

    large = Large()
    left = weakref.ref(large)
    one = asyncio.create_task(to_its_end(lambda _: first.wait(60), large))
    beside = [asyncio.create_task(to_its_end(others.wait, 60)) for _ in range(MOST - 1)]
    following = asyncio.create_task(to_its_end(last))
    await asyncio.sleep(0)
    first.set()
    await one
    del large, one
    assert begun.wait(60)
    assert left() is None
    others.set()
    await asyncio.gather(*beside, following)


async def test_what_no_future_can_raise_is_raised_in_other_words() -> None:
    async with asyncio.timeout(60):
        with pytest.raises(RuntimeError, match="StopIteration"):
            await to_its_end(next, iter(()))
        with pytest.raises(SystemExit):
            await to_its_end(sys.exit, 1)


def test_threads_end_once_another_loop_has_come() -> None:
    async def thread() -> threading.Thread:
        return await to_its_end(threading.current_thread)

    before = asyncio.run(thread())
    after = asyncio.run(thread())
    before.join(60)
    assert not before.is_alive() and after.is_alive()


async def test_where_no_thread_can_be_begun_the_caller_hears_of_it_and_the_next_one_tries_again(monkeypatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for _ in range(MOST + 1):
            with pytest.raises(RuntimeError, match="can't start"):
                await to_its_end(int)
    async with asyncio.timeout(60):
        assert await to_its_end(int) == 0


def test_a_closed_worker_ends_what_it_was_given_and_takes_no_more() -> None:
    worker, done = Worker("test"), threading.Event()
    worker.give(done.set)
    worker.close()
    assert done.wait(60)
    with pytest.raises(RuntimeError, match="test is closed"):
        worker.give(done.clear)
