"""How far the questions of a tree are answered, and what an answer leaves of the others.

The idea: a question's possible answers are a mask, a number whose bit n stands for the provider at place n of the
scope. Answering one takes bits from the masks of those that contend for the same stock, must not share a provider, or
must stay in one subtree; what no answer can mend any more is found before anything is tried (`is_possible`).
The invariant: `answered` removes only answers that could not be part of a candidate, so none is lost; and `state`
holds all that decides what can follow, so that equal states have equal ends.
The cost: `work` looks for each answer, at some 0.5 µs each; a node holds masks and what is left of what is contended,
not a copy of the tree.
"""

from collections.abc import Iterable, Mapping, Sequence

import attrs

from novakit_fit.matching import matching
from novakit_fit.search.cover import Cover
from novakit_fit.search.masks import bits, mask_of, union
from novakit_fit.search.position import Position
from novakit_fit.search.provider import Provider
from novakit_fit.search.questions import room
from novakit_fit.search.rules import Rules


@attrs.define
class Board:
    """One tree, as far as answers bear on one another there."""

    rules: Rules
    providers: Sequence[Provider]
    more_covers: Sequence[Cover] = ()
    """What answers must bring together beside the traits of the group without a suffix."""
    work: int = attrs.field(init=False)
    """How many looks it takes to try one answer."""
    _kin: Mapping[str, int] = attrs.field(init=False)
    """By root, the providers of its tree, when only one of each may be used."""
    _below: Sequence[int] = attrs.field(init=False)
    """By place, that provider and all below it, where subtrees matter."""
    _covers: Sequence[Cover] = attrs.field(init=False)
    """All that answers must bring together."""
    _together: frozenset[int] = attrs.field(init=False)
    """Questions of which the answers are looked at together."""

    def __attrs_post_init__(self) -> None:
        rules = self.rules
        self._kin = {} if rules.ask.nested else self._trees()
        self._below = self._subtrees() if rules.subtrees else ()
        self._covers = (*map(self._had_by_one, rules.wide_traits), *self.more_covers)
        self._together = rules.together.union(*(one.questions for one in self.more_covers))
        looks = len(self.providers) * sum(map(len, rules.subtrees)) + sum(len(one.gains) for one in self.more_covers)
        self.work = rules.work + looks

    def _had_by_one(self, some: frozenset[str]) -> Cover:
        """Return what it takes that one of the providers of the group without a suffix has one of some traits."""
        gains = {place: (place, 1) for place, one in enumerate(self.providers) if some & one.traits}
        return Cover(self.rules.wide, 1, gains)

    def _trees(self) -> Mapping[str, int]:
        trees: dict[str, int] = {}
        for place, one in enumerate(self.providers):
            trees[one.root_id] = trees.get(one.root_id, 0) | 1 << place
        return trees

    def _subtrees(self) -> Sequence[int]:
        places = {one.id: place for place, one in enumerate(self.providers)}
        below = [0] * len(places)
        for place, one in enumerate(self.providers):
            for above in one.ancestors & places.keys():
                below[places[above]] |= 1 << place
        return below

    def answered(self, node: Position, number: int, place: int) -> Position | None:
        """Answer a question, and rule out what others can no longer be; None when one of them has no answer left."""
        rules, masks, bit = self.rules, list(node.masks), 1 << place
        masks[number] = bit
        still = tuple([one for one in node.open if one != number])
        left = dict(node.left)
        for name in rules.contests_of[number]:
            takes = rules.contests[name]
            left[name, place] = rest = self.left(node, name, place) - takes[number]
            for other in still:
                if takes.get(other, 0) > rest:
                    masks[other] &= ~bit
        # Candidates without nested providers (the Placement API before 1.29) take from one provider of each tree.
        if self._kin and number in rules.consuming:
            others = self._kin[self.providers[place].root_id] & ~bit
            for other in rules.consuming.intersection(still):
                masks[other] &= ~others
        for some in rules.subtrees:
            if number in some:
                under = union(self._below, self._tops(masks, some))
                for other in some:
                    masks[other] &= under
        return Position(tuple(masks), still, left) if all(masks) else None

    def tried(self, node: Position, number: int, place: int) -> Position:
        """Return a node without an answer that was tried in vain, for callers that want one candidate.

        Nor can it be the answer to another question with the same answers that takes the same: the two could change
        places, and that was tried.
        """
        mask, masks = node.masks[number], list(node.masks)
        for other in self.rules.alike[number].intersection(node.open):
            if masks[other] == mask and all(
                (other in one.questions) == (number in one.questions) for one in self._covers
            ):
                masks[other] &= ~(1 << place)
        return node._replace(masks=tuple(masks))

    def left(self, node: Position, name: str | None, place: int) -> int:
        """Return how much a provider has left of a class; of itself, None, whether it may be used once more."""
        left = node.left.get((name, place))
        return room(self.providers[place], name) if left is None else left

    def _tops(self, masks: Sequence[int], some: Iterable[int]) -> list[int]:
        """List who could stand above all answers to these questions, and be one of them."""
        return [
            place for place in bits(union(masks, some)) if all(masks[number] & self._below[place] for number in some)
        ]

    def is_free(self, node: Position) -> bool:
        """Return whether no answer to an open question bears on another."""
        return self._together.isdisjoint(node.open) and all(
            len(some.intersection(node.open)) < 2 for some in self.rules.rivals
        )

    def is_possible(self, node: Position) -> bool:
        """Rule out what no answer to the open questions can mend."""
        return all(one.is_possible(node) for one in self._covers) and all(
            self._seated(node, name) for name in self.rules.contests
        )

    def _seated(self, node: Position, name: str | None) -> bool:
        """Return whether all who contend could have a place, if each took as little as the least of them."""
        takes = self.rules.contests[name]
        numbers = [number for number in node.open if number in takes]
        wanted_places = sorted([node.masks[number] for number in numbers], key=int.bit_count)
        # Where each has as many places as there are contenders, everybody finds one, and nothing has to be matched.
        if len(wanted_places) < 2 or wanted_places[0].bit_count() >= len(wanted_places):
            return True
        least = min(takes[number] for number in numbers)
        return matching(wanted_places, lambda place: self.left(node, name, place) // least) is not None

    def state(self, node: Position) -> object:
        """Return all that decides what can follow; equal states have equal ends."""
        rules, masks = self.rules, tuple([node.masks[number] for number in node.open])
        within = union(node.masks, node.open)
        near = [(key, left) for key, left in node.left.items() if within >> key[1] & 1]
        # How much is left of what is there for all decides nothing; without it, far more states are equal.
        scarce = frozenset([(key, left) for key, left in near if left < self._wanted(node, key[0])])
        if not self._together:
            return node.open, masks, scarce
        tops = tuple(
            (mask_of(self._tops(node.masks, some)), union(node.masks, some.difference(node.open)))
            for some in rules.subtrees
        )
        return node.open, masks, scarce, tuple(one.state(node) for one in self._covers), tops

    def _wanted(self, node: Position, name: str | None) -> int:
        takes = self.rules.contests[name]
        return sum(takes.get(number, 0) for number in node.open)
