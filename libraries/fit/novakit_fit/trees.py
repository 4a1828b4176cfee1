"""From which providers of a host's tree a server takes.

The idea: what a server wants of a tree is a request for allocation candidates of that one tree.
So the answer comes from the search that answers Placement's API, too (`novakit_fit.search`); its first one is enough.
The invariant: a filter, the scheduler's claim and Placement agree on whether a server fits, for they ask the same code.
The cost: some 50 µs for a class or two and a handful of providers, 0.3 ms for 8 groups over 8 devices.
A search that goes on for a second (`novakit_fit.search.first`) is given up, and the host counts as unfit.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

import attrs

from novakit_fit.search.ask import Candidate, CandidateRequest, Group
from novakit_fit.search.board import Board
from novakit_fit.search.first import GaveUp, first, pulse_until_given_up, to_its_end
from novakit_fit.search.position import Position
from novakit_fit.search.provider import Provider, Stock
from novakit_fit.search.questions import TreeScope, questions_of
from novakit_fit.search.rules import Rules
from novakit_hookspecs.trees import ProviderStock, RequestGroup

ANY = 2**62
"""What the host's own provider has of a class that nobody lists."""

GroupShares = tuple[Mapping[str, int], ...]
"""What to take of each provider of a tree, in its order, by resource class."""


def plain(resources: Mapping[str, int], groups: Sequence[RequestGroup], devices: Mapping[str, int]) -> dict[str, int]:
    """Return what is left of the amounts of a request without its groups and without its devices."""
    left = dict(resources)
    for amounts in (*(group.resources for group in groups), devices):
        for name, amount in amounts.items():
            left[name] = left.get(name, 0) - amount
    return {name: amount for name, amount in left.items() if amount > 0}


def assign(
    tree: Sequence[ProviderStock],
    plain: Mapping[str, int],
    groups: Sequence[RequestGroup] = (),
    *,
    isolate: bool = False,
) -> GroupShares | None:
    """Return what to take of which provider; None where the tree cannot give it all.

    Each class of `plain` comes from one provider, and so does each group; with `isolate` no two groups come from the
    same.
    The first provider is the host's own: a class that no provider lists is taken from it, however much it is.
    """
    return Wanted.of(plain, groups, isolate=isolate).assigned(tree)


@attrs.frozen
class Wanted:
    """What one server wants of a tree; made once for many trees."""

    rules: Rules
    classes: frozenset[str]
    traits: frozenset[str]
    """Those that a group requires or forbids; others make no difference."""

    @classmethod
    def of(cls, plain: Mapping[str, int], groups: Sequence[RequestGroup], *, isolate: bool = False) -> "Wanted":
        """Put together what belongs to no group and the groups."""
        spread = {name: amount for name, amount in plain.items() if amount}
        asked = [
            Group(
                suffix=f"{number}",
                resources=one.resources,
                required=tuple(frozenset({trait}) for trait in one.required),
                forbidden=one.forbidden,
            )
            for number, one in enumerate(groups, start=1)
        ]
        ask = CandidateRequest(groups=(*([Group(resources=spread)] if spread else ()), *asked), isolate=isolate)
        classes = frozenset(spread).union(*(one.resources for one in groups))
        traits = frozenset().union(*(one.required | one.forbidden for one in groups))
        return cls(Rules(ask), classes, traits)

    def assigned(self, tree: Sequence[ProviderStock]) -> GroupShares | None:
        """Return what to take of which provider of a tree; None where the tree cannot give it all.

        None, too, where the search for it was given up.
        """
        try:
            return self._assigned(tree)
        except GaveUp:
            return None

    def is_given_up(self, tree: Sequence[ProviderStock]) -> bool:
        """Return whether nobody knows if the tree can give it all, as the search for it takes too long."""
        try:
            self._assigned(tree)
        except GaveUp:
            return True
        return False

    def _assigned(self, tree: Sequence[ProviderStock]) -> GroupShares | None:
        if not self.rules.ask.parts:
            return tuple({} for _ in tree)
        providers = self._providers(tree)
        found = self._first(providers)
        if found is None:
            return None
        given = self.rules.ask.allocations(found)
        return tuple(given.get(one.id, {}) for one in providers)

    def _providers(self, tree: Sequence[ProviderStock]) -> Sequence[Provider]:
        found = [_provider(place, one) for place, one in enumerate(tree)]
        unlisted = self.classes.difference(*(one.stock for one in found))
        if unlisted:
            own = found[0]
            more = {name: Stock(ANY, 0, 1, ANY, 1) for name in unlisted}
            found[0] = Provider(own.id, own.root_id, None, {**own.stock, **more}, own.traits, own.aggregates)
        return found

    def _first(self, providers: Sequence[Provider]) -> Candidate | None:
        pulse = pulse_until_given_up()
        masks = to_its_end(questions_of(self.rules, TreeScope(providers[0], providers, (), {}), pulse))
        if masks is None:
            return None
        board = Board(self.rules, providers)
        return first(board, masks, _Preference(board, self.classes, self.traits).ordered, pulse)


@attrs.define
class _Preference:
    """The host's own provider comes first, then those with the least to spare; of those that are alike, one."""

    board: Board
    classes: frozenset[str]
    traits: frozenset[str]
    _kinds: dict[int, object] = attrs.field(factory=dict)

    def ordered(self, node: Position, number: int, places: Sequence[int]) -> Iterable[int]:
        """Return the places that are worth trying, the best first."""
        if len(places) == 1:
            return places
        return self._different(node, self._by_spare(node, number, places))

    def _by_spare(self, node: Position, number: int, places: Sequence[int]) -> list[int]:
        left, names = self.board.left, [name for name, _ in self.board.rules.ask.parts[number].resources]
        spare = {place: sum(left(node, name, place) for name in names) if place else -1 for place in places}
        return sorted(places, key=spare.__getitem__)

    def _different(self, node: Position, places: Iterable[int]) -> Iterator[int]:
        used: dict[int, list[tuple[str | None, int]]] = {}
        for (name, place), left in node.left.items():
            used.setdefault(place, []).append((name, left))
        seen = set()
        for place in places:
            alike = self._kind(place), frozenset(used.get(place, ()))
            if alike not in seen:
                seen.add(alike)
                yield place

    def _kind(self, place: int) -> object:
        """Return what of a provider matters: those of which this is the same are as good as each other."""
        known = self._kinds.get(place)
        if known is None:
            one = self.board.providers[place]
            stock = tuple(item for item in one.stock.items() if item[0] in self.classes)
            known = self._kinds[place] = place == 0, stock, one.traits & self.traits
        return known


@lru_cache(maxsize=65536)
def _provider(place: int, one: ProviderStock) -> Provider:
    stock = {name: Stock(units.free, 0, units.min_unit, units.max_unit, units.step_size) for name, units in one.stock}
    return Provider(str(place), "0", None if place == 0 else "0", stock, one.traits, frozenset())
