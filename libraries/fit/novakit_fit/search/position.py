"""Where a search stands."""

from collections.abc import Mapping
from typing import NamedTuple


class Position(NamedTuple):
    """How far the questions are answered."""

    masks: tuple[int, ...]
    """By question, the answers that are still possible: one where it is answered."""
    open: tuple[int, ...]
    """Questions without an answer."""
    left: Mapping[tuple[str | None, int], int]
    """What is left of what is contended, by name and place, where somebody took of it."""
