"""The leases of one engine: what it works on, and which leases of others are void.

The idea: a lease is a row's owner and a moment, and it holds for as long as its owner writes another moment now and
then. Whoever would take an operation over looks at the leases once a second, and counts by its own clock how long one
has stayed the same. An operation that is asked for in the process of an engine which has room is written with its
lease, and begun as soon as it is committed.
The invariant: the moment in a lease is compared for being the same and never for being late, as it is of another
machine's clock. What is held here is not leased here again, whatever its lease says; nothing that is asked for now
takes a place for which, by the last look, something older waits.
The cost: one small read a second, and a write every five for all that is held. An operation that is written with its
lease costs no transaction of its own for that, and no look for it.
"""

import math
from collections.abc import Callable, Sequence
from datetime import timedelta

import attrs

from novakit import world
from novakit.conductor.work import HandedOver
from novakit.store import Store
from novakit.store import operations as rows

LEASE = timedelta(seconds=15)
"""How long another engine waits before it takes an operation over: three renewals, one of which may fail. A killed
conductor delays its operations by as much."""
LOOK_EVERY = 1.0
"""Seconds between two looks at the leases of others: how much later than `LEASE` a void one may be noticed."""


@attrs.define
class Leases:
    """What one engine holds, and what it knows of the leases of others."""

    store: Store
    owner: str
    limit: int
    """How many operations it holds at a time."""
    begin: Callable[[rows.OperationRow, HandedOver | None], None]
    """Runs an operation that is leased; with it goes what is known of one that was written in this process."""
    held: set[str] = attrs.field(factory=set)
    """The operations that it works on, or will as soon as they are committed."""
    is_open: bool = False
    """Whether operations may be leased as they are asked for: not before the engine has looked for older ones."""
    waits: bool = False
    """Whether something may wait that there was no room for."""
    _looked_for: int = 0
    """For how many a look is under way that has not said yet what it found."""
    _reserved: dict[str, rows.OperationLease] = attrs.field(factory=dict)
    """What is asked for and not committed yet."""
    _others: dict[str, tuple[rows.OperationLease, float]] = attrs.field(factory=dict)
    """Leases of operations that are not held here, and since when each is known, by the monotonic clock."""
    _looked_at: float = -1e9

    @property
    def free(self) -> int:
        """Return how many more operations may be held."""
        return self.limit - len(self.held)

    async def take_over(self) -> int:
        """Free every lease, where no other engine shares the store. Returns how many there were."""
        async with self.store.write() as session:
            return await rows.forget_leases(session)

    async def take(self) -> list[rows.OperationRow]:
        """Lease what waits, the oldest first, as far as there is room."""
        self.waits = self.free <= 0
        if self.waits:
            return []
        void, taken = await self.void(), list[rows.OperationRow]()
        try:
            # A lease that is lost with the power leaves its operation free, and whoever held it is gone.
            async with self.store.write(flushed=False) as session:
                until, free = world.now() + LEASE, max(self.free, 0)
                self._looked_for = free
                # Not what is held here, whatever its lease says: a wall clock set forward makes every lease look void.
                taken = await rows.lease(session, self.owner, until, free, running=self.held, void=void)
                self.held.update(row["id"] for row in taken)
                # Now, and not once it is committed: on SQLite that lets others on, which are to find room.
                self._looked_for = 0
        except BaseException:
            self.held.difference_update(row["id"] for row in taken)
            raise
        finally:
            self._looked_for = 0
        self.waits = len(taken) == free
        return taken

    def reserve(self, new: Sequence[rows.NewOperation]) -> list[rows.OperationRow]:
        """Keep room for the first of some operations; returns these with their leases, as they are to be written.

        Whoever writes them calls `begin_reserved` once they are committed, and `give_up` in any case.
        """
        if not self.is_open or self.waits:
            return []
        until = world.now() + LEASE
        room = max(self.free - self._looked_for, 0)
        # One that is held is written a second time, by somebody who does not know that it is committed: in vain.
        if any(row["id"] in self.held for row in new[:room]):
            return []
        leased = [rows.leased(row, self.owner, until) for row in new[:room]]
        for row in leased:
            self.held.add(row["id"])
            self._reserved[row["id"]] = rows.OperationLease(self.owner, until)
        return leased

    def begin_reserved(self, leased: Sequence[rows.OperationRow], handed: Callable[[int], HandedOver | None]) -> None:
        """Begin what is committed; `handed` says what is known of which one."""
        for place, row in enumerate(leased):
            del self._reserved[row["id"]]
            self.begin(row, handed(place))

    def give_up(self, leased: Sequence[rows.OperationRow]) -> None:
        """Keep no room for what was not committed; what may be in the database nevertheless is found at once."""
        for row in leased:
            if (lease := self._reserved.pop(row["id"], None)) is not None:
                self.held.discard(row["id"])
                self._others[row["id"]] = lease, -math.inf

    async def void(self) -> dict[str, rows.OperationLease]:
        """Return the leases that were not renewed for longer than a lease, by this process's own clock.

        What stands in them is a moment of another machine's wall clock, which may have been set since.
        """
        now = world.monotonic()
        if now - self._looked_at >= LOOK_EVERY:
            self._looked_at = now
            async with self.store.read() as session:
                found = await rows.leases(session)
            known, self._others = self._others, {}
            for id, lease in found.items():
                if id not in self.held:
                    before = known.get(id)
                    self._others[id] = before if before is not None and before[0] == lease else (lease, now)
        return {id: lease for id, (lease, since) in self._others.items() if now - since > LEASE.total_seconds()}

    async def renew(self) -> set[str]:
        """Keep what is held; the result names the operations that were cancelled meanwhile."""
        if not self.held:
            return set()
        async with self.store.write() as session:
            return await rows.renew(session, self.owner, self.held, world.now() + LEASE)
