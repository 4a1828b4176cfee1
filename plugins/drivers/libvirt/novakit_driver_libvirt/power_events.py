"""Tells whoever listens what becomes of our guests, across connections to libvirt that are lost.

The idea: an event goes into the queue of each listener, and a queue that nobody holds any more is forgotten by itself.
What happened while the connection was away is never told by libvirt, so after it came back all guests are told of.
The invariant: whoever listens hears the last state of every guest, though not each state on the way; the state is told
again `SETTLED` seconds later, because a fresh libvirtd still takes guests over and tells nothing of one that dies then.
The cost: nothing while nothing happens; after a lost connection one try every `RECONNECT` (1 s), then two listings of
the domains.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from weakref import WeakSet

import attrs

from novakit_driver_libvirt.calls import Domain
from novakit_hookspecs.errors import Busy, NotFound, Refused
from novakit_hookspecs.servers import GuestEvent, Power

RECONNECT = 1.0
"""Seconds between two tries to reach a libvirtd that is away, such as during its upgrade."""
SETTLED = 5.0
"""Seconds after a reconnection until all guests are looked at: events of what happened meanwhile never come."""


@attrs.define(eq=False)
class PowerEvents:
    """The events of one driver's guests, and those who listen to them."""

    ours: Callable[[], Awaitable[Sequence[Domain]]]
    """Lists the driver's domains, connecting again where the connection is gone."""
    _listeners: "WeakSet[asyncio.Queue[GuestEvent]]" = attrs.field(init=False, factory=WeakSet)
    _reconnecting: "asyncio.Task[None] | None" = attrs.field(init=False, default=None)

    def listen(self) -> "asyncio.Queue[GuestEvent]":
        """Return a queue of what is told from now on, for as long as somebody holds it."""
        queue: asyncio.Queue[GuestEvent] = asyncio.Queue()
        self._listeners.add(queue)
        return queue

    def tell(self, guest: str, power: Power, why: str) -> None:
        """Tell every listener of one guest."""
        event = GuestEvent(guest=guest, power=power, why=why)
        for queue in list(self._listeners):
            queue.put_nowait(event)

    def lost(self) -> None:
        """Begin to connect again; called when the connection broke."""
        if self._reconnecting is not None:
            self._reconnecting.cancel()
        loop = asyncio.get_running_loop()
        self._reconnecting = loop.create_task(self._reconnect(), name="reconnect to libvirt")

    async def close(self) -> None:
        """Give up connecting again."""
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            await asyncio.wait({self._reconnecting})
            self._reconnecting = None

    async def _reconnect(self) -> None:
        """Connect again, and tell what all guests are now: nobody knows what was missed."""
        while True:
            try:
                domains = await self.ours()
            except (Busy, Refused, NotFound):
                await asyncio.sleep(RECONNECT)
                continue
            told = self._tell_all(domains, {})
            break
        # A fresh libvirtd tells no event of a guest that dies while it is still taking the guests over.
        await asyncio.sleep(SETTLED)
        with contextlib.suppress(Busy, Refused, NotFound):
            self._tell_all(await self.ours(), told)

    def _tell_all(self, domains: Sequence[Domain], known: Mapping[str, Power]) -> Mapping[str, Power]:
        """Tell the power of our guests where it is not what is known. Returns the power of each."""
        powers = {}
        for domain in domains:
            powers[domain.guest] = domain.power
            if known.get(domain.guest) is not domain.power:
                self.tell(domain.guest, domain.power, domain.why or "seen after the connection came back")
        return powers


async def drain(queue: "asyncio.Queue[GuestEvent]") -> AsyncIterator[GuestEvent]:
    """Give what is told, without end."""
    while True:
        yield await queue.get()


async def next_of(told: "asyncio.Queue[GuestEvent]", guest: str, within: float) -> None:
    """Wait for the guest's next event, at most `within` seconds."""
    try:
        async with asyncio.timeout(within):
            while (await told.get()).guest != guest:
                pass
    except TimeoutError:
        return
