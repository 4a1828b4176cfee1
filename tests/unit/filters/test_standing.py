"""Hosts that take servers at all, those that a request names, and traits."""

from typing import Any

import numpy as np
import pytest

from novakit_filters import standing
from novakit_hookspecs.testing.filters import ask, host_table


def kept(filter: Any, table: Any, request: Any) -> list[str]:
    mask = filter.mask(table, request)
    return [name for name, passed in zip(table.names, mask, strict=True) if passed]


def test_compute_tells_disabled_from_down_hosts() -> None:
    table = host_table(up=[True, False, True, False], enabled=[True, True, False, False])
    assert kept(standing.ComputeService(), table, ask()) == ["host0"]
    reasons = standing.ComputeService().why(table.some([1, 2, 3]), ask())
    assert {reason.code: reason.count for reason in reasons} == {"disabled": 2, "down": 1}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"host": "host1"}, ["host1"]),
        ({"node": "n0"}, ["host0"]),
        ({"host": "host1", "node": "n0"}, []),
        ({"excluded_hosts": {"host1", "host9"}}, ["host0", "host2"]),
        ({"host": "host1", "excluded_hosts": {"host1"}}, []),
        ({"host": "host1", "excluded_hosts": {"host1"}, "force": True}, ["host1"]),
    ],
)
def test_a_named_host_is_the_only_one_and_an_excluded_one_is_none(fields: Any, expected: list[str]) -> None:
    table = host_table(node=["n0", "n1", "n2"])
    assert kept(standing.RequestedHost(), table, ask(**fields)) == expected


def test_traits_are_required_and_forbidden() -> None:
    table = host_table(["a", "b", "c"], traits={"CUSTOM_X": ["a", "b"], "CUSTOM_Y": ["b"]})
    assert kept(standing.Traits(), table, ask(required_traits={"CUSTOM_X"}, forbidden_traits={"CUSTOM_Y"})) == ["a"]
    assert kept(standing.Traits(), table, ask(required_traits={"CUSTOM_Z"})) == []


def test_operators_read_why_hosts_are_disabled_and_tenants_do_not() -> None:
    reasons = ["rack on fire", "", "upgrade", "rack on fire"]
    table = host_table(enabled=[False, False, False, True], up=[True] * 4, disabled_reason=reasons)
    (told,) = standing.ComputeService().why(table.some([0, 1, 2]), ask())
    assert told.remedy == "one of the hosts enabled again (disabled because: rack on fire; upgrade)"
    assert "fire" not in told.message


def test_masks_are_of_their_own_and_never_a_column_itself() -> None:
    table = host_table(up=[True], enabled=[True])
    mask = standing.ComputeService().mask(table, ask())
    assert not np.shares_memory(mask, table.column("up"))
