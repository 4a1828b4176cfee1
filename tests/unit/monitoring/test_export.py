"""Numbers as text for Prometheus."""

import re

from novakit.calls.counts import ConductorCounts, OperationCounts, PluginCounts
from novakit.monitoring.families import Numbers, exposition
from tests.unit.monitoring.told import samples, scheduler_counts


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


def test_the_help_of_a_metric_names_no_class_of_the_code() -> None:
    told = exposition(Numbers(schedulers=[scheduler_counts()], conductor=ConductorCounts(running=0))).decode()
    helped = [line for line in told.splitlines() if line.startswith("# HELP")]
    assert len(helped) > 15
    assert not [line for line in helped if re.search(r"[a-z][A-Z]", line)]
