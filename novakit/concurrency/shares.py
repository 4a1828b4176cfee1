"""One kind of work, shared fairly: so much of it at a time, so much for one party, and turns for those who wait.

The idea: a free place goes to the party that has gone longest without one, and not to the oldest of all who wait.
The invariant: a party that asks a thousand times at once delays another one by no more than what is under way. A
place that was given is given back, also when whoever waited for it was cancelled at that moment.
The cost: 3 µs for a place that is free; whoever waits costs a future, and `waiting_each` of them is a party's most.
"""

import asyncio
from collections import Counter, OrderedDict, deque

import attrs

from novakit import errors


@attrs.define(kw_only=True)
class Share:
    """One kind of work."""

    total: int
    each: int
    waiting_each: int = 1000
    _active: Counter[str] = attrs.field(factory=Counter)
    _waiting: "OrderedDict[str, deque[asyncio.Future[None]]]" = attrs.field(factory=OrderedDict)
    _taken: int = 0

    async def enter(self, party: str) -> None:
        """Take a place, to be given back by `leave`. Raises TooMany where the party has too many waiting."""
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
                self.leave(party)
            raise

    def _take(self, party: str) -> None:
        self._active[party] += 1
        self._taken += 1

    def leave(self, party: str) -> None:
        """Give a place back."""
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
