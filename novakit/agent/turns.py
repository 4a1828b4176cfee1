"""One thing at a time to each guest of a host, with what it failed of told as the conductor has to know it.

What was begun for a guest can be stopped by who has to remove it.
The idea: a lock for each guest, kept for as long as somebody holds it or waits for it. A build that is in the way of a
removal is cancelled by the agent itself, inside the task that the bus began for it, and clears up after itself.
The invariant: nobody works on a guest beside another, and those that wait come in the order in which they asked. Who
stops work has waited for its end; the task whose work was stopped goes on, and is not counted as cancelled.
The cost: 2 µs for each turn that nobody else wants; a guest that nobody works on costs no memory.
"""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TypeVar
from weakref import WeakValueDictionary

import attrs

from novakit.agent.membership import Membership
from novakit.disk import means_full
from novakit.errors import InsufficientStorage, in_words

T = TypeVar("T")


@attrs.define(eq=False, kw_only=True)
class GuestTurns:
    """Who works on which guest of a host; the others wait, in the order in which they came."""

    host: str
    membership: Membership
    _locks: WeakValueDictionary[str, asyncio.Lock] = attrs.field(init=False, factory=WeakValueDictionary)
    """Of a guest that nobody works on or waits for, nothing is kept."""

    def is_taken(self, server: str) -> bool:
        """Return whether somebody works on the guest now."""
        turn = self._locks.get(server)
        return turn is not None and turn.locked()

    async def take(self, server: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do one thing to a guest when it is its turn.

        Raises InsufficientStorage for what a full disk brought to an end, and whatever else the work raises.
        """
        turn = self._locks.setdefault(server, asyncio.Lock())
        async with turn:
            try:
                return await work()
            except Exception as error:
                # However a driver says it: the request is not at fault, and another host may have room.
                if isinstance(error, InsufficientStorage) or not means_full(error):
                    raise
                raise InsufficientStorage(
                    f"A disk of the host {self.host} is full: {in_words(error)}. Make room there, first in"
                    f" {self.membership.directory}; until then such work goes to other hosts."
                ) from error


class Stopped(Exception):
    """Somebody stopped the work; the task that did it goes on."""


@attrs.define(eq=False)
class StoppableWork:
    """What is inside is done by the task of whoever asked for it, and may be stopped by somebody else.

    Raises Stopped then, while a cancellation of the task itself goes on as one.
    """

    _ended: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)
    _task: "asyncio.Task[object]" = attrs.field(init=False)
    _cancelling: int = attrs.field(init=False)
    """How often the task was cancelled before."""
    _is_stopped: bool = attrs.field(init=False, default=False)

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "only what a task does can be stopped"
        self._task, self._cancelling = task, task.cancelling()

    async def stop(self) -> None:
        """Stop the work, and wait for its end."""
        if not self._is_stopped and not self._ended.is_set():
            self._is_stopped = True
            self._task.cancel()
        await self._ended.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._is_stopped and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise Stopped from error
