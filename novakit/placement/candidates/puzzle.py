"""Answering the questions of one tree in every possible way.

Answers that are still possible are the bits of a number, by the place of the provider: a mask.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from itertools import islice, product
from math import prod
from operator import itemgetter
from typing import NamedTuple

import attrs

from novakit.placement.candidates.ask import Candidate
from novakit.placement.candidates.forest import Provider
from novakit.placement.candidates.matching import matchable
from novakit.placement.candidates.questions import Answers, Pulse, room
from novakit.placement.candidates.rules import Rules

Ends = list[Candidate]
"""Every way to answer what is open, in the order of the questions."""
SHORT = 128
"""As many ends are worth keeping, for wherever the same is left to do."""
KEPT = 2**16
"""Ends and states that are kept at once: some megabytes."""
STATE = 8
"""As much as this many ends, a state takes."""


class Node(NamedTuple):
    """How far the questions are answered."""

    masks: tuple[int, ...]
    """By question, the answers that are still possible: one where it is answered."""
    open: tuple[int, ...]
    """Questions without an answer."""
    left: Mapping[tuple[str | None, int], int]
    """What is left of what is contended, by name and place, where somebody took of it."""


@attrs.define
class Puzzle:
    """The questions of one tree."""

    rules: Rules
    providers: Sequence[Provider]
    questions: Sequence[Answers]
    pulse: Pulse
    _ids: Sequence[str] = attrs.field(init=False)
    _kin: Mapping[str, int] = attrs.field(init=False)
    """By root, the providers of its tree, when only one of each may be used."""
    _above: Sequence[int] = attrs.field(init=False)
    """By place, that provider and all above it, where subtrees matter."""
    _traits: Sequence[int] = attrs.field(init=False)
    """Of each set of traits that the group without a suffix must have somewhere, who has one."""
    _ends: dict[object, Ends] = attrs.field(factory=dict)
    """By state, all ways to go on; none is a dead end."""
    _kept: int = 0

    def __attrs_post_init__(self) -> None:
        self._ids = [one.id for one in self.providers]
        self._kin = {} if self.rules.ask.nested else self._trees()
        self._above = self._ancestors() if self.rules.subtrees else ()
        self._traits = [
            sum(1 << place for place, one in enumerate(self.providers) if some & one.traits)
            for some in self.rules.wide_traits
        ]

    def _trees(self) -> dict[str, int]:
        trees: dict[str, int] = {}
        for place, one in enumerate(self.providers):
            trees[one.root_id] = trees.get(one.root_id, 0) | 1 << place
        return trees

    def _ancestors(self) -> list[int]:
        places = {id: place for place, id in enumerate(self._ids)}
        return [sum(1 << places[id] for id in one.ancestors if id in places) for one in self.providers]

    def solutions(self) -> Iterator[list[Candidate] | None]:
        """Answer all questions in every possible way, some candidates at a time; None now and then."""
        masks = tuple(sum(1 << place for place in answers) for answers in self.questions)
        yield from self._solve(Node(masks, tuple(range(len(masks))), {}))

    def _solve(self, node: Node) -> Generator[list[Candidate] | None, None, Ends | None]:
        """Give all candidates that begin so; return their ends, or None where there are too many to keep."""
        if self._is_free(node):
            return (yield from self._combined(node))
        state = self._state(node)
        known = self._ends.get(state)
        if known is None and not self._possible(node):
            known = self._keep(state, [])
        if known is not None:
            if self.pulse.due(len(known) // 4):
                yield None
            if known:
                yield self._whole(node, known)
            return known
        number = min(node.open, key=lambda one: node.masks[one].bit_count())
        before = node.open.index(number)
        ends: Ends | None = []
        for place in self._still(node, number):
            if self.pulse.due(self.rules.work):
                yield None
            narrowed = self._answered(node, number, place)
            if narrowed is None:
                continue
            below = yield from self._solve(narrowed)
            if ends is None or below is None or len(ends) + len(below) > SHORT:
                ends = None
            else:
                ends += [(*end[:before], self._ids[place], *end[before:]) for end in below]
        return None if ends is None else self._keep(state, ends)

    def _is_free(self, node: Node) -> bool:
        """Say whether no answer to an open question bears on another."""
        return self.rules.together.isdisjoint(node.open) and all(
            len(some.intersection(node.open)) < 2 for some in self.rules.rivals
        )

    def _combined(self, node: Node) -> Generator[list[Candidate] | None, None, Ends | None]:
        """Give every combination of the answers that are left."""
        if not self._possible(node):
            return []
        answers = [[self._ids[place] for place in self._still(node, number)] for number in node.open]
        combinations = product(*answers)
        while some := list(islice(combinations, SHORT)):
            if self.pulse.due(len(some) // 4):
                yield None
            yield self._whole(node, some)
        return list(product(*answers)) if prod(map(len, answers)) <= SHORT else None

    def _keep(self, state: object, ends: Ends) -> Ends:
        self._kept += STATE + len(ends)
        if self._kept > KEPT:
            self._ends.clear()
            self._kept = STATE + len(ends)
        self._ends[state] = ends
        return ends

    def _whole(self, node: Node, ends: Ends) -> list[Candidate]:
        """Put ends behind (or between) what is answered."""
        begun = tuple(self._ids[mask.bit_length() - 1] for mask in node.masks)
        answered = len(begun) - len(node.open)
        if not node.open or node.open[0] == answered:
            return [begun[:answered] + end for end in ends]
        places = list(range(len(begun)))
        for behind, number in enumerate(node.open, start=len(begun)):
            places[number] = behind
        pick = itemgetter(*places)
        return [pick(begun + end) for end in ends]

    def _still(self, node: Node, number: int) -> Sequence[int]:
        mask = node.masks[number]
        return [place for place in self.questions[number] if mask >> place & 1]

    def _answered(self, node: Node, number: int, place: int) -> Node | None:
        """Answer a question, and rule out what others can no longer be; None when one of them has no answer left."""
        masks, bit = list(node.masks), 1 << place
        masks[number] = bit
        still = tuple(one for one in node.open if one != number)
        left = dict(node.left)
        for name in self.rules.contests_of[number]:
            takes = self.rules.contests[name]
            left[name, place] = rest = self._left(node, name, place) - takes[number]
            for other in still:
                if takes.get(other, 0) > rest:
                    masks[other] &= ~bit
        if self._kin and number in self.rules.consuming:
            others = self._kin[self.providers[place].root_id] & ~bit
            for other in self.rules.consuming.intersection(still):
                masks[other] &= ~others
        return Node(tuple(masks), still, left) if all(masks) else None

    def _left(self, node: Node, name: str | None, place: int) -> int:
        left = node.left.get((name, place))
        return room(self.providers[place], name) if left is None else left

    def _possible(self, node: Node) -> bool:
        """Rule out what no answer to the open questions can mend."""
        return (
            all(self._seated(node, name, takes) for name, takes in self.rules.contests.items())
            and all(some & _union(node.masks, self.rules.wide) for some in self._traits)
            and all(_union(node.masks, some) & self._common(node, some) for some in self.rules.subtrees)
        )

    def _seated(self, node: Node, name: str | None, takes: Mapping[int, int]) -> bool:
        """Say whether all who contend could have a place, if each took as little as the least of them."""
        numbers = [number for number in node.open if number in takes]
        wishes = [node.masks[number] for number in numbers]
        if len(wishes) < 2 or min(mask.bit_count() for mask in wishes) >= len(wishes):
            return True
        least = min(takes[one] for one in numbers)
        return matchable(wishes, lambda place: self._left(node, name, place) // least)

    def _common(self, node: Node, numbers: Iterable[int]) -> int:
        """Give those that stand above all answers of these questions."""
        common = -1
        for number in numbers:
            if number not in node.open:
                common &= self._above[node.masks[number].bit_length() - 1]
        return common

    def _state(self, node: Node) -> object:
        """Tell all that decides what can follow; equal states have equal ends."""
        masks = tuple([node.masks[number] for number in node.open])
        within = _union(node.masks, node.open)
        near = [(key, left) for key, left in node.left.items() if within >> key[1] & 1]
        scarce = frozenset((key, left) for key, left in near if left < self._wanted(node, key[0]))
        if not self.rules.together:
            return node.open, masks, scarce
        had = _union(node.masks, self.rules.wide.difference(node.open))
        tops = [
            (common := self._common(node, some), common & _union(node.masks, some.difference(node.open)))
            for some in self.rules.subtrees
        ]
        return node.open, masks, scarce, *tops, *(bool(some & had) for some in self._traits)

    def _wanted(self, node: Node, name: str | None) -> int:
        takes = self.rules.contests[name]
        return sum(takes.get(number, 0) for number in node.open)


def _union(masks: Sequence[int], numbers: Iterable[int]) -> int:
    union = 0
    for number in numbers:
        union |= masks[number]
    return union
