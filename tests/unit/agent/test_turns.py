"""Work for a guest that somebody else stops, in the task of whoever asked for it."""

import asyncio

import pytest

from novakit.agent.turns import StoppableWork, Stopped


class Asked:
    """A task that does stoppable work, and then goes on."""

    def __init__(self, end: BaseException | None = None) -> None:
        self.work, self.begun, self.after = StoppableWork(), asyncio.Event(), asyncio.Event()
        self._end = end

    async def run(self) -> str:
        try:
            with self.work:
                self.begun.set()
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    if self._end is not None:
                        raise self._end from None
                    raise
        except Stopped:
            await asyncio.sleep(0)  # a task that still were cancelled would end here
            return "goes on"
        return "never"


async def test_who_asked_for_work_that_is_stopped_is_told_so_and_goes_on() -> None:
    asked = Asked()
    task = asyncio.create_task(asked.run())
    await asked.begun.wait()
    await asyncio.gather(asked.work.stop(), asked.work.stop())
    assert await task == "goes on"
    assert not task.cancelling()
    await asked.work.stop()


async def test_who_is_cancelled_is_cancelled_also_where_the_work_is_stopped_at_that_moment() -> None:
    for stops in (False, True):
        asked = Asked()
        task = asyncio.create_task(asked.run())
        await asked.begun.wait()
        stopping = asyncio.create_task(asked.work.stop()) if stops else None
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        if stopping is not None:
            await stopping


async def test_work_that_fails_while_it_is_stopped_fails_and_leaves_no_cancellation_behind() -> None:
    asked = Asked(end=OSError("the disk is full"))
    task = asyncio.create_task(asked.run())
    await asked.begun.wait()
    await asked.work.stop()
    with pytest.raises(OSError, match="the disk is full"):
        await task
    assert not task.cancelling()


async def test_work_that_is_over_is_not_stopped() -> None:
    async def asks(work: StoppableWork) -> str:
        with work:
            pass
        await work.stop()
        await asyncio.sleep(0)
        return "over"

    assert await asks(StoppableWork()) == "over"
