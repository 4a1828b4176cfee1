"""A thread of its own for foreign code that may block: a filter's, a weigher's, an observer's.

The idea: one daemon thread that takes one call at a time, so that code which never returns keeps neither the event loop
nor the end of the process waiting.
The invariant: no call is handed to a thread in which an earlier one hangs; it is refused at once, as `Stuck`.
The cost: two switches of thread for each call, some 50 µs.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import attrs

T = TypeVar("T")


class Stuck(Exception):
    """The call has not come back in time, or an earlier one has not; the sentence says which."""


@attrs.define
class OwnThread:
    """One thread in which foreign code may block without blocking anything else."""

    name: str
    _work: queue.SimpleQueue[Callable[[], None]] = attrs.field(factory=queue.SimpleQueue)
    _thread: threading.Thread | None = None
    _turn: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    _idle: asyncio.Event = attrs.field(factory=asyncio.Event)
    """Set while nothing runs there."""
    _hangs: bool = False
    """Whether what runs there had all its time."""

    def __attrs_post_init__(self) -> None:
        self._idle.set()

    async def run(self, call: Callable[[threading.Event], T], within: float | None) -> T:
        """Run the call there, after those of others, and wait `within` seconds for its answer.

        Raises Stuck when it takes longer or an earlier one that did still runs.
        With None whoever calls sets the limit, by cancelling; then an earlier call that was cancelled so and still runs
        is `Stuck`, too.
        The call is handed an event that is set when nobody waits for it any more.
        """
        async with self._turn:
            await self._free(within)
            return await self._answered(call, within)

    async def _free(self, within: float | None) -> None:
        """Wait for what was asked by somebody who did not wait for the answer."""
        if not self._hangs and not self._idle.is_set():
            if within is None:
                raise Stuck(f"{self.name} still has not returned from an earlier call")
            try:
                async with asyncio.timeout(within):
                    await self._idle.wait()
            except TimeoutError:
                self._hangs = True
        if self._hangs:
            raise Stuck(f"{self.name} still has not returned from an earlier call")

    async def _answered(self, call: Callable[[threading.Event], T], within: float | None) -> T:
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=self.name, daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        given_up = threading.Event()

        def tell(deliver: Callable[[object], None], value: object) -> None:
            self._hangs = False
            self._idle.set()
            if not answer.done():
                deliver(value)

        def work() -> None:
            try:
                result = call(given_up)
            except BaseException as error:
                outcome: tuple[Callable[[Any], None], object] = (answer.set_exception, _portable(error))
            else:
                outcome = (answer.set_result, result)
            if not loop.is_closed():
                loop.call_soon_threadsafe(tell, *outcome)

        self._idle.clear()
        self._work.put(work)
        try:
            async with asyncio.timeout(within):
                return await answer
        except TimeoutError:
            self._hangs = True
            raise Stuck(f"{self.name} took longer than its {within} s") from None
        finally:
            given_up.set()

    def _serve(self) -> None:
        while True:
            self._work.get()()


def _portable(error: BaseException) -> Exception:
    """Keep StopIteration, which a future cannot carry, and what is no Exception at all from confusing the loop."""
    return error if isinstance(error, Exception) and not isinstance(error, StopIteration) else Stuck(repr(error))
