"""The questions a tree has to answer: for each part of a request, the providers that could, taken alone, give it.

The idea: most trees are ruled out by one part that nobody can give, so that is found before anything is combined:
once for each part over the providers of the tree, and once for what several parts contend for, in sum.
The invariant: a provider that is left out could not give its part in any candidate. The group without a suffix has
the API's own rules: its traits may be had by several providers together, forbidden ones by none, and its aggregates
count for a whole tree when they are the root's.
The cost: 12 µs for a tree of seven providers and three parts; a flat tree of one provider never gets here
(`suits_whole`).
"""

from collections.abc import Generator, Iterable, Mapping, Sequence

import attrs

from novakit_fit.search.ask import Group, Part
from novakit_fit.search.masks import bits, mask_of, union
from novakit_fit.search.provider import Provider
from novakit_fit.search.rules import Rules


@attrs.frozen
class TreeScope:
    """One tree and what may be used with it."""

    root: Provider
    tree: Sequence[Provider]
    lenders: Sequence[Provider]
    tree_of: Mapping[str, str | None]
    """By suffix, the root that `in_tree` of a group means."""

    providers: Sequence[Provider] = attrs.field(init=False)
    """All that may be used; answers are places in here."""

    @providers.default
    def _providers(self) -> Sequence[Provider]:
        return (*self.tree, *self.lenders) if self.lenders else self.tree


def room(one: Provider, name: str | None) -> int:
    """Return how much of a class a provider can give to all parts together, and of itself one."""
    if name is None:
        return 1
    stock = one.stock[name]
    return min(stock.capacity - stock.used, stock.max_unit)


def _suits(one: Provider, group: Group) -> bool:
    """Return whether a provider has the traits and aggregates of a group, by itself."""
    return (
        not group.forbidden & one.traits
        and all(some & one.traits for some in group.required)
        and _in_aggregates(one, group)
        and not group.not_member_of & one.aggregates
    )


def _in_aggregates(one: Provider, group: Group) -> bool:
    return all(some & one.aggregates for some in group.member_of)


def _fits(one: Provider, resources: Iterable[tuple[str, int]]) -> bool:
    for name, amount in resources:
        stock = one.stock.get(name)
        if stock is None or not stock.fits(amount):
            return False
    return True


def suits_whole(one: Provider, group: Group, tree: str | None) -> bool:
    """Return whether one provider satisfies a whole group; `tree` is the root that its `in_tree` means."""
    if tree is not None and one.root_id != tree:
        return False
    return _fits(one, group.resources.items()) and _suits(one, group)


@attrs.define
class Pulse:
    """Counts the work of one search, and tells when it is time to let others run."""

    every: int = 2048
    """Looks at a provider or a question between two such moments: a few milliseconds."""
    _work: int = 0

    def due(self, work: int) -> bool:
        """Count some work. Returns whether it is time."""
        self._work += work
        if self._work < self.every:
            return False
        self._work = 0
        return True


def questions_of(rules: Rules, scope: TreeScope, pulse: Pulse) -> Generator[None, None, list[int] | None]:
    """Find the answers of one tree to the question of each part, or tell that one has none."""
    found: list[int] = []
    for part in rules.ask.parts:
        if pulse.due(len(scope.providers) * max(1, len(part.resources))):
            yield
        found.append(mask_of(_for_group(part, scope) if part.group.suffix else _for_class(part, scope)))
        if not found[-1]:
            # Most trees of a cloud end here, at their first or second part; what comes is not even looked at.
            return None
    return found if found and _enough(rules, scope, found) else None


def _for_group(part: Part, scope: TreeScope) -> list[int]:
    tree = scope.tree_of.get(part.group.suffix)
    return [
        place
        for place, one in enumerate(scope.providers)
        if _fits(one, part.resources) and (tree is None or one.root_id == tree) and _suits(one, part.group)
    ]


def _for_class(part: Part, scope: TreeScope) -> list[int]:
    """A class of the group without a suffix: traits are had together, aggregates by the tree or the provider."""
    group = part.group
    if group.not_member_of & scope.root.aggregates:
        return []
    own = len(scope.tree) if _in_aggregates(scope.root, group) else 0
    return [
        place
        for place, one in enumerate(scope.tree if "" in scope.tree_of else scope.providers)
        if _fits(one, part.resources)
        and (place < own or _in_aggregates(one, group))
        and not group.forbidden & one.traits
        and not group.not_member_of & one.aggregates
    ]


def _enough(rules: Rules, scope: TreeScope, questions: Sequence[int]) -> bool:
    """Return whether what is contended is there at all, counting all who could give it."""
    return all(
        sum(room(scope.providers[place], name) for place in bits(union(questions, takes))) >= sum(takes.values())
        for name, takes in rules.contests.items()
    )
