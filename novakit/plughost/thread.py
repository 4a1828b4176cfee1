"""One thread for a plugin's blocking functions, which takes no more work while it is stuck.

It is a daemon, unlike the threads of a pool: a function that never comes back does not keep the process from ending.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

import attrs


class Stuck(Exception):
    """An earlier call has not come back, so this one was not made."""


@attrs.frozen(eq=False)
class _Call:
    function: Callable[..., Any]
    arguments: Sequence[Any]
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[Any]"

    def make(self) -> None:
        """Run the function and tell the loop, which may be closed by now, what became of it."""
        error: BaseException | None = None
        value = None
        try:
            value = self.function(*self.arguments)
        except BaseException as raised:
            error = raised
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._settle, value, error)

    def _settle(self, value: Any, error: BaseException | None) -> None:
        if self.answer.cancelled():
            return
        if error is None:
            self.answer.set_result(value)
        elif isinstance(error, StopIteration):
            self.answer.set_exception(RuntimeError(f"it raised {error!r}"))
        else:
            self.answer.set_exception(error)


@attrs.define(eq=False)
class OwnThread:
    """Runs functions one after the other, off the event loop."""

    _calls: "queue.SimpleQueue[_Call]" = attrs.field(factory=queue.SimpleQueue)
    _thread: threading.Thread | None = None
    _given_up: int = 0

    async def run(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        """Run a function and give its answer; raise `Stuck` while one that was given up is still running."""
        if self._given_up:
            raise Stuck("its thread is still busy with an earlier call")
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="observer", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        call = _Call(function, arguments, loop, loop.create_future())
        self._calls.put(call)
        try:
            return await asyncio.shield(call.answer)
        except asyncio.CancelledError:
            if not call.answer.done():
                self._given_up += 1
                call.answer.add_done_callback(self._came_back)
            raise

    def _came_back(self, answer: "asyncio.Future[Any]") -> None:
        self._given_up -= 1
        if not answer.cancelled():
            answer.exception()

    def _work(self) -> None:
        while True:
            self._calls.get().make()
