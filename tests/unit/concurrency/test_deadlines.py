import asyncio
import gc
import weakref
from contextvars import ContextVar
from typing import Any

import pytest

from novakit.concurrency.deadlines import Deadline, alarm


class CountingLoop(asyncio.SelectorEventLoop):
    """An event loop that counts the timers it is given."""

    timers = 0

    def call_at(self, when: float, *rest: Any, **more: Any) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(when, *rest, **more)


async def test_what_takes_too_long_is_cancelled_and_raises_a_timeout() -> None:
    ended = False
    with pytest.raises(TimeoutError), Deadline(0.01):
        try:
            await asyncio.Event().wait()
        finally:
            ended = True
    assert ended
    task = asyncio.current_task()
    assert task is not None and not task.cancelling()


def test_a_thousand_works_that_end_in_time_take_one_timer() -> None:
    async def work() -> int:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, CountingLoop)
        for _ in range(1000):
            with Deadline(30):
                await asyncio.sleep(0)
        return loop.timers

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        assert runner.run(work()) == 1


async def test_a_shorter_deadline_is_kept_beside_a_longer_one_that_was_set_before() -> None:
    async def late(seconds: float) -> float:
        began = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError), Deadline(seconds):
            await asyncio.Event().wait()
        return asyncio.get_running_loop().time() - began - seconds

    over = await asyncio.gather(*(late(seconds) for seconds in (0.3, 0.05, 0.2, 0.1)))
    assert all(-1e-6 < each < 30 for each in over)


async def test_no_time_at_all_is_over_at_the_next_turn() -> None:
    for seconds in (0.0, -1.0):
        with pytest.raises(TimeoutError), Deadline(seconds):
            await asyncio.Event().wait()


async def test_of_two_deadlines_inside_each_other_the_one_that_passed_says_so() -> None:
    with Deadline(30), pytest.raises(TimeoutError), Deadline(0.01):
        await asyncio.Event().wait()
    with pytest.raises(TimeoutError), Deadline(0.01), Deadline(30):
        await asyncio.Event().wait()


async def test_who_is_cancelled_by_somebody_else_is_not_told_of_a_timeout() -> None:
    async def work() -> None:
        with Deadline(30):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_who_is_cancelled_and_late_at_once_is_cancelled() -> None:
    async def work() -> None:
        with Deadline(0):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    alarm(0, task.cancel)  # rings right behind the deadline, before the task goes on
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_what_is_inside_is_its_own() -> None:
    with pytest.raises(KeyError), Deadline(30):
        raise KeyError


async def test_an_alarm_rings_once_in_the_context_it_was_set_in_and_not_after_it_was_taken_back() -> None:
    who: ContextVar[str] = ContextVar("who")
    rung: list[str] = []
    for name in ("a", "b", "c"):
        who.set(name)
        set_alarm = alarm(0.01, lambda: rung.append(who.get()))
        if name == "b":
            set_alarm.take_back()
    who.set("d")
    await asyncio.sleep(0.1)
    assert rung == ["a", "c"]


async def test_an_alarm_takes_back_another_one_that_is_due_with_it() -> None:
    rung: list[str] = []
    alarm(0.01, lambda: second.take_back())
    second = alarm(0.01, lambda: rung.append("second"))
    await asyncio.sleep(0.1)
    assert not rung


async def test_one_that_raises_keeps_no_other_from_ringing() -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: told.append(what))
    rung = asyncio.Event()

    def broken() -> None:
        raise KeyError

    alarm(0.01, broken)
    alarm(0.01, rung.set)
    async with asyncio.timeout(30):
        await rung.wait()
    assert [type(what["exception"]) for what in told] == [KeyError]


def test_each_loop_has_its_own_alarms() -> None:
    async def late() -> None:
        with pytest.raises(TimeoutError), Deadline(0.01):
            await asyncio.Event().wait()

    async def leaves_one_behind() -> None:
        alarm(0.001, lambda: None)

    asyncio.run(leaves_one_behind())
    asyncio.run(late())


async def test_what_is_over_is_freed_at_once_and_waits_for_no_collection() -> None:
    gc.disable()
    try:
        late, early = Deadline(0.0), Deadline(30)
        with early:
            await asyncio.sleep(0)
        with pytest.raises(TimeoutError), late:
            await asyncio.Event().wait()

        class Setter:
            """Holds what it has set, as who takes it back must."""

            def __init__(self) -> None:
                self.alarm = alarm(30, self.ring)

            def ring(self) -> None:
                """Do nothing."""

        setter = Setter()
        setter.alarm.take_back()
        left = [weakref.ref(each) for each in (early, late, setter)]
        del early, late, setter
        assert [each() for each in left] == [None, None, None]
    finally:
        gc.enable()
