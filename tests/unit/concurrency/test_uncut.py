"""Work that is not cut off: it is over when the waiting ends, and the cancellation is not lost."""

import asyncio

import pytest

from novakit.concurrency.uncut import begun, uncut


class _Failed(Exception):
    pass


async def _waiting(until: asyncio.Event, *, fails: bool = False) -> None:
    await until.wait()
    if fails:
        raise _Failed


async def test_without_a_cancellation_there_is_none_and_what_the_work_raises_is_raised() -> None:
    until = asyncio.Event()
    until.set()
    assert await uncut(begun(_waiting(until), name="work")) is None
    with pytest.raises(_Failed):
        await uncut(begun(_waiting(until, fails=True), name="work"))


@pytest.mark.parametrize("fails", [False, True])
async def test_whoever_is_cancelled_twice_waits_for_the_end_and_then_knows_of_it(fails: bool) -> None:
    until = asyncio.Event()
    work = begun(_waiting(until, fails=fails), name="work")
    seen: list[asyncio.CancelledError | None] = []

    async def wait() -> None:
        seen.append(await uncut(work))

    waiting = asyncio.ensure_future(wait())
    for _ in range(2):
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        assert not waiting.done()
    until.set()
    await asyncio.wait([waiting])
    assert work.done()
    assert waiting.cancelled() == fails, "of work that failed the cancellation is raised"
    assert [type(each) for each in seen] == ([] if fails else [asyncio.CancelledError])


async def test_work_whose_own_task_is_cancelled_keeps_nobody_waiting() -> None:
    before = asyncio.all_tasks()
    work = begun(_waiting(asyncio.Event()), name="work")
    (task,) = asyncio.all_tasks() - before
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await uncut(work)
