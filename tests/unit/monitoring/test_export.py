"""Numbers as text for Prometheus."""

from prometheus_client.parser import text_string_to_metric_families

from novakit.calls.counts import ConductorCounts, OperationCounts, PluginCounts, SchedulerCounts, StepCounts
from novakit.monitoring.families import Numbers, exposition
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


def test_numbers_become_prometheus_text_that_a_parser_reads() -> None:
    told = samples(
        exposition(
            Numbers(
                schedulers=[scheduler_counts(), scheduler_counts("scheduler-2")],
                conductor=ConductorCounts(
                    operations=(OperationCounts(kind="create", state="done", count=5),),
                    running=1,
                    plugins=(PluginCounts(plugin="drivers:simulated", call="create", calls=1, faults=0, seconds=0.25),),
                ),
                plugins=[
                    PluginCounts(plugin="drivers:simulated", call="create", calls=2, faults=1, seconds=0.25),
                ],
            )
        ).decode()
    )
    assert told["novakit_scheduler_decisions_total", "placed", "scheduler-2"] == 3
    assert told["novakit_scheduler_decision_seconds_bucket", "0.1", "scheduler-1"] == 2
    assert told["novakit_scheduler_decision_seconds_bucket", "+Inf", "scheduler-2"] == 4
    assert told["novakit_scheduler_rejected_hosts_total", "ram", "scheduler-1"] == 7
    assert told["novakit_scheduler_weigher_seconds_total", "novakit-filters", "scheduler-1", "cpu"] == 0.5
    assert told["novakit_operations_ended_total", "create", "done"] == 5
    assert told["novakit_plugin_calls_total", "create", "drivers:simulated"] == 3
    assert not [name for name, *_ in told if name.startswith(("python_", "process_"))]
