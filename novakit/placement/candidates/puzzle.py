"""Answering the questions of one tree in every possible way.

Answers that are still possible are the bits of a number, by the place of the provider: a mask.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

import attrs

from novakit.placement.candidates.ask import Candidate
from novakit.placement.candidates.forest import Provider
from novakit.placement.candidates.matching import matchable
from novakit.placement.candidates.questions import Answers, Pulse, room
from novakit.placement.candidates.rules import Contest, Rules

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
        state, ends = self._known(node)
        if ends is not None:
            if self.pulse.due(len(ends) // 4):
                yield None
            if ends:
                yield self._whole(node, ends)
            return ends
        number = min(node.open, key=lambda one: node.masks[one].bit_count())
        before = node.open.index(number)
        kept: Ends | None = []
        for place in self._still(node, number):
            if self.pulse.due(self.rules.work):
                yield None
            narrowed = self._answered(node, number, place)
            if narrowed is None:
                continue
            below = yield from self._solve(narrowed)
            if kept is None or below is None or len(kept) + len(below) > SHORT:
                kept = None
            else:
                kept += [(*end[:before], self._ids[place], *end[before:]) for end in below]
        if kept is not None:
            self._keep(state, kept)
        return kept

    def _known(self, node: Node) -> tuple[object, Ends | None]:
        """Give the state of a node, and its ends when they take no search."""
        if len(node.open) == 1:
            return None, self._last(node)
        state = self._state(node)
        ends = self._ends.get(state)
        if ends is None and not self._possible(node):
            ends = []
            self._keep(state, ends)
        return state, ends

    def _keep(self, state: object, ends: Ends) -> None:
        self._kept += STATE + len(ends)
        if self._kept > KEPT:
            self._ends.clear()
            self._kept = STATE + len(ends)
        self._ends[state] = ends

    def _last(self, node: Node) -> Ends:
        [number] = node.open
        together = self._traits or self._above
        return [
            (self._ids[place],)
            for place in self._still(node, number)
            if not together or self._possible(self._with(node, number, place))
        ]

    def _whole(self, node: Node, ends: Ends) -> list[Candidate]:
        """Put ends behind (or between) what is answered."""
        begun = tuple(self._ids[mask.bit_length() - 1] for mask in node.masks)
        answered = len(begun) - len(node.open)
        if node.open[0] == answered:
            begun = begun[:answered]
            return [begun + end for end in ends]
        places = list(range(len(begun)))
        for behind, number in enumerate(node.open, start=len(begun)):
            places[number] = behind
        pick = itemgetter(*places)
        return [pick(begun + end) for end in ends]

    def _still(self, node: Node, number: int) -> Sequence[int]:
        mask = node.masks[number]
        return [place for place in self.questions[number] if mask >> place & 1]

    def _with(self, node: Node, number: int, place: int) -> Node:
        masks = (*node.masks[:number], 1 << place, *node.masks[number + 1 :])
        return Node(masks, tuple(one for one in node.open if one != number), node.left)

    def _answered(self, node: Node, number: int, place: int) -> Node | None:
        """Answer a question, and rule out what others can no longer be; None when one of them has no answer left."""
        masks, bit = list(node.masks), 1 << place
        masks[number] = bit
        still = tuple(one for one in node.open if one != number)
        left = dict(node.left)
        for contest in self.rules.contests_of[number]:
            takes, key = contest.takes, (contest.name, place)
            rest = self._left(node, contest, place) - takes[number]
            left[key] = rest
            for other in still:
                if takes.get(other, 0) > rest:
                    masks[other] &= ~bit
        if self._kin and number in self.rules.consuming:
            others = self._kin[self.providers[place].root_id] & ~bit
            for other in self.rules.consuming.intersection(still):
                masks[other] &= ~others
        return Node(tuple(masks), still, left) if all(masks) else None

    def _left(self, node: Node, contest: Contest, place: int) -> int:
        left = node.left.get((contest.name, place))
        return room(self.providers[place], contest) if left is None else left

    def _possible(self, node: Node) -> bool:
        """Rule out what no answer to the open questions can mend."""
        return (
            all(self._seated(node, contest) for contest in self.rules.contests)
            and all(some & _union(node.masks, self.rules.wide) for some in self._traits)
            and all(_union(node.masks, some) & self._common(node, some) for some in self.rules.subtrees)
        )

    def _seated(self, node: Node, contest: Contest) -> bool:
        """Say whether all who contend could have a place, if each took as little as the least of them."""
        takes = contest.takes
        numbers = [one for one in node.open if one in takes]
        wishes = [node.masks[one] for one in numbers]
        if len(wishes) < 2 or min(mask.bit_count() for mask in wishes) >= len(wishes):
            return True
        least = min(takes[one] for one in numbers)
        return matchable(wishes, lambda place: self._left(node, contest, place) // least)

    def _common(self, node: Node, numbers: Iterable[int]) -> int:
        """Give those that stand above all answers of these questions."""
        common = -1
        for number in numbers:
            if number not in node.open:
                common &= self._above[node.masks[number].bit_length() - 1]
        return common

    def _state(self, node: Node) -> object:
        """Tell all that decides what can follow; equal states have equal ends."""
        masks = tuple(node.masks[number] for number in node.open)
        reach = _union(masks, range(len(masks)))
        wanted = {
            contest.name: sum(contest.takes.get(number, 0) for number in node.open) for contest in self.rules.contests
        }
        scarce = frozenset(
            item for item in node.left.items() if item[1] < wanted[item[0][0]] and reach >> item[0][1] & 1
        )
        answered = [number for number in self.rules.wide if number not in node.open]
        had = _union(node.masks, answered)
        traits = tuple(bool(some & had) for some in self._traits)
        tops = tuple(
            (common := self._common(node, some), common & _union(node.masks, some.difference(node.open)))
            for some in self.rules.subtrees
        )
        return node.open, masks, scarce, traits, tops


def _union(masks: Sequence[int], numbers: Iterable[int]) -> int:
    union = 0
    for number in numbers:
        union |= masks[number]
    return union
