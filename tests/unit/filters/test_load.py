"""How busy a host may be."""

from typing import Any

from novakit_filters import load
from novakit_hookspecs.scheduling import Aggregate
from novakit_hookspecs.testing.filters import ask, host_table


def kept(filter: Any, table: Any, request: Any) -> list[str]:
    mask = filter.mask(table, request)
    return [name for name, passed in zip(table.names, mask, strict=True) if passed]


def test_busy_hosts_are_left_and_an_aggregate_can_say_what_busy_is() -> None:
    strict = Aggregate(id=1, name="strict", metadata={"max_io_ops_per_host": "2"})
    table = host_table(io_ops=[1, 3, 3, 8], aggregates=[(strict, ["host1"])])
    assert kept(load.Below("io_ops", "max_io_ops_per_host", 8, "busy", "operations"), table, ask()) == [
        "host0",
        "host2",
    ]


def test_metrics_must_be_there_and_flavors_may_not_mix() -> None:
    table = host_table(metric_watts=[float("nan"), 10.0], flavors=[{"big": 1}, {"m1.small": 2}])
    assert kept(load.Metrics(load.MetricsOptions(required=["watts"])), table, ask()) == ["host1"]
    assert kept(load.TypeAffinity(), table, ask(flavor_name="m1.small")) == ["host1"]
