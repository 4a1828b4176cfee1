"""Answering the questions of one tree in every possible way.

The idea: depth first, the question with the fewest answers first. What follows from a state (its ends) is kept, so
that a state that is reached again, in whichever order, is not searched again: a dead end costs nothing the second
time. Where no open question bears on another, the rest is a plain product.
Where one candidate is enough (`prefers`), what was tried in vain is ruled out for the questions that are alike, too.
The invariant: every candidate is given once, or with `prefers` one where there is any; and control goes back to the
caller at least every `Pulse.every` looks, so that no request, however contrived, keeps others waiting.
The cost: 2.4 ms for the first 1,000 candidates of eight groups over eight devices, 18 ms for all 40,320; `KEPT`
bounds what is remembered to some megabytes.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import islice, product
from math import prod
from operator import itemgetter
from random import Random

import attrs

from novakit_fit.search.ask import Candidate
from novakit_fit.search.board import Board
from novakit_fit.search.masks import bits
from novakit_fit.search.position import Position
from novakit_fit.search.questions import Pulse

Ends = list[Candidate]
"""Every way to answer what is open, in the order of the questions."""
Steps = Generator[list[Candidate] | None, None, Ends | None]
"""Gives candidates, and None now and then; returns their ends, or None where there are too many to keep."""
AnswerOrder = Callable[[Position, int, Sequence[int]], Iterable[int]]
"""Orders the answers to a question: how far the others are answered, its number, its answers."""
SHORT = 128
"""As many ends are worth keeping, for wherever the same is left to do."""
KEPT = 2**16
"""Ends that are kept at once, with those that their states count as: some megabytes."""
STATE = 8
"""As many ends are as large as a state."""


@attrs.define
class Puzzle:
    """The questions of one tree, and what is known of their ends."""

    board: Board
    masks: Sequence[int]
    """The answers to each question."""
    pulse: Pulse
    chance: Random | None = None
    """Where it is given, the answers come in random order."""
    prefers: AnswerOrder | None = None
    """Where it is given, answers come in its order, and those that it leaves out are not tried.

    For callers that want one candidate.
    """
    _ids: Sequence[str] = attrs.field(init=False)
    _ends: dict[object, Ends] = attrs.field(factory=dict)
    """By state; none is a dead end."""
    _kept: int = 0

    def __attrs_post_init__(self) -> None:
        self._ids = [one.id for one in self.board.providers]

    def solutions(self) -> Iterator[list[Candidate] | None]:
        """Answer all questions in every possible way, some candidates at a time; None now and then."""
        return self._solve(Position(tuple(self.masks), tuple(range(len(self.masks))), {}))

    def _solve(self, node: Position) -> Steps:
        """Yield all candidates that begin so."""
        board = self.board
        if board.is_free(node):
            return (yield from self._combined(node))
        state = board.state(node)
        known = self._ends.get(state)
        if known is None and not board.is_possible(node):
            known = self._keep(state, [])
        if known is not None:
            if self.pulse.due(len(known) // 4):
                yield None
            if known:
                yield self._whole(node, known)
            return known
        # The fewest answers first, and of as few the one that takes most: what cannot be is found early, and the rest
        # of the tree is not tried for each way to come to it.
        number = min(node.open, key=lambda one: node.masks[one].bit_count() - board.rules.heft[one])
        before = node.open.index(number)
        ends: Ends | None = []
        for place in self._places(node, number):
            if self.pulse.due(board.work):
                yield None
            narrowed = board.answered(node, number, place)
            if narrowed is not None:
                below = yield from self._solve(narrowed)
                if ends is None or below is None or len(ends) + len(below) > SHORT:
                    ends = None
                else:
                    ends += [(*end[:before], self._ids[place], *end[before:]) for end in below]
            if self.prefers is not None:
                # One candidate would have been enough, so all that begins so can be ruled out for what is left.
                node = board.tried(node, number, place)
                if not (node.masks[number] and board.is_possible(node)):
                    break
        return None if ends is None else self._keep(state, ends)

    def _combined(self, node: Position) -> Steps:
        """Yield every combination of the answers that are left."""
        if not self.board.is_possible(node):
            return []
        most = None if self.prefers is None else 1
        answers = [[self._ids[place] for place in islice(self._places(node, number), most)] for number in node.open]
        combinations = product(*answers)
        while some := list(islice(combinations, SHORT)):
            if self.pulse.due(len(some) // 4):
                yield None
            yield self._whole(node, some)
        return list(product(*answers)) if prod(map(len, answers)) <= SHORT else None

    def _places(self, node: Position, number: int) -> Iterable[int]:
        places = list(bits(node.masks[number]))
        if self.prefers is not None:
            return self.prefers(node, number, places)
        if self.chance is not None:
            self.chance.shuffle(places)
        return places

    def _keep(self, state: object, ends: Ends) -> Ends:
        self._kept += STATE + len(ends)
        if self._kept > KEPT:
            # All at once: to know which was used least would cost each state more than searching some of them again.
            self._ends.clear()
            self._kept = STATE + len(ends)
        self._ends[state] = ends
        return ends

    def _whole(self, node: Position, ends: Ends) -> list[Candidate]:
        """Put ends behind (or between) what is answered."""
        begun = tuple([self._ids[mask.bit_length() - 1] for mask in node.masks])
        answered = len(begun) - len(node.open)
        if not node.open or node.open[0] == answered:
            begun = begun[:answered]
            return [begun + end for end in ends]
        places = list(range(len(begun)))
        for behind, number in enumerate(node.open, start=len(begun)):
            places[number] = behind
        pick = itemgetter(*places)
        return [pick(begun + end) for end in ends]
