"""The catalogue of host facts."""

import pytest

from novakit_hookspecs.columns import FACTS, Kind, find, metric_name, of_class, unknown


@pytest.mark.parametrize(
    ("name", "kind", "dtype"),
    [
        ("free_memory_mb", Kind.NUMBER, "float64"),
        ("servers", Kind.NUMBER, "int32"),
        ("hypervisor_version", Kind.NUMBER, "int64"),
        ("up", Kind.FLAG, "bool"),
        ("spread_vcpus", Kind.FLAG, "bool"),
        ("availability_zone", Kind.CATEGORY, "int32"),
        ("pci", Kind.OBJECT, "object"),
        ("metric_cpu_percent", Kind.NUMBER, "float64"),
        ("metric_*", Kind.NUMBER, "float64"),
        ("free_resource_vgpu", Kind.NUMBER, "float64"),
        ("used_resource_*", Kind.NUMBER, "float64"),
        ("capacity_resource_custom_x", Kind.NUMBER, "float64"),
        ("spread_resource_vgpu", Kind.FLAG, "bool"),
    ],
)
def test_a_fact_says_how_it_is_held(name: str, kind: Kind, dtype: str) -> None:
    fact = find(name)
    assert fact is not None
    assert (fact.name, fact.kind, fact.dtype) == (name, kind, dtype)


@pytest.mark.parametrize(
    "name", ["", "memory", "metric_", "metric_A", "metric_1", "free_resource_", "free_resource_VGPU", "most_resource_x"]
)
def test_what_is_no_fact_is_none(name: str) -> None:
    assert find(name) is None


def test_each_part_of_memory_cpus_and_disk_has_a_fact() -> None:
    for part in ("free", "capacity", "total", "reserved", "used", "max_unit", "spread"):
        for resource_class, own in (("MEMORY_MB", "memory_mb"), ("VCPU", "vcpus"), ("DISK_GB", "disk_gb")):
            assert of_class(part, resource_class) == f"{part}_{own}" and f"{part}_{own}" in FACTS
    assert of_class("free", "CUSTOM_X") == "free_resource_custom_x"


def test_names_of_metrics_become_those_of_columns() -> None:
    assert metric_name("cpu.user-percent") == "cpu_user_percent"
    assert metric_name("a" * 56) == "a" * 56
    for bad in ("", "*", "A", "1a", "a b", "a" * 57, "é"):
        assert metric_name(bad) is None, bad


def test_names_that_are_no_facts_are_listed_in_order() -> None:
    assert unknown(frozenset({"up", "zeal", "metric_x", "anger"})) == ["anger", "zeal"]
