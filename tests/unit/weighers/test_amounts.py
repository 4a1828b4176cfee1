"""Weighers by numbers of a host."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from novakit_hookspecs.testing.weighers import ask, host_table
from novakit_weighers import amounts, novakit_weighers

NAN = float("nan")


def test_energy_efficiency_survives_hosts_without_power_readings() -> None:
    table = host_table(metric_power_usage_watts=[500.0, 250.0, 0.0, NAN, -5.0], metric_cpu_percent=[50.0] * 5)
    score = amounts.EnergyEfficiency().score(table, ask())
    assert score[:2].tolist() == [10.0, 20.0]
    assert np.isnan(score[2:]).all()


def test_production_survives_hosts_without_capacity_and_metrics() -> None:
    table = host_table(free_memory_mb=[0.0, 10.0], capacity_memory_mb=[0.0, 10.0])
    score = amounts.Production().score(table, ask())
    assert np.isfinite(score).all()
    assert score[1] == score[0] + 12


@given(
    st.lists(st.integers(0, 100), min_size=2, max_size=2, unique=True), st.sampled_from(["room", "io", "up", "fail"])
)
def test_production_rises_with_each_good_thing(values: list[int], factor: str) -> None:
    low, high = (value / 100 for value in sorted(values))
    half = [50.0, 50.0]
    facts = {"free_vcpus": half, "capacity_vcpus": [100.0, 100.0], "io_ops": [50, 50]}
    facts["metric_uptime_hours"], facts["metric_failure_rate"] = [12.0, 12.0], [0.5, 0.5]
    changed = {
        "room": ("free_vcpus", [low * 100, high * 100]),
        "io": ("io_ops", [round(100 - low * 100), round(100 - high * 100)]),
        "up": ("metric_uptime_hours", [low * 24, high * 24]),
        "fail": ("metric_failure_rate", [1 - low, 1 - high]),
    }[factor]
    facts[changed[0]] = changed[1]
    worse, better = amounts.Production().score(host_table(**facts), ask())
    assert worse < better <= 72


def test_metrics_are_weighted_and_a_missing_one_is_unknown_or_a_fixed_value() -> None:
    table = host_table(metric_a=[1.0, NAN], metric_b=[2.0, 2.0])
    strict = amounts.MetricsWeigher(amounts.MetricsWeigherOptions(weights={"a": 2.0, "b": -1.0}))
    assert strict.score(table, ask())[0] == 0.0
    assert np.isnan(strict.score(table, ask())[1])
    loose = amounts.MetricsWeigher(
        amounts.MetricsWeigherOptions(weights={"a": 2.0, "b": -1.0}, required=False, missing=-10.0)
    )
    assert loose.score(table, ask()).tolist() == [0.0, -12.0]


def test_newer_hypervisors_are_preferred_and_a_negative_multiplier_turns_that_around() -> None:
    [spec] = [one for one in novakit_weighers() if one.name == "hypervisor_version"]
    table = host_table(hypervisor_version=[8002000, 9000000, 0])
    score = spec.build(None).score(table, ask())
    assert np.argsort(-score).tolist() == [1, 0, 2]
    assert np.argsort(-(score * -spec.multiplier)).tolist() == [2, 0, 1]
    assert spec.reads == {"hypervisor_version"} and "HypervisorVersionWeigher" in spec.aliases


def test_the_emptiest_quietest_and_most_proven_host_has_72_points_and_the_worst_none() -> None:
    full = {f"capacity_{fact}": [8.0, 8.0] for fact in ("memory_mb", "vcpus", "disk_gb")}
    free = {f"free_{fact}": [8.0, 0.0] for fact in ("memory_mb", "vcpus", "disk_gb")}
    table = host_table(
        **full, **free, io_ops=[0, 100], metric_uptime_hours=[24.0, 24.0], metric_failure_rate=[0.0, 1.0]
    )
    assert amounts.Production().score(table, ask()).tolist() == [72.0, 0.0]


@pytest.mark.parametrize(("fact", "points"), [("memory_mb", 12.0), ("vcpus", 12.0), ("disk_gb", 8.0)])
def test_each_kind_of_room_has_its_points(fact: str, points: float) -> None:
    table = host_table(**{f"free_{fact}": [0.0, 4.0, 8.0, 99.0], f"capacity_{fact}": [8.0] * 4})
    score = amounts.Production().score(table, ask())
    assert (score - score[0]).tolist() == [0.0, points / 2, points, points]


def test_what_is_unknown_counts_as_half_a_day_and_every_second_build_failing() -> None:
    table = host_table(
        io_ops=[100] * 5,
        metric_uptime_hours=[NAN, 12.0, 24.0, 48.0, 24.0],
        metric_failure_rate=[NAN, 0.5, NAN, 0.5, 2.0],
    )
    assert amounts.Production().score(table, ask()).tolist() == [5.0, 5.0, 10.0, 10.0, 0.0]


def test_a_host_that_is_half_as_busy_as_it_may_be_has_half_the_points() -> None:
    table = host_table(io_ops=[0, 50, 100, 200], metric_failure_rate=[1.0] * 4)
    assert amounts.Production().score(table, ask()).tolist() == [20.0, 10.0, 0.0, 0.0]


def test_efficiency_has_an_end_and_a_zero() -> None:
    table = host_table(metric_power_usage_watts=[1.0, 1000.0, 500.0], metric_cpu_percent=[100.0, 0.0, 200.0])
    assert amounts.EnergyEfficiency().score(table, ask()).tolist() == [100.0, 0.0, 20.0]


def test_the_fewest_is_the_best_and_a_name_of_a_metric_is_one() -> None:
    table = host_table(failed_builds=[0, 3])
    assert amounts.Fewest("failed_builds").score(table, ask()).tolist() == [0.0, -3.0]
    with pytest.raises(ValueError, match="CPU!"):
        amounts.MetricsWeigherOptions(weights={"CPU!": 1.0})
