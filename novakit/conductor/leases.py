"""The leases of one engine: what it works on, and which leases of others are void.

The idea: a lease is a row's owner and a moment, and it holds for as long as its owner writes another moment now and
then. Whoever would take an operation over looks at the leases once a second, and counts by its own clock how long one
has stayed the same.
The invariant: the moment in a lease is compared for being the same and never for being late, as it is of another
machine's clock. What is held here is not leased here again, whatever its lease says.
The cost: one small read a second, and a write every five for all that is held.
"""

from datetime import timedelta

import attrs

from novakit import world
from novakit.store import Store
from novakit.store import operations as rows
from novakit.store.engine import Row

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
    held: set[str] = attrs.field(factory=set)
    """The operations that it works on."""
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

    async def take(self) -> list[Row]:
        """Lease what waits, the oldest first, as far as there is room."""
        void, free = await self.void(), self.free
        # A lease that is lost with the power leaves its operation free, and whoever held it is gone.
        async with self.store.write(flushed=False) as session:
            until = world.now() + LEASE
            # Not what is held here, whatever its lease says: a wall clock set forward makes every lease look void.
            taken = await rows.lease(session, self.owner, until, free, running=self.held, void=void)
        self.held.update(row["id"] for row in taken)
        return taken

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
