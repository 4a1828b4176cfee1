"""Availability zones."""

from typing import Any

from novakit_filters import zones
from novakit_hookspecs.testing.filters import ask, host_table


def kept(filter: Any, table: Any, request: Any) -> list[str]:
    mask = filter.mask(table, request)
    return [name for name, passed in zip(table.names, mask, strict=True) if passed]


def test_a_zone_keeps_its_hosts_and_no_zone_keeps_all() -> None:
    table = host_table(availability_zone=["a", "b"])
    assert kept(zones.AvailabilityZone(), table, ask(availability_zone="b")) == ["host1"]
    assert not zones.AvailabilityZone().applies(ask())
