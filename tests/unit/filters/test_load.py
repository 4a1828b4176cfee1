"""How busy a host may be."""

from typing import Any

import pytest

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


def test_a_limit_is_a_whole_number_of_few_digits_or_not_one() -> None:
    below = load.Below("io_ops", "max_io_ops_per_host", 8, "busy", "operations")
    for text, kept_hosts in (
        ("3", []),
        ("4", ["host0"]),
        ("123456789", ["host0"]),
        ("1234567890", ["host0"]),
        ("-1", ["host0"]),
        ("2.5", ["host0"]),
        ("", ["host0"]),
        ("two", ["host0"]),
    ):
        aggregate = Aggregate(id=1, name="a", metadata={"max_io_ops_per_host": text})
        table = host_table(io_ops=[3], aggregates=[(aggregate, ["host0"])])
        assert kept(below, table, ask()) == kept_hosts, text
    for digits, expected in (("123456789", ["host0"]), ("1234567890", [])):
        many = host_table(
            io_ops=[9], aggregates=[(Aggregate(id=1, name="a", metadata={"max_io_ops_per_host": digits}), ["host0"])]
        )
        assert kept(below, many, ask()) == expected, digits


def test_the_reason_names_the_limit_that_would_let_the_nearest_host_through() -> None:
    strict = Aggregate(id=1, name="strict", metadata={"max_io_ops_per_host": "2"})
    table = host_table(io_ops=[9, 2, 12], aggregates=[(strict, ["host1"])])
    (told,) = load.Below("io_ops", "max_io_ops_per_host", 8, "busy", "operations").why(table, ask())
    assert (told.code, told.count, told.wanted, told.available) == ("too_many_io_ops", 3, 3, 2)
    assert told.remedy == "a max_io_ops_per_host of 3 instead of 2, or 1 operations fewer"
    assert told.shortfall == 1 / 3


def test_limits_are_at_least_one() -> None:
    for options in (load.IoOpsOptions, load.InstancesOptions):
        with pytest.raises(ValueError, match="must be >= 1"):
            options(0)
    assert (load.IoOpsOptions().max_io_ops_per_host, load.InstancesOptions().max_instances_per_host) == (8, 50)


def test_metrics_that_lack_are_named_and_other_flavors_are_told() -> None:
    table = host_table(metric_watts=[float("nan")], metric_heat=[1.0], flavors=[{"big": 1}])
    (told,) = load.Metrics(load.MetricsOptions(required=["watts", "heat"])).why(table, ask())
    assert (told.code, told.remedy, told.shortfall) == ("metrics_missing", "the metric watts", 0.5)
    assert not load.Metrics(load.MetricsOptions()).applies(ask())
    (other,) = load.TypeAffinity().why(table, ask(flavor_name="small"))
    assert (other.code, other.remedy) == ("other_flavors", "an empty host")
    empty = host_table(flavors=[None, {}, {"small": 2}, {"small": 1, "big": 1}])
    assert kept(load.TypeAffinity(), empty, ask(flavor_name="small")) == ["host0", "host1", "host2"]
