"""Work of threads that is waited for to its end."""

import asyncio
import threading

import pytest

from novakit.concurrency.threads import to_its_end


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
