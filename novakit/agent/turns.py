"""One thing at a time to each guest of a host, with what it failed of told as the conductor has to know it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from weakref import WeakValueDictionary

import attrs

from novakit.agent.membership import Membership
from novakit.disk import means_full
from novakit.errors import InsufficientStorage

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
                said = str(error).rstrip(".") or type(error).__name__
                raise InsufficientStorage(
                    f"A disk of the host {self.host} is full: {said}. Make room there, first in"
                    f" {self.membership.directory}; until then such work goes to other hosts."
                ) from error
