"""The hosts that fit, with their weights, and the best of them."""

from collections.abc import Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from novakit import world
from novakit.scheduler.pipeline.steps import PipelineStep
from novakit_hookspecs.ranking import SchedulerSpec
from novakit_hookspecs.scheduling import FilterSpec
from novakit_hookspecs.weighing import WeigherSpec

FEW = 12
"""Up to so many maxima, looking for one after the other is quicker than sorting."""
Vector = NDArray[np.float64]


@attrs.define
class Ranking:
    """The hosts that fit, with their weights."""

    rows: NDArray[np.intp]
    total: Vector
    parts: list[tuple[PipelineStep[WeigherSpec | SchedulerSpec], Vector]]
    """Each weigher's share of the total, over the same rows."""
    bounds: list[tuple[float, float]]
    """The lowest and highest score each share was scaled by."""
    doubtful: Sequence[PipelineStep[FilterSpec]] | None = None
    """The filters that may refuse a host after a claim on it, for any server of the request; None until one was asked
    for, and for members of a group."""

    def best(self, wanted: int, subset: int = 1) -> list[int]:
        """Return places in `rows`, best first; the first is drawn from the `subset` best and all that equal them."""
        count = len(self.rows)
        if count == 0:
            return []
        first = self._draw(subset)
        if wanted <= 1 or count == 1:
            return [first]
        others = [place for place in self.top(wanted + 1) if place != first]
        return [first, *others[: wanted - 1]]

    def top(self, wanted: int) -> list[int]:
        """Return the places of the best hosts, best first, without any chance."""
        wanted = min(wanted, len(self.total))
        if wanted > FEW:
            return [int(place) for place in np.argsort(-self.total, kind="stable")[:wanted]]
        left = self.total.copy()
        found = []
        for _ in range(wanted):
            place = int(left.argmax())
            found.append(place)
            left[place] = -np.inf
        return found

    def _draw(self, subset: int) -> int:
        chance = world.chance()
        if subset > 1 and subset < len(self.total):
            limit = np.partition(self.total, -subset)[-subset]
            equal = np.flatnonzero(self.total >= limit)
        elif subset > 1:
            return chance.randrange(len(self.total))
        else:
            equal = np.flatnonzero(self.total == self.total[self.total.argmax()])
        return int(equal[0] if len(equal) == 1 else equal[chance.randrange(len(equal))])
