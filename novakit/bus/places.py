"""The places at work for calls of compute hosts: so many of each method for all of them, and fair between them.

The idea: hosts are many and may be hostile, and the database of whom they call has few places. Calls of one method
share `HOSTS_AT_WORK` places, of which one host has `HOST_AT_WORK` at most; the others wait, and a free place goes to
the host that has gone longest without one. By method, so that what guests ask keeps no report from being taken.
A host sends at a pace, too, and those who are ahead of theirs share one: what is sent beyond is read later, and waits
in the buffers of whoever sent it.
The invariant: however many hosts ask however much, an honest one waits for its turn among hosts and not among calls,
and the number of calls at work does not grow with the hosts. A call that waits for the answer of a host holds no place
meanwhile, so no host keeps places by answering late.
The cost: 5 µs for a call.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

import attrs

from novakit import world
from novakit.concurrency.shares import Share

HOST_AT_WORK = 3
"""Calls of one method of a compute host that are at work at a time."""
HOSTS_AT_WORK = 8
"""Calls of one method of all compute hosts that are at work at a time; the conductor has a dozen places to read."""
BURST, PACE, PACE_OF_ALL = 64 << 20, 16 << 20, 64 << 20
"""Bytes that a host may send at once, four of its longest messages, and a second; and all that are ahead, a second."""
FRAME = 16 << 10
"""Bytes that a message counts beyond its own: the shortest costs 60 µs, too. So 4,096 at once, and 1,024 a second."""
_place: ContextVar["Place | None"] = ContextVar("place", default=None)


@attrs.define
class Place:
    """A place that one call has, gives up while it waits for a host, and takes again."""

    share: Share
    host: str
    task: asyncio.Task[object] | None = attrs.field(factory=asyncio.current_task)
    is_held: bool = False

    async def take(self) -> None:
        await self.share.enter(self.host)
        self.is_held = True

    def give(self) -> None:
        if self.is_held:
            self.is_held = False
            self.share.leave(self.host)


@attrs.define
class HostPlaces:
    """The places of all hosts at one hub."""

    most_waiting: int
    """Calls of one host that wait at most; those beyond are refused before they come here."""
    _shares: dict[str, Share] = attrs.field(factory=dict)
    _ahead: int = 0
    """Hosts that are ahead of their pace and wait."""

    async def sent(self, pace: "HostPace", size: int) -> None:
        """Wait while a host that has sent so many bytes is ahead of its pace, and let others go on in any case."""
        wait = pace.add(size, world.monotonic(), min(PACE, PACE_OF_ALL / (self._ahead + 1)))
        if wait <= 0:
            # Hundreds of messages may be in the buffer, and reading those does not wait for anything.
            await asyncio.sleep(0)
            return
        self._ahead += 1
        try:
            await asyncio.sleep(wait)
        finally:
            self._ahead -= 1

    @asynccontextmanager
    async def at_work(self, host: str, method: str) -> AsyncIterator[None]:
        """Hold a place for a call of a method that is served; the caller sees to the time that it may wait."""
        share = self._shares.get(method)
        if share is None:
            share = Share(total=HOSTS_AT_WORK, each=HOST_AT_WORK, waiting_each=self.most_waiting)
            self._shares[method] = share
        place = Place(share, host)
        await place.take()
        token = _place.set(place)
        try:
            yield
        finally:
            _place.reset(token)
            place.give()


def held_place() -> Place | None:
    """Return the place of the call that this task answers; none in a task beside it, and while it is given up."""
    place = _place.get()
    return place if place is not None and place.is_held and place.task is asyncio.current_task() else None


@attrs.define
class HostPace:
    """What one host may send: a burst, and then so much a second."""

    _due: float = -1e9
    """When all that it has sent would have been sent at its pace."""

    def add(self, size: int, now: float, rate: float = PACE) -> float:
        """Count a message of `size` bytes. Returns for how many seconds the host is ahead of `rate` bytes a second."""
        self._due = max(self._due, now - BURST / PACE) + (size + FRAME) / rate
        return self._due - now
