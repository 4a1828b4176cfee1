"""Fair shares of requests: each is of a kind, and each kind has places (`novakit/concurrency/shares.py`).

The idea: a request is of a kind (`Cost`), and each kind has places, for which parties take turns. Strangers also have a
pace: so many turns a second for an address.
The invariant: a party that asks a thousand times at once delays another one by no more than what is under way.
The cost: 3 µs for a place that is free; whoever waits costs a future, and `waiting_each` of them is a party's most.
"""

import asyncio
from enum import Enum

import attrs

from novakit import errors, world
from novakit.concurrency.shares import Share
from novakit.config.connections import SharingOptions


class Cost(Enum):
    """What a request costs, and so which share it takes from."""

    ENTRY = "entry"
    """To find out who asks; parties are client addresses."""
    STRANGER = "stranger"
    """Discovery documents and logins; parties are client addresses. For the others they are projects."""
    ORDINARY = "ordinary"
    HEAVY = "heavy"
    """Lists with details, allocation candidates, dry runs: they keep the processor busy."""
    TRANSFER = "transfer"
    """Image data, in and out: long, and cheap by the second."""


@attrs.define
class Pace:
    """So many turns a second for each party, two seconds' worth of them at once; a faster party waits."""

    rate: float
    _next: dict[str, float] = attrs.field(factory=dict)
    """When the turn after the last one is due."""

    AHEAD = 2.0
    """Seconds' worth of turns that may be taken at once."""
    PATIENCE = 10.0
    """Seconds that a turn may be away; beyond it the party is told to come again."""
    MOST = 10_000
    """Parties that are remembered before those are forgotten that would not have to wait."""

    async def turn(self, party: str) -> None:
        """Wait for a turn. Raises TooMany where it is too far away."""
        now = world.monotonic()
        if len(self._next) > self.MOST:
            self._next = {one: due for one, due in self._next.items() if due > now}
        due = max(self._next.get(party, 0.0), now - self.AHEAD) + 1 / self.rate
        if due - now > self.PATIENCE:
            raise errors.TooMany(
                "Too many requests without a valid token came from this address; try again in 10 s.",
                headers={"Retry-After": "10"},
            )
        self._next[party] = due
        if due > now:
            await asyncio.sleep(due - now)


@attrs.define
class Shares:
    """Every share of one process."""

    options: SharingOptions = attrs.field(factory=SharingOptions)
    pace: "Pace" = attrs.field(init=False)
    _shares: dict[Cost, Share] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.pace = Pace(self.options.strangers_rate)
        options, waiting = self.options, self.options.waiting_each
        self._shares = {
            # Few, for what they do is all processor: so many of them come between two steps of anybody else.
            Cost.ENTRY: Share(total=4, each=4, waiting_each=10_000),
            Cost.STRANGER: Share(total=16, each=8, waiting_each=waiting),
            Cost.ORDINARY: Share(total=options.ordinary, each=options.ordinary_each, waiting_each=waiting),
            Cost.HEAVY: Share(total=options.heavy, each=options.heavy_each, waiting_each=waiting),
            Cost.TRANSFER: Share(total=options.transfer, each=options.transfer_each, waiting_each=waiting),
        }

    def __getitem__(self, cost: Cost) -> Share:
        return self._shares[cost]
