"""Keeps the work on one guest in a row, and lets its removal overtake."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import attrs

from novakit_hookspecs.errors import Refused

T = TypeVar("T")


@attrs.define(eq=False)
class GuestTurns:
    """One thing at a time for each guest."""

    _locks: "WeakValueDictionary[str, asyncio.Lock]" = attrs.field(init=False, factory=WeakValueDictionary)
    _running: "set[asyncio.Task[Any]]" = attrs.field(init=False, factory=set)

    async def take(self, guest: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do the work when it is its turn. Raises Refused when a removal of the guest overtook it."""
        task = asyncio.get_running_loop().create_task(self._in_turn(guest, work), name=guest)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise Refused(f"guest {guest} was removed meanwhile") from None
            await end([task])
            raise

    @asynccontextmanager
    async def overtake(self, guest: str) -> AsyncIterator[None]:
        """End whatever is done to the guest, and keep the next from beginning before the block ends."""
        await end([task for task in self._running if task.get_name() == guest])
        async with self._lock(guest):
            yield

    async def _in_turn(self, guest: str, work: Callable[[], Awaitable[T]]) -> T:
        async with self._lock(guest):
            return await work()

    def _lock(self, guest: str) -> asyncio.Lock:
        return self._locks.setdefault(guest, asyncio.Lock())


async def end(tasks: "list[asyncio.Task[Any]]") -> None:
    """Cancel tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


async def whole(work: Awaitable[T]) -> T:
    """Finish the work even when the caller is cancelled, who is told after its end."""
    task = asyncio.ensure_future(work)  # noqa: TID251 - a plugin has no tasks of the core
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()
        raise
