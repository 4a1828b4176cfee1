"""Hosts that take servers at all, those that a request names, and traits."""

from typing import Any

import attrs
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


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["a"], "(disabled because: a)"),
        (["a", "b", "c"], "(disabled because: a; b; c)"),
        (["a", "b", "c", "d"], "(disabled because: a; b; c; and 1 other reasons)"),
    ],
)
def test_so_many_reasons_of_operators_are_repeated(texts: list[str], said: str) -> None:
    count = len(texts)
    table = host_table(enabled=[False] * count, up=[True] * count, disabled_reason=texts)
    (told,) = standing.ComputeService().why(table, ask())
    assert told.remedy.endswith(said)
    assert told.remedy.startswith("the host enabled" if count == 1 else "one of the hosts enabled")


def test_a_host_that_is_down_and_disabled_is_further_than_one_that_is_either() -> None:
    table = host_table(up=[False, True, False], enabled=[False, False, True])
    (both,) = standing.ComputeService().why(table.some([0]), ask())
    assert both.shortfall == 1.0 and both.remedy.endswith("and its agent reporting again, or forced_down taken back")
    for row in (1, 2):
        (one,) = standing.ComputeService().why(table.some([row]), ask())
        assert one.shortfall == 0.5


def test_a_host_that_was_tried_is_told_from_one_that_was_not_asked_for() -> None:
    table = host_table(["a", "b", "c"])
    told = standing.RequestedHost().why(table, ask(host="z", excluded_hosts={"b"}))
    assert [(one.code, one.count) for one in told] == [("tried_already", 1), ("not_the_requested_host", 2)]
    filter = standing.RequestedHost()
    assert not filter.applies(ask())
    assert filter.applies(ask(host="a")) and filter.applies(ask(node="n")) and filter.applies(ask(excluded_hosts={"a"}))


def test_traits_that_lack_or_are_too_many_are_told_apart() -> None:
    table = host_table(["a"], traits={"CUSTOM_Y": ["a"]})
    request = ask(required_traits={"CUSTOM_X"}, forbidden_traits={"CUSTOM_Y"})
    (told,) = standing.Traits().why(table, request)
    assert (told.code, told.remedy) == ("trait_missing", "the trait CUSTOM_X and no trait CUSTOM_Y")
    (told,) = standing.Traits().why(table, ask(forbidden_traits={"CUSTOM_Y"}))
    assert (told.code, told.message) == ("trait_forbidden", "have the forbidden trait CUSTOM_Y")
    assert standing.Traits().applies(ask(required_traits={"CUSTOM_X"}))
    assert standing.Traits().applies(ask(forbidden_traits={"CUSTOM_X"}))
    assert not standing.Traits().applies(ask())


def test_who_forces_a_host_passes_over_what_is_wanted_and_not_over_what_it_cannot_do() -> None:
    table = host_table(["a", "b"], traits={"COMPUTE_IMAGE_TYPE_QCOW2": ["b"], "CUSTOM_Y": ["b"]})
    wanted = ask(required_traits={"CUSTOM_X"}, forbidden_traits={"CUSTOM_Y"}, host="b", force=True)
    assert not standing.Traits().applies(wanted)
    qcow2 = {"COMPUTE_IMAGE_TYPE_QCOW2": "disk_format qcow2"}
    cannot = attrs.evolve(wanted, required_traits={"CUSTOM_X", *qcow2}, implied=qcow2)
    assert standing.Traits().applies(cannot) and kept(standing.Traits(), table, cannot) == ["b"]
    (told,) = standing.Traits().why(table, attrs.evolve(cannot, forbidden_traits=()))
    assert "disk_format qcow2" in told.message and told.count == 1


def test_a_trait_that_is_implied_is_told_in_the_words_that_imply_it() -> None:
    table = host_table(["a", "b"], traits={"COMPUTE_SECURITY_UEFI_SECURE_BOOT": ["b"]})
    wanted = ask(
        required_traits={"COMPUTE_SECURITY_UEFI_SECURE_BOOT"},
        implied={"COMPUTE_SECURITY_UEFI_SECURE_BOOT": "os:secure_boot required"},
    )
    assert kept(standing.Traits(), table, wanted) == ["b"]
    (reason,) = standing.Traits().why(table, wanted)
    assert (reason.code, "os:secure_boot required" in reason.message) == ("trait_missing", True)
