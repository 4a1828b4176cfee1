"""Work of a thread that is waited for to its end.

A thread cannot be stopped. Whoever is cancelled while `asyncio.to_thread` writes a file goes on at once, and the file
appears behind the back of whoever removes it next.
"""

import asyncio
import contextvars
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from novakit.concurrency.uncut import over

P = ParamSpec("P")
T = TypeVar("T")


async def to_its_end(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function in a thread; a caller that is cancelled meanwhile is so once the function has ended."""
    work = partial(contextvars.copy_context().run, function, *args, **kwargs)
    running = asyncio.get_running_loop().run_in_executor(None, work)
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await over(running)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        running.exception()  # looked at, so that nobody misses it in the log
        raise cancelled
    return running.result()
