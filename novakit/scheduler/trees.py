"""Hosts whose resources lie with several providers: their trees in the table, and what servers take of them."""

from collections.abc import Iterable, Mapping, Sequence
from weakref import WeakValueDictionary

import attrs

from novakit.scheduler.table import CLASSES, HostTable
from novakit.store.engine import Row
from novakit_hookspecs.affinity import devices
from novakit_hookspecs.scheduling import Ask
from novakit_hookspecs.trees import ProviderStock, Shares, Units, assign, plain

_OWN = frozenset(CLASSES.values())
Tree = tuple[ProviderStock, ...]


@attrs.frozen
class Trees:
    """Makes the trees of hosts; hosts that are alike share their parts."""

    _known: "WeakValueDictionary[ProviderStock, ProviderStock]" = attrs.field(factory=WeakValueDictionary)

    def grown(
        self,
        root: str,
        providers: Iterable[str],
        inventories: Mapping[str, Mapping[str, Row]],
        traits: Mapping[str, Iterable[str]],
    ) -> tuple[tuple[str, ...], Tree]:
        """Give the providers of a host, its own first, and what each can give; two times nothing where amounts say all.

        Of the host's own provider only what others have, too, and what comes in odd units is listed.
        """
        below = {one: self._stock(inventories.get(one, {}), traits.get(one, ())) for one in providers if one != root}
        shared = {name for stock in below.values() for name, _ in stock.stock}
        own = {
            name: row for name, row in inventories.get(root, {}).items() if name in shared or not _is_even(name, row)
        }
        if not below and not own:
            return (), ()
        ids = sorted(below, key=lambda one: (below[one].stock, sorted(below[one].traits), one))
        return (root, *ids), (self._stock(own, traits.get(root, ())), *(below[one] for one in ids))

    def _stock(self, rows: Mapping[str, Row], traits: Iterable[str]) -> ProviderStock:
        made = ProviderStock(stock=tuple((name, _units(rows[name])) for name in sorted(rows)), traits=traits)
        return self._known.setdefault(made, made)


def _units(row: Row) -> Units:
    free = max(row["capacity"] - row["used"], 0)
    return Units(free=free, min_unit=row["min_unit"], max_unit=row["max_unit"], step_size=row["step_size"])


def _is_even(name: str, row: Row) -> bool:
    """Say whether every amount up to what is free can be had, as far as the filters of amounts look."""
    return row["min_unit"] == row["step_size"] == 1 and (name in _OWN or row["max_unit"] >= row["capacity"])


def amounts(ask: Ask, *, with_groups: bool = False) -> dict[str, int]:
    """Give the amounts of a request that are no devices, and belong to no group unless asked for."""
    if not ask.extra_specs:
        return dict(ask.resources)
    try:
        near = devices(ask.extra_specs, ask.image.properties if ask.image else {})
    except ValueError:
        near = None
    return plain(ask.resources, () if with_groups else ask.groups, near.resources() if near else {})


def shares(tree: Sequence[ProviderStock], ask: Ask) -> Shares | None:
    """Say what a server takes of which provider of a tree, devices aside; None where it cannot be had."""
    return assign(tree, amounts(ask), ask.groups, isolate=ask.isolate_groups)


def take(table: HostTable, row: int, ask: Ask) -> Shares:
    """Count in the table what a server is about to be given of a host's providers, and tell it."""
    tree = table.column("tree")[row]
    given = shares(tree, ask) if tree else None
    if given is None:
        return ()
    table.put(row, tree=after(tree, given, 1))
    return given


def take_back(table: HostTable, row: int, given: Shares) -> None:
    """Undo `take`, for a server that was not given it after all."""
    tree = table.column("tree")[row]
    if tree and len(tree) == len(given):
        table.put(row, tree=after(tree, given, -1))


def after(tree: Tree, given: Shares, sign: int) -> Tree:
    """Give what is left of a tree after some was taken, or with the sign -1 given back."""
    return tuple(
        attrs.evolve(one, stock=tuple((name, _less(units, sign * some.get(name, 0))) for name, units in one.stock))
        if some
        else one
        for one, some in zip(tree, given, strict=True)
    )


def _less(units: Units, amount: int) -> Units:
    return attrs.evolve(units, free=units.free - amount) if amount else units


def by_provider(ids: Sequence[str], given: Shares) -> dict[str, dict[str, int]]:
    """Give the amounts by provider."""
    return {one: dict(some) for one, some in zip(ids, given, strict=True) if some}
