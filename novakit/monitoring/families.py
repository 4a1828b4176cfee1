"""From what the roles counted to metric families."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate

import attrs
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from novakit.calls.counts import ConductorCounts, PluginCounts, SchedulerCounts, SpreadCounts, StepCounts
from novakit.disk import Room
from novakit.monitoring.tallies import RequestTally
from novakit.store.engine import StoreTally

CallCounts = StepCounts | PluginCounts
TALLY: Mapping[str, tuple[str, Callable[[CallCounts], float]]] = {
    "calls": ("Calls", lambda told: told.calls),
    "faults": ("Calls that failed or broke the contract", lambda told: told.faults),
    "seconds": ("Seconds spent in calls", lambda told: told.seconds),
}
SPREADS: Sequence[tuple[str, str, Callable[[SchedulerCounts], SpreadCounts]]] = (
    ("decision_seconds", "Seconds from request to answer", lambda told: told.waited),
    ("batch_servers", "Servers decided together", lambda told: told.batched),
    ("claim_seconds", "Seconds that a claiming transaction took", lambda told: told.claimed),
)
"""Histograms of a scheduler: the end of the name, what it counts, and where it is found."""
STEPS: Sequence[tuple[str, Callable[[SchedulerCounts], Mapping[str, StepCounts]]]] = (
    ("filter", lambda told: told.filters),
    ("weigher", lambda told: told.weighers),
    ("driver", lambda told: told.drivers),
)


@attrs.define(kw_only=True)
class Numbers:
    """What one scrape found; a part that did not answer is empty and named in `silent`."""

    schedulers: Sequence[SchedulerCounts] = ()
    conductor: ConductorCounts | None = None
    plugins: Sequence[PluginCounts] = ()
    """Of this process."""
    requests: RequestTally = attrs.field(factory=RequestTally)
    """Of this process."""
    disks: Mapping[str, Room] = attrs.field(factory=dict)
    """What is left of the file systems that this process fills."""
    store: StoreTally = attrs.field(factory=StoreTally)
    """Of this process."""
    silent: Sequence[str] = ()


def exposition(numbers: Numbers) -> bytes:
    """Write the numbers as Prometheus text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(numbers))
    return generate_latest(registry)


@attrs.frozen(eq=False)
class _Collector:
    numbers: Numbers

    def collect(self) -> Iterator[Metric]:
        numbers = self.numbers
        answered = GaugeMetricFamily(
            "novakit_source_answered", "Whether the numbers of a role could be read (1) or not (0)", labels=["source"]
        )
        for source in sorted({"scheduler", "conductor", *numbers.silent}):
            answered.add_metric([source], float(source not in numbers.silent))
        yield answered
        yield from _requests(numbers.requests)
        yield from _disks(numbers.disks)
        yield from _store(numbers.store)
        if numbers.schedulers:
            yield from _schedulers(numbers.schedulers)
        if numbers.conductor is not None:
            yield from _operations(numbers.conductor)
        yield from _plugins([*numbers.plugins, *(numbers.conductor.plugins if numbers.conductor else ())])


def _store(told: StoreTally) -> Iterator[Metric]:
    for name, count, meaning in (
        ("statements", told.statements, "Statements that this process sent to the database"),
        ("transactions", told.transactions, "Transactions that write"),
        ("flushes", told.flushes, "Flushes of SQLite's log to the disk"),
    ):
        yield CounterMetricFamily(f"novakit_store_{name}", meaning, value=count)


def _requests(told: RequestTally) -> Iterator[Metric]:
    answered = CounterMetricFamily(
        "novakit_api_requests", "Requests that were answered", labels=["service", "method", "status"]
    )
    for (service, method, status), count in told.answers.items():
        answered.add_metric([service, method, str(status)], count)
    yield answered
    seconds = HistogramMetricFamily(
        "novakit_api_request_seconds", "Seconds from a request to its answer", labels=["service", "method"]
    )
    for labels, spread in told.seconds.items():
        seconds.add_metric(list(labels), _buckets(spread.told()), spread.total)
    yield seconds


def _disks(rooms: Mapping[str, Room]) -> Iterator[Metric]:
    for key, words in (
        ("free", "Bytes that are free"),
        ("low_water", "Free bytes below which uploads and copies of images are refused"),
        ("reserved", "Free bytes below which nothing new is made"),
        ("size", "Bytes of the file system"),
    ):
        family = GaugeMetricFamily(f"novakit_disk_{key}_bytes", words, labels=["disk"])
        for name, room in rooms.items():
            family.add_metric([name], getattr(room, key))
        yield family


def _schedulers(several: Sequence[SchedulerCounts]) -> Iterator[Metric]:
    decisions = CounterMetricFamily(
        "novakit_scheduler_decisions",
        "Requests for one server that were settled, by outcome",
        labels=["scheduler", "outcome"],
    )
    conflicts = CounterMetricFamily(
        "novakit_scheduler_conflicts", "Hosts that were chosen and another claim had taken", labels=["scheduler"]
    )
    known = GaugeMetricFamily("novakit_scheduler_hosts", "Compute hosts the scheduler knows", labels=["scheduler"])
    rejected = CounterMetricFamily(
        "novakit_scheduler_rejected_hosts",
        "Hosts a filter removed, summed over decisions",
        labels=["scheduler", "filter"],
    )
    for told in several:
        name = told.scheduler
        for outcome, count in (("placed", told.placed), ("refused", told.refused), ("failed", told.failed)):
            decisions.add_metric([name, outcome], count)
        conflicts.add_metric([name], told.conflicts)
        known.add_metric([name], told.hosts)
        for step, counted in told.filters.items():
            rejected.add_metric([name, step], counted.removed)
    yield from (decisions, conflicts, known, rejected)
    for metric, words, spread_of in SPREADS:
        histogram = HistogramMetricFamily(f"novakit_scheduler_{metric}", words, labels=["scheduler"])
        for told in several:
            histogram.add_metric([told.scheduler], _buckets(spread_of(told)), spread_of(told).total)
        yield histogram
    for kind, steps_of in STEPS:
        for key, (words, value_of) in TALLY.items():
            family = CounterMetricFamily(
                f"novakit_scheduler_{kind}_{key}", f"{words} of a {kind}", labels=["scheduler", kind, "plugin"]
            )
            for told in several:
                for step, counted in steps_of(told).items():
                    family.add_metric([told.scheduler, step, counted.plugin], value_of(counted))
            yield family


def _operations(told: ConductorCounts) -> Iterator[Metric]:
    ended = CounterMetricFamily(
        "novakit_operations_ended", "Operations that ended, by final state", labels=["kind", "state"]
    )
    for one in told.operations:
        ended.add_metric([one.kind, one.state], one.count)
    yield ended
    yield GaugeMetricFamily("novakit_operations_running", "Operations under way", value=told.running)


def _plugins(tallies: Sequence[PluginCounts]) -> Iterator[Metric]:
    summed: dict[tuple[str, str], dict[str, float]] = {}
    for one in tallies:
        here = summed.setdefault((one.plugin, one.call), dict.fromkeys(TALLY, 0.0))
        for key, (_, value_of) in TALLY.items():
            here[key] += value_of(one)
    for key, (words, _) in TALLY.items():
        family = CounterMetricFamily(f"novakit_plugin_{key}", f"{words} into a plugin", labels=["plugin", "call"])
        for labels, values in summed.items():
            family.add_metric(list(labels), values[key])
        yield family


def _buckets(spread: SpreadCounts) -> list[tuple[str, float]]:
    """Return how many values do not exceed each bound, as the format wants them."""
    bounds = [*map(str, spread.bounds), "+Inf"]
    return list(zip(bounds, map(float, accumulate(spread.counts)), strict=True))
