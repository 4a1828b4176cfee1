"""Fair shares: so much work of a kind at a time, so much of it for one party, and turns for those who wait.

The idea: a request is of a kind (`Cost`), and each kind has places. A free place goes to the party that has gone
longest without one, and not to the oldest request. Strangers also have a pace: so many turns a second for an address.
The invariant: a party that asks a thousand times at once delays another one by no more than what is under way. A
place that was given is given back, also when whoever waited for it was cancelled at that moment.
The cost: 3 µs for a place that is free; whoever waits costs a future, and `waiting_each` of them is a party's most.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum

import attrs

from novakit import errors, world
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


@attrs.define(kw_only=True)
class Share:
    """One kind of work."""

    total: int
    each: int
    waiting_each: int = 1000
    _active: Counter[str] = attrs.field(factory=Counter)
    _waiting: "OrderedDict[str, deque[asyncio.Future[None]]]" = attrs.field(factory=OrderedDict)
    _taken: int = 0

    @asynccontextmanager
    async def place(self, party: str) -> AsyncIterator[None]:
        """Hold a place while the block runs. Raises TooMany where the party has too many waiting."""
        await self._enter(party)
        try:
            yield
        finally:
            self._leave(party)

    async def _enter(self, party: str) -> None:
        if party not in self._waiting and self._taken < self.total and self._active[party] < self.each:
            self._take(party)
            return
        queue = self._waiting.setdefault(party, deque())
        if len(queue) >= self.waiting_each:
            raise errors.TooMany(
                f"{len(queue)} requests wait already; ask again when some of them are answered.",
                headers={"Retry-After": "1"},
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave(party)
            raise

    def _take(self, party: str) -> None:
        self._active[party] += 1
        self._taken += 1

    def _leave(self, party: str) -> None:
        self._taken -= 1
        self._active[party] -= 1
        if not self._active[party]:
            del self._active[party]
        while self._taken < self.total and self._admit():
            pass

    def _admit(self) -> bool:
        """Give a free place to the party that has gone longest without one. Returns whether anybody wanted it."""
        for party, queue in self._waiting.items():
            while queue and queue[0].done():
                queue.popleft()
            if queue and self._active[party] < self.each:
                self._take(party)
                queue.popleft().set_result(None)
                if queue:
                    self._waiting.move_to_end(party)
                else:
                    del self._waiting[party]
                return True
            if not queue:
                del self._waiting[party]
                return True
        return False


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
                "Too many requests without a good token come from this address.", headers={"Retry-After": "10"}
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
