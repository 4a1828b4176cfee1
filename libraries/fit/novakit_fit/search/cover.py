"""What the answers to some questions must have together, whichever of them brings how much.

The idea: beside what each answer takes there is what all of them must bring: one of a set of traits, or as many
devices as a guest wants near its cells. How much that can still become is bounded by the best places that are open.
The invariant: `is_possible` never says no where some way to answer the open questions brings enough; with nothing
open it is exact. `state` holds all of what was brought that decides what can follow.
The cost: 0.3 µs where one is enough, whoever brings it (a trait), and 4 µs where amounts over 8 places are added up.
"""

from collections.abc import Mapping, Sequence

import attrs

from novakit_fit.search.masks import bits, mask_of, union
from novakit_fit.search.position import Position


@attrs.frozen
class Cover:
    """Amounts that answers must bring in sum."""

    questions: frozenset[int]
    least: int
    """How much they must bring together; at least 1."""
    gains: Mapping[int, tuple[int, int]]
    """By place, an area and how much it brings. An area counts once, however many answers are in it."""
    _near: int = attrs.field(init=False)
    """The places that bring anything."""

    @_near.default
    def _bringing(self) -> int:
        return mask_of(self.gains)

    def lacking(self, node: Position) -> int:
        """Return how much is still to be brought; 0 or less where enough is."""
        return self.least - sum(self._brought(node).values())

    def gain(self, node: Position, place: int) -> int:
        """Return how much one more answer at a place would bring."""
        area, amount = self.gains.get(place, (place, 0))
        return 0 if area in self._brought(node) else amount

    def is_possible(self, node: Position) -> bool:
        """Return whether the open questions could bring what is lacking, each at the best place for it."""
        if not self._near & union(node.masks, self.questions):
            return False
        if self.least == 1:
            return True
        brought = self._brought(node)
        lacking = self.least - sum(brought.values())
        if lacking <= 0:
            return True
        ahead = self._ahead(node)
        best = sorted((amount for area, amount in ahead.items() if area not in brought), reverse=True)
        return sum(best[: len(self.questions.intersection(node.open))]) >= lacking

    def state(self, node: Position) -> object:
        """Return what of this decides what can follow."""
        if self.least == 1:
            return bool(self._near & union(node.masks, self.questions.difference(node.open)))
        brought = self._brought(node)
        lacking = self.least - sum(brought.values())
        if lacking <= 0:
            return True
        # What was brought of an area that nobody can come to any more decides nothing but by its sum.
        return lacking, frozenset(brought.keys() & self._ahead(node).keys()) if brought else None

    def _brought(self, node: Position) -> dict[int, int]:
        return self._areas(node.masks, self.questions.difference(node.open))

    def _ahead(self, node: Position) -> dict[int, int]:
        return self._areas(node.masks, self.questions.intersection(node.open))

    def _areas(self, masks: Sequence[int], numbers: frozenset[int]) -> dict[int, int]:
        return dict([self.gains[place] for place in bits(union(masks, numbers) & self._near)])
