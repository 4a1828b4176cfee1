"""The working copy of one change of allocations: load what it touches, decide in memory, write the difference.

The idea: a change names consumers and what each is to hold. `open` reads these consumers, what they hold and the
stock of every provider in question, and locks the rows; `replace` and `take` calculate with plain numbers; `write`
stores what came of it.
The invariant: from `open` to the end of the caller's transaction no other writer changes these rows, so a decision
made in memory is still true when it is written. `used` of an inventory is the sum of its allocations, and no change
takes more of it than its capacity, except one that leaves an excess smaller than it was.
The cost: a dozen statements at most, however many consumers change. A claim alone takes 1.0 ms, of fifty together
each takes 0.09 ms (SQLite, 5,000 hosts).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import attrs

from novakit import errors, world
from novakit.store.engine import Session
from novakit.store.placement import allocations as store
from novakit.store.placement import changes
from novakit.store.placement.tables import ConsumerRow
from novakit_hookspecs.trees import Units

CONCURRENT_UPDATE = "placement.concurrent_update"
Key = tuple[str, str]
"""Provider id and resource class."""


@attrs.frozen(kw_only=True)
class AllocationClaim:
    """What a consumer is to hold; it replaces whatever the consumer holds."""

    consumer_id: str
    project_id: str
    user_id: str
    consumer_type: str | None = "INSTANCE"
    allocations: Mapping[str, Mapping[str, int]]
    """Amounts by provider id and resource class; empty gives everything back."""

    def amounts(self) -> dict[Key, int]:
        """Return the amounts by provider and class, without zeros."""
        return {(p, c): n for p, classes in self.allocations.items() for c, n in classes.items() if n}


@attrs.define
class _InventoryUse:
    capacity: int
    used: int
    min_unit: int
    max_unit: int
    step_size: int


class OutOfStock(errors.Conflict):
    """The inventory does not allow the amount."""


class NoSuchStock(OutOfStock):
    """The provider has no inventory of the class."""


class NoSuchProvider(errors.BadRequest):
    """The allocation names a provider that does not exist."""


@attrs.define
class Ledger:
    """What one transaction knows of the providers and consumers it touches."""

    session: Session
    consumers: dict[str, ConsumerRow]
    held: dict[str, dict[Key, int]]
    generations: dict[str, int]
    """By provider; a provider that is missing here does not exist."""
    numbers: dict[str, int]
    """By provider: the change number when it was loaded."""
    _stock: dict[Key, _InventoryUse]
    _before: dict[Key, int] = attrs.field(factory=dict)
    _wanted: dict[str, AllocationClaim] = attrs.field(factory=dict)
    _touched: set[str] = attrs.field(factory=set)

    @classmethod
    async def open(cls, session: Session, claims: Sequence[AllocationClaim], *, also: Iterable[str] = ()) -> "Ledger":
        """Load and lock the consumers of `claims`, and the providers they hold or want; `also` names further ones."""
        rows, kept = await store.lock_consumers(session, (claim.consumer_id for claim in claims))
        held: dict[str, dict[Key, int]] = {row["id"]: {} for row in rows}
        for row in kept:
            held[row["consumer_id"]][row["provider_id"], row["resource_class"]] = row["used"]
        named = {provider for claim in claims for provider in claim.allocations}
        named.update(row["provider_id"] for row in kept)
        named.update(also)
        return cls.of_stock(session, await store.lock_stock(session, named), {row["id"]: row for row in rows}, held)

    @classmethod
    def of_stock(
        cls,
        session: Session,
        rows: Iterable[store.LockedProvider],
        consumers: dict[str, ConsumerRow] | None = None,
        held: dict[str, dict[Key, int]] | None = None,
    ) -> "Ledger":
        """Make one of stock that this transaction has read and locked, for consumers that are new but for some."""
        generations: dict[str, int] = {}
        numbers: dict[str, int] = {}
        stock: dict[Key, _InventoryUse] = {}
        for row in rows:
            generations[row["id"]], numbers[row["id"]] = row["generation"], row["changed"]
            if store.has_stock(row):
                limits = (row["capacity"], row["used"], row["min_unit"], row["max_unit"], row["step_size"])
                stock[row["id"], row["resource_class"]] = _InventoryUse(*limits)
        before = {key: one.used for key, one in stock.items()}
        return cls(session, consumers or {}, held or {}, generations, numbers, stock, before)

    def free(self, provider_id: str, resource_class: str) -> int:
        """Return how much of a class can still be claimed of a provider that was loaded."""
        stock = self._stock.get((provider_id, resource_class))
        return max(stock.capacity - stock.used, 0) if stock else 0

    def units(self, provider_id: str, resource_class: str) -> Units | None:
        """Return what can still be claimed of a class of a provider that was loaded; None where it has none of it."""
        stock = self._stock.get((provider_id, resource_class))
        if stock is None:
            return None
        free = max(stock.capacity - stock.used, 0)
        return Units(free=free, min_unit=stock.min_unit, max_unit=stock.max_unit, step_size=stock.step_size)

    def take(self, claim: AllocationClaim) -> bool:
        """Let a consumer hold what a claim says, or tell that the inventories do not allow it."""
        if self.holds(claim):
            # Asked for again by one that has it: a capacity that was lowered since must not take it away.
            return True
        try:
            self.replace([claim])
        except (OutOfStock, NoSuchProvider):
            return False
        return True

    def replace(self, claims: Sequence[AllocationClaim]) -> None:
        """Let consumers hold what `claims` say, all or none; raise `OutOfStock` or `NoSuchProvider` otherwise.

        An amount above the capacity is accepted where it makes an excess no worse than it was.
        """
        for claim in claims:
            self._check_providers(claim)
        deltas: dict[Key, int] = {}
        asked: set[Key] = set()
        for claim in claims:
            for key, amount in self.held.get(claim.consumer_id, {}).items():
                deltas[key] = deltas.get(key, 0) - amount
            for key, amount in claim.amounts().items():
                self._check_units(key, amount)
                asked.add(key)
                deltas[key] = deltas.get(key, 0) + amount
        for key in asked:
            stock = self._stock[key]
            # An operator may lower a capacity below what is used; a change that gives some of it back must still work.
            if deltas[key] > 0 and stock.used + deltas[key] > stock.capacity:
                raise OutOfStock(
                    f"Unable to create allocation for '{key[1]}' on resource provider '{key[0]}'. The requested amount "
                    "would exceed the capacity."
                )
        for key, delta in deltas.items():
            if key in self._stock:
                self._stock[key].used += delta
            self._touched.add(key[0])
        for claim in claims:
            self.held[claim.consumer_id] = claim.amounts()
            self._wanted[claim.consumer_id] = claim

    def _check_providers(self, claim: AllocationClaim) -> None:
        for provider, classes in claim.allocations.items():
            if provider not in self.generations and any(classes.values()):
                raise NoSuchProvider(f"Allocation for resource provider '{provider}' that does not exist.")

    def _check_units(self, key: Key, amount: int) -> None:
        stock = self._stock.get(key)
        if stock is None:
            raise NoSuchStock(f"Inventory for '{key[1]}' on resource provider '{key[0]}' invalid.")
        if not stock.min_unit <= amount <= stock.max_unit or amount % stock.step_size:
            raise OutOfStock(
                f"Unable to create allocation for '{key[1]}' on resource provider '{key[0]}'. The requested amount "
                "would violate inventory constraints."
            )

    def holds(self, claim: AllocationClaim) -> bool:
        """Return whether the consumer holds just this already."""
        return claim.consumer_id in self.held and self.held[claim.consumer_id] == claim.amounts()

    async def write(self, *, generations: bool = True) -> dict[str, int]:
        """Write what was replaced: usage, provider generations unless told not to, consumers and allocations.

        Returns the new change numbers of the providers of which something was taken or given back.
        """
        if not self._wanted:
            return {}
        shifts = [
            (*key, one.used - self._before[key]) for key, one in self._stock.items() if one.used != self._before[key]
        ]
        if shifts:
            await store.shift_usage(self.session, shifts)
        raised = await changes.touch(self.session, self._touched, generation=generations)
        known = [consumer for consumer in self._wanted if consumer in self.consumers]
        if known:
            await store.clear(self.session, known)
        await self._write_consumers(known)
        now = world.now()
        rows = [row for consumer in self._wanted for row in _rows(consumer, self.held[consumer], now)]
        if rows:
            await store.add(self.session, rows)
        return raised

    async def _write_consumers(self, known: Sequence[str]) -> None:
        emptied = [consumer for consumer in known if not self.held[consumer]]
        changed = [_owner(self._wanted[c], self.consumers[c]) for c in known if self.held[c]]
        made = [_owner(self._wanted[c]) for c in self._wanted if c not in self.consumers and self.held[c]]
        if emptied:
            await store.remove_consumers(self.session, emptied)
        if changed:
            await store.change_consumers(self.session, [{"key": row.pop("id"), **row} for row in changed])
        if made:
            await store.add_consumers(self.session, [{**row, "created_at": row["updated_at"]} for row in made])


def _owner(claim: AllocationClaim, old: ConsumerRow | None = None) -> dict[str, object]:
    return {
        "id": claim.consumer_id,
        "project_id": claim.project_id,
        "user_id": claim.user_id,
        "type": claim.consumer_type or (old["type"] if old else None),
        "generation": old["generation"] + 1 if old else 1,
        "updated_at": world.now(),
    }


def _rows(consumer: str, held: Mapping[Key, int], now: datetime) -> list[dict[str, object]]:
    return [
        {"consumer_id": consumer, "provider_id": p, "resource_class": c, "used": amount, "created_at": now}
        for (p, c), amount in held.items()
    ]


async def take_unread(session: Session, claim: AllocationClaim, provider_id: str, seen: int) -> int | None:
    """Let a consumer that is most likely new take of one provider, without reading what is there.

    It is proven by what is written: the provider has not changed since its change number `seen`, its inventories allow
    the amounts, and the consumer is new. Returns the provider's next change number; None where one of these does not
    hold, and then the caller rolls back, as a part is written.
    Rows are taken in the order of a claim of the ledger for a new consumer, so nobody waits in a circle.
    """
    amounts, row = claim.amounts(), _owner(claim)
    number = await changes.touch_as_seen(session, provider_id, seen)
    if number is None or not await store.take(session, provider_id, {c: n for (_, c), n in amounts.items()}):
        return None
    if not await store.add_new_consumer(session, {**row, "created_at": row["updated_at"]}):
        return None
    await store.add(session, _rows(claim.consumer_id, amounts, world.now()))
    return number
