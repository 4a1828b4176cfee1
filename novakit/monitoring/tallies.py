"""Numbers as the roles keep them: plain data that crosses the bus."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from novakit.plughost import Plugin


@attrs.define
class Spread:
    """Counts of values by the smallest bound they do not exceed; the last count is of those above all bounds."""

    bounds: Sequence[float]
    counts: list[int] = attrs.field(init=False)
    total: float = 0.0
    """Sum of the values."""

    def __attrs_post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def note(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


def tallies_of(plugins: Iterable[Plugin]) -> list[dict[str, Any]]:
    """Give one row for each plugin and call that was made: plugin, call, calls, faults, seconds."""
    return [
        {"plugin": plugin.key, "call": call, **attrs.asdict(tally)}
        for plugin in plugins
        for call, tally in plugin.tallies.items()
    ]
