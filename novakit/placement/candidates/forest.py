"""The provider trees in memory: a snapshot that never changes, renewed by reading only what changed since the last.

The idea: every write to the ledger stamps the providers that it touched with a growing number
(`store.placement.changes`). A snapshot knows the number up to which it is true, so renewing it means reading the
providers with a higher one and sharing all the others with the snapshot before.
The invariant: neither a `Forest` nor a `Provider` in one is ever changed, so a search may keep one while it lets
others run. Ancestors and lenders follow from parents, roots, aggregates and the sharing trait alone; where one of
these moved, all trees are grown again, otherwise only the trees that changed.
The cost: 10 ms of CPU to grow 10,000 providers, 0.05 ms to renew one of them, beside four queries for what changed.
The first question after a start reads all of them: 0.2 s for 10,000.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping

import attrs

from novakit.store.engine import Session, Store
from novakit.store.placement import changes, usages
from novakit.store.placement.tables import ProviderRow
from novakit_fit.search.provider import Provider, Stock

SHARES = "MISC_SHARES_VIA_AGGREGATE"
"""The trait of providers that lend to every tree that is in an aggregate with them."""
CHUNK = 5000
"""Above this many changed providers, all are read again rather than each by its id."""


@attrs.frozen(eq=False)
class Forest:
    """All trees as they were at one moment."""

    seen: int
    """The change number up to which this is true."""
    providers: Mapping[str, Provider]
    trees: Mapping[str, tuple[Provider, ...]]
    """By root id, in the order of creation."""
    lenders: Mapping[str, tuple[Provider, ...]]
    """By root id: the providers of other trees that share with this one."""

    @classmethod
    def grow(cls, providers: Iterable[Provider], seen: int = 0) -> "Forest":
        """Build a snapshot from bare providers."""
        known = {one.id: one for one in providers}
        whole = {id: _above(one, _ancestors(one, known)) for id, one in known.items()}
        trees: dict[str, list[Provider]] = {}
        for one in whole.values():
            trees.setdefault(one.root_id, []).append(one)
        return cls(seen, whole, {root: tuple(tree) for root, tree in trees.items()}, _lenders(whole))

    def renewed(self, fresh: Mapping[str, Provider], changed: Iterable[str], seen: int) -> "Forest":
        """Return a snapshot in which the `changed` providers are as in `fresh`, or gone when they are not there."""
        known = dict(self.providers)
        roots: set[str] = set()
        reshaped = False
        for id in changed:
            old, new = known.pop(id, None) if id not in fresh else known.get(id), fresh.get(id)
            roots.update(one.root_id for one in (old, new) if one is not None)
            reshaped = reshaped or _shape(old) != _shape(new)
            if new is not None:
                known[id] = new if old is None or old.parent_id != new.parent_id else _above(new, old.ancestors)
        if reshaped:
            return Forest.grow(known.values(), seen)
        trees = dict(self.trees)
        for root in roots:
            trees[root] = tuple(known[one.id] for one in trees[root])
        return Forest(seen, known, trees, self._with_new_lenders(known, set(fresh)))

    def _with_new_lenders(self, known: Mapping[str, Provider], fresh: set[str]) -> Mapping[str, tuple[Provider, ...]]:
        if not any(SHARES in known[id].traits for id in fresh if id in known):
            return self.lenders
        return {root: tuple(known[one.id] for one in some) for root, some in self.lenders.items()}


def _above(one: Provider, ancestors: frozenset[str]) -> Provider:
    if one.ancestors == ancestors:
        return one
    return Provider(one.id, one.root_id, one.parent_id, one.stock, one.traits, one.aggregates, ancestors, one.said)


def _shape(one: Provider | None) -> object:
    """Return what decides which tree a provider is in and with which it shares."""
    if one is None:
        return None
    return one.root_id, one.parent_id, SHARES in one.traits, one.aggregates


def _ancestors(one: Provider, known: Mapping[str, Provider]) -> frozenset[str]:
    found = {one.id}
    while one.parent_id is not None and one.parent_id in known and one.parent_id not in found:
        one = known[one.parent_id]
        found.add(one.id)
    return frozenset(found)


def _lenders(providers: Mapping[str, Provider]) -> dict[str, tuple[Provider, ...]]:
    sharing = [one for one in providers.values() if SHARES in one.traits and one.aggregates]
    if not sharing:
        return {}
    roots: dict[str, set[str]] = {}
    for one in providers.values():
        for aggregate in one.aggregates:
            roots.setdefault(aggregate, set()).add(one.root_id)
    found: dict[str, dict[str, Provider]] = {}
    for one in sharing:
        for aggregate in one.aggregates:
            for root in roots[aggregate] - {one.root_id}:
                found.setdefault(root, {})[one.id] = one
    return {root: tuple(some.values()) for root, some in found.items()}


@attrs.define
class ForestCache:
    """The newest snapshot; asking for it reads what changed meanwhile."""

    store: Store
    _forest: Forest = attrs.field(factory=lambda: Forest(0, {}, {}, {}))
    _turn: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    async def now(self) -> Forest:
        """Return the forest as it is now."""
        async with self._turn:
            async with self.store.read() as session:
                changed, seen = await changes.since(session, self._forest.seen)
                if changed:
                    whole = len(changed) > CHUNK
                    fresh = {one.id: one for one in await _read(session, None if whole else changed)}
            if not changed:
                if seen != self._forest.seen:
                    self._forest = attrs.evolve(self._forest, seen=seen)
            elif whole:
                # Some 0.1 s for 100,000 providers: not on the event loop.
                self._forest = await asyncio.to_thread(Forest.grow, fresh.values(), seen)
            else:
                self._forest = self._forest.renewed(fresh, changed, seen)
            return self._forest


async def _read(session: Session, ids: Iterable[str] | None) -> list[Provider]:
    rows = await usages.providers_of(session, ids)
    stock = await usages.stock_of(session, ids)
    traits = await usages.traits_of(session, ids)
    aggregates = await usages.aggregates_of(session, ids)
    if len(rows) > CHUNK:
        return await asyncio.to_thread(lambda: list(_providers(rows, stock, traits, aggregates)))
    return list(_providers(rows, stock, traits, aggregates))


def _providers(
    rows: Iterable[ProviderRow],
    stock: Mapping[str, Mapping[str, tuple[int, int, int, int, int]]],
    traits: Mapping[str, frozenset[str]],
    aggregates: Mapping[str, frozenset[str]],
) -> Iterator[Provider]:
    for row in rows:
        id = row["id"]
        yield Provider(
            id,
            row["root_id"],
            row["parent_id"],
            {name: Stock(*limits) for name, limits in stock.get(id, {}).items()},
            traits.get(id, frozenset()),
            aggregates.get(id, frozenset()),
        )
