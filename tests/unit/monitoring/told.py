"""What a scheduler tells of itself, and the values of a text for Prometheus."""

from prometheus_client.parser import text_string_to_metric_families

from novakit.calls.counts import SchedulerCounts, StepCounts
from novakit.monitoring.tallies import Spread

STEP = StepCounts(plugin="novakit-filters", calls=3, seconds=0.5, removed=7, faults=1, last_fault="it broke")


def scheduler_counts(name: str = "scheduler-1") -> SchedulerCounts:
    waited = Spread((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 9.0):
        waited.note(seconds)
    return SchedulerCounts(
        scheduler=name,
        hosts=4,
        placed=3,
        refused=1,
        failed=0,
        conflicts=2,
        batches=4,
        seconds=0.5,
        waited=waited.told(),
        batched=waited.told(),
        claimed=waited.told(),
        filters={"ram": STEP},
        weighers={"cpu": STEP},
    )


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Give the values by name and labels, which the text orders by their names."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
