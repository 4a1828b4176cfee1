"""Enough of everything on a host, and what is said where there is not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novakit_filters import amounts
from novakit_hookspecs.scheduling import Aggregate
from novakit_hookspecs.testing.filters import ask, host_table

NUMBER = st.integers(0, 10)


def kept(filter: Any, table: Any, request: Any) -> list[str]:
    mask = filter.mask(table, request)
    return [name for name, passed in zip(table.names, mask, strict=True) if passed]


@given(st.lists(st.tuples(NUMBER, NUMBER, NUMBER), max_size=20), NUMBER)
def test_the_amount_filter_agrees_with_a_host_by_host_oracle(rows: list[tuple[int, int, int]], wanted: int) -> None:
    total, used, most = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    free = [have - taken for have, taken in zip(total, used, strict=True)]
    table = host_table(total_memory_mb=total, used_memory_mb=used, free_memory_mb=free, max_unit_memory_mb=most)
    mask = amounts.RAM.mask(table, ask(memory_mb=wanted))
    assert mask.tolist() == [wanted == 0 or (f >= wanted and m >= wanted) for f, m in zip(free, most, strict=True)]


def test_an_aggregate_can_lower_the_allocation_ratio_and_not_raise_it() -> None:
    low = Aggregate(id=1, name="low", metadata={"cpu_allocation_ratio": "1.0"})
    high = Aggregate(id=2, name="high", metadata={"cpu_allocation_ratio": "64"})
    table = host_table(
        total_vcpus=[4, 4, 4],
        used_vcpus=[4, 4, 16],
        free_vcpus=[12, 12, 0],
        max_unit_vcpus=[4, 4, 4],
        aggregates=[(low, ["host0"]), (high, ["host2"])],
    )
    assert kept(amounts.CORE, table, ask(vcpus=1)) == ["host1"]


@pytest.mark.parametrize(
    ("total", "reserved", "used", "ratio", "most"),
    [(10, 2, 3, "1.5", 9), (10, 0, 3, "1.5", 12), (5, 0, 0, "1.5", 7), (3, 0, 0, "0.9", 2), (8, 8, 0, "16", 0)],
)
def test_an_aggregates_ratio_is_of_what_is_not_reserved_and_no_part_of_a_unit_is_given(
    total: int, reserved: int, used: int, ratio: str, most: int
) -> None:
    table = host_table(
        total_vcpus=[total],
        reserved_vcpus=[reserved],
        used_vcpus=[used],
        free_vcpus=[1000],
        max_unit_vcpus=[1000],
        aggregates=[(Aggregate(id=1, name="a", metadata={"cpu_allocation_ratio": ratio}), ["host0"])],
    )
    assert kept(amounts.CORE, table, ask(vcpus=most + 1)) == []
    assert kept(amounts.CORE, table, ask(vcpus=most)) == ["host0"]
    [reason] = amounts.CORE.why(table, ask(vcpus=most + 1))
    assert (reason.available, reason.remedy) == (most, "1 more virtual CPUs free")


def test_the_reason_says_what_was_wanted_and_what_there_is() -> None:
    table = host_table(free_memory_mb=[512, 2048], max_unit_memory_mb=[9999, 9999])
    (reason,) = amounts.RAM.why(table, ask(memory_mb=4096))
    assert reason.message == "lack memory (wanted 4096 MiB, at most 2048 free)"
    assert (reason.count, reason.wanted, reason.available, reason.remedy) == (
        2,
        4096,
        2048,
        "2048 MiB more memory free",
    )


def test_other_resource_classes_are_looked_at_too() -> None:
    table = host_table(free_resource_vgpu=[0, 1], free_resource_custom_x=[5, 5])
    assert kept(amounts.OtherResources(), table, ask(resources={"VGPU": 1, "CUSTOM_X": 5, "VCPU": 99})) == ["host1"]
