"""Availability zones."""

from typing import Any

import pytest

from novakit_filters import zones
from novakit_hookspecs.scheduling import Aggregate
from novakit_hookspecs.testing.filters import ask, host_table


def kept(filter: Any, table: Any, request: Any) -> list[str]:
    mask = filter.mask(table, request)
    return [name for name, passed in zip(table.names, mask, strict=True) if passed]


def test_a_zone_keeps_its_hosts_and_no_zone_keeps_all() -> None:
    table = host_table(availability_zone=["a", "b"])
    assert kept(zones.AvailabilityZone(), table, ask(availability_zone="b")) == ["host1"]
    assert not zones.AvailabilityZone().applies(ask())


@pytest.mark.parametrize(
    ("zoned", "wanted", "remedy", "shortfall"),
    [
        ([], "b", "a place in an aggregate of the zone b", 0.5),
        (["host0"], "b", "a place in an aggregate of the zone b", 0.5),
        (["host0", "host1"], "b", "a place in an aggregate of the zone b instead of its own zone's", 1.0),
        (["host0", "host1"], "nova", "a place in no aggregate of another zone", 1.0),
        (["host0"], "nova", "a place in no aggregate of another zone", 0.5),
    ],
)
def test_how_far_a_host_is_from_a_zone_depends_on_its_own(
    zoned: list[str], wanted: str, remedy: str, shortfall: float
) -> None:
    table = host_table(
        ["host0", "host1", "host2"],
        availability_zone=["a" if name in zoned else "nova" for name in ("host0", "host1", "host2")],
        aggregates=[
            (Aggregate(id=1, name="a", metadata={"availability_zone": "a"}), zoned),
            (Aggregate(id=2, name="other", metadata={"ssd": "true"}), ["host0", "host1", "host2"]),
        ],
    )
    (told,) = zones.AvailabilityZone().why(table.some([0, 1]), ask(availability_zone=wanted))
    assert (told.code, told.count, told.remedy, told.shortfall) == ("wrong_zone", 2, remedy, shortfall)
    assert told.message == f"not in the availability zone {wanted}"


def test_a_zone_that_no_host_is_in_is_reached_by_an_aggregate_alone() -> None:
    (told,) = zones.AvailabilityZone().why(host_table(availability_zone=["a"]), ask(availability_zone="new"))
    assert told.remedy == "a place in an aggregate of the zone new"
