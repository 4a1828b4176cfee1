"""Numbers as the roles keep them; what of them crosses the bus are the records of `novakit.calls.counts`."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

import attrs

from novakit.calls.counts import PluginCounts, SpreadCounts
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

    def told(self) -> SpreadCounts:
        """Return what was counted so far."""
        return SpreadCounts(bounds=tuple(self.bounds), counts=tuple(self.counts), total=self.total)


ANSWERED = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets, in seconds."""
METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


@attrs.define
class RequestTally:
    """The requests that the APIs of this process answered; its size depends on no client."""

    answers: dict[tuple[str, str, int], int] = attrs.field(factory=dict)
    """How many, by service, method and HTTP status."""
    seconds: dict[tuple[str, str], Spread] = attrs.field(factory=dict)
    """From the request to its answer, by service and method."""

    def note(self, service: str, method: str, status: int, seconds: float) -> None:
        """Count a request; a method that HTTP does not define counts as `other`."""
        method = method if method in METHODS else "other"
        key = service, method, status
        self.answers[key] = self.answers.get(key, 0) + 1
        spread = self.seconds.get((service, method))
        if spread is None:
            spread = self.seconds[service, method] = Spread(ANSWERED)
        spread.note(seconds)


def tallies_of(plugins: Iterable[Plugin]) -> list[PluginCounts]:
    """Return one row for each plugin and call that was made."""
    return [
        PluginCounts(plugin=plugin.key, call=call, calls=tally.calls, faults=tally.faults, seconds=tally.seconds)
        for plugin in plugins
        for call, tally in plugin.tallies.items()
    ]
