"""How busy a host may be, and what must be known of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs
import numpy as np

from novakit_filters.demands import Demand, unmet
from novakit_filters.standing import present, reason
from novakit_hookspecs.columns import metric_name
from novakit_hookspecs.scheduling import Ask, HostColumns, Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray


@attrs.frozen
class IoOpsOptions:
    """How much may go on at once on one host."""

    max_io_ops_per_host: int = attrs.field(default=8, validator=attrs.validators.ge(1))


@attrs.frozen
class InstancesOptions:
    """How many servers one host may hold."""

    max_instances_per_host: int = attrs.field(default=50, validator=attrs.validators.ge(1))


@attrs.frozen
class Below:
    """Keep hosts on which a count is below a limit; aggregate metadata of the limit's name overrides it."""

    fact: str
    key: str
    limit: int
    text: str
    noun: str
    """What is counted."""

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        mask: NDArray[np.bool_] = hosts.column(self.fact) < self._limits(hosts)
        return mask

    def _limits(self, hosts: HostColumns) -> "int | NDArray[np.int64]":
        """Return each host's limit: the smallest that its aggregates say, else the configured one."""
        said = [
            (one.id, int(one.metadata[self.key]))
            for one in hosts.tagged(self.key)
            if _whole(one.metadata.get(self.key))
        ]
        if not said:
            return self.limit
        lowest = np.full(hosts.size, np.iinfo(np.int64).max)
        for aggregate, limit in said:
            np.minimum(lowest, limit, out=lowest, where=hosts.in_aggregate(aggregate))
        return np.where(lowest == np.iinfo(np.int64).max, self.limit, lowest)

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        count = hosts.column(self.fact).astype(np.int64)
        limit = np.broadcast_to(self._limits(hosts), count.shape)
        row = int((count - limit).argmin())
        most, more = int(limit[row]), int(count[row] - limit[row]) + 1
        return [
            Reason(
                code=f"too_many_{self.fact}",
                count=hosts.size,
                message=self.text,
                wanted=most + more,
                available=most,
                remedy=f"a {self.key} of {most + more} instead of {most}, or {more} {self.noun} fewer",
                shortfall=more / (most + more),
            )
        ]


def _whole(text: str | None) -> bool:
    return text is not None and text.isdecimal() and len(text) < 10


def _metrics(instance: object, attribute: object, value: Sequence[str]) -> None:
    for name in value:
        if metric_name(name) is None:
            raise ValueError(f"{name!r} is not a name of a metric; write one such as cpu.percent or power_usage_watts")


@attrs.frozen
class MetricsOptions:
    """Which measurements a host must have."""

    required: Sequence[str] = attrs.field(default=(), validator=_metrics)
    """Names of metrics, as `power_usage_watts` or `cpu.percent`."""


@attrs.frozen
class Metrics:
    """Keep hosts that report every measurement the weighers are to rely on."""

    options: MetricsOptions

    def applies(self, ask: Ask) -> bool:
        return bool(self.options.required)

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        mask = np.ones(hosts.size, np.bool_)
        for name in self.options.required:
            mask &= np.isfinite(hosts.column(f"metric_{metric_name(name)}"))
        return mask

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        text = "report too few measurements"
        return unmet(
            [
                Demand(
                    "metrics_missing",
                    text,
                    f"the metric {name}",
                    np.isfinite(hosts.column(f"metric_{metric_name(name)}")),
                )
                for name in self.options.required
            ]
        )


class TypeAffinity:
    """Keep hosts that hold servers of the same flavor only, or none."""

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        return np.fromiter(
            (not flavors or not (flavors.keys() - {ask.flavor_name}) for flavors in hosts.column("flavors")),
            np.bool_,
            hosts.size,
        )

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        everyone = np.ones(hosts.size, np.bool_)
        return present(reason("other_flavors", everyone, "hold servers of other flavors", remedy="an empty host"))
