"""The first candidate of one tree, for callers that need one and cannot wait long for it."""

from collections.abc import Generator, Sequence
from typing import TypeVar

from novakit_fit.search.ask import Candidate
from novakit_fit.search.board import Board
from novakit_fit.search.puzzle import AnswerOrder, Puzzle
from novakit_fit.search.questions import Pulse

T = TypeVar("T")
LOOKS = 2**18
"""Looks at a provider or a question before a search is given up: about a second."""


class GaveUp(Exception):
    """Nobody knows whether there is a candidate: the search for it went on for `LOOKS`."""


def pulse_until_given_up() -> Pulse:
    """Return a pulse of which the first beat is the end of the search."""
    return Pulse(every=LOOKS)


def to_its_end(asking: Generator[None, None, T]) -> T:
    """Return what a generator returns that pauses at the beats of such a pulse. Raises GaveUp."""
    try:
        next(asking)
    except StopIteration as ended:
        answer: T = ended.value
        return answer
    raise GaveUp


def first(board: Board, masks: Sequence[int], prefers: AnswerOrder, pulse: Pulse) -> Candidate | None:
    """Return the first candidate in the order of a preference, None where there is none. Raises GaveUp."""
    some = next(Puzzle(board, masks, pulse, prefers=prefers).solutions(), [])
    if some is None:
        raise GaveUp
    return some[0] if some else None
