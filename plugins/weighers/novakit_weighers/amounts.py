"""Weighers by one number of a host, or by how much of several it has left."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs
import numpy as np

from novakit_hookspecs.columns import metric_name
from novakit_hookspecs.scheduling import Ask, HostColumns

if TYPE_CHECKING:
    from numpy.typing import NDArray


@attrs.frozen
class Column:
    """Prefer hosts with more of one number."""

    fact: str

    def score(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.float64]":
        return hosts.column(self.fact)


@attrs.frozen
class Fewest:
    """Prefer hosts with less of one number."""

    fact: str

    def score(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.float64]":
        score: NDArray[np.float64] = -hosts.column(self.fact).astype(np.float64)
        return score


def _metrics(instance: object, attribute: object, value: Mapping[str, float]) -> None:
    for name in value:
        if metric_name(name) is None:
            raise ValueError(f"{name!r} is not a name of a metric; write one such as cpu.percent or power_usage_watts")


@attrs.frozen
class MetricsWeigherOptions:
    """Which measurements count, and how much."""

    weights: dict[str, float] = attrs.field(factory=dict, validator=_metrics)
    """By metric, as `power_usage_watts` or `cpu.percent`: its ratio; below 0 less is better."""
    missing: float = 0.0
    """What a host without the measurement gets instead of ratio times value; ignored when `required`."""
    required: bool = True
    """Whether a host that lacks one of them counts as unknown as a whole."""


@attrs.frozen
class MetricsWeigher:
    """Prefer hosts by a weighted sum of what they measure."""

    options: MetricsWeigherOptions

    def score(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.float64]":
        total = np.zeros(hosts.size)
        for name, ratio in self.options.weights.items():
            measured = hosts.column(f"metric_{metric_name(name)}") * ratio
            total += measured if self.options.required else np.where(np.isnan(measured), self.options.missing, measured)
        return total


class EnergyEfficiency:
    """Prefer hosts that do more work for a watt: CPU use in percent per kilowatt, ten points each, 100 at most.

    A host whose power is unknown, zero or negative is neither good nor bad: it counts as the middle of the others.
    """

    def score(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.float64]":
        watts = hosts.column("metric_power_usage_watts")
        busy = hosts.column("metric_cpu_percent")
        known = np.isfinite(watts) & (watts > 0) & np.isfinite(busy)
        efficiency = np.full(hosts.size, np.nan)
        np.divide(np.clip(busy, 0, 100) / 100, watts / 1000, out=efficiency, where=known)
        points: NDArray[np.float64] = np.minimum(efficiency * 10, 100)
        return points


class Production:
    """Prefer hosts that are empty, quiet and proven: a score from 0 to 72.

    32 points for room (memory and CPU 12 each, disk 8), 20 for few operations under way, 20 for a day of uptime without
    failures; an uptime that is unknown counts as twelve hours, an unknown failure rate as a half.
    """

    def score(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.float64]":
        room = sum(
            points * _share(hosts.column(f"free_{fact}"), hosts.column(f"capacity_{fact}"))
            for fact, points in (("memory_mb", 12.0), ("vcpus", 12.0), ("disk_gb", 8.0))
        )
        quiet = 20.0 * np.clip(1.0 - hosts.column("io_ops") / 100.0, 0.0, 1.0)
        uptime = np.clip(_known(hosts.column("metric_uptime_hours"), 12.0) / 24.0, 0.0, 1.0)
        failing = np.clip(_known(hosts.column("metric_failure_rate"), 0.5), 0.0, 1.0)
        total: NDArray[np.float64] = room + quiet + 20.0 * uptime * (1.0 - failing)
        return total


def _share(free: "NDArray[np.float64]", total: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """Return free / total within 0..1; 0 for a host that has nothing of it."""
    share = np.zeros(len(free))
    np.divide(free, total, out=share, where=total > 0)
    return np.clip(share, 0.0, 1.0)


def _known(values: "NDArray[np.float64]", instead: float) -> "NDArray[np.float64]":
    return np.where(np.isfinite(values), values, instead)
