"""Near to and far from other servers."""

from typing import Any

import pytest

from novakit_filters import groups
from novakit_hookspecs.scheduling import GroupAsk
from novakit_hookspecs.testing.filters import ask, host_table


def kept(filter: Any, table: Any, request: Any) -> list[str]:
    mask = filter.mask(table, request)
    return [name for name, passed in zip(table.names, mask, strict=True) if passed]


def test_affinity_keeps_the_members_hosts_and_anti_affinity_leaves_them() -> None:
    table = host_table(["a", "b", "c"])
    near = ask(group=GroupAsk(id="g", policy="affinity", hosts={"b": 1}))
    far = ask(group=GroupAsk(id="g", policy="anti-affinity", hosts={"b": 1, "c": 2}))
    assert kept(groups.GroupAffinity(), table, near) == ["b"]
    assert kept(groups.GroupAntiAffinity(), table, far) == ["a"]
    assert not groups.GroupAffinity().applies(ask(group=GroupAsk(id="g", policy="affinity")))


def test_the_most_servers_on_one_host_hold_for_every_policy() -> None:
    table = host_table(["a", "b"])
    for policy in ("affinity", "soft-affinity", "soft-anti-affinity"):
        request = ask(group=GroupAsk(id="g", policy=policy, hosts={"a": 3, "b": 2}, max_server_per_host=3))
        assert kept(groups.GroupLimit(), table, request) == ["b"]
    request = ask(group=GroupAsk(id="g", policy="anti-affinity", hosts={"a": 3, "b": 2}, max_server_per_host=3))
    assert kept(groups.GroupAntiAffinity(), table, request) == ["b"]


@pytest.mark.parametrize(
    ("cidr", "near"),
    [(None, ["a"]), ("/24", ["a"]), ("24", ["a"]), ("/16", ["a", "b"]), ("/25", []), ("/8", ["a", "b", "c"])],
)
def test_near_means_the_same_24_bits_unless_the_hint_says_otherwise(cidr: str | None, near: list[str]) -> None:
    table = host_table(["a", "b", "c"], host_ip=["10.0.2.5", "10.0.3.5", "10.1.2.5"])
    hints = {"build_near_host_ip": "10.0.2.200"} | ({"cidr": cidr} if cidr else {})
    assert kept(groups.SimpleCidrAffinity(), table, ask(hints=hints)) == near


def test_hints_name_servers_and_addresses() -> None:
    table = host_table(["a", "b"], host_ip=["10.0.1.5", "10.0.2.5"])
    where = {"s1": "a"}
    assert kept(groups.DifferentHost(), table, ask(hints={"different_host": ["s1"]}, server_hosts=where)) == ["b"]
    assert kept(groups.SameHost(), table, ask(hints={"same_host": "s1"}, server_hosts=where)) == ["a"]
    assert kept(groups.SameHost(), table, ask(hints={"same_host": "foreign"})) == []
    near = ask(hints={"build_near_host_ip": "10.0.2.99", "cidr": "/24"})
    assert kept(groups.SimpleCidrAffinity(), table, near) == ["b"]


def test_a_group_without_servers_or_of_another_policy_limits_nobody() -> None:
    table = host_table(["a", "b"])
    for filter, policy in ((groups.GroupAffinity(), "affinity"), (groups.GroupAntiAffinity(), "anti-affinity")):
        empty = ask(group=GroupAsk(id="g", policy=policy))
        other = ask(group=GroupAsk(id="g", policy="soft-affinity", hosts={"a": 1}))
        for request in (ask(), empty, other):
            assert not filter.applies(request)
            assert kept(filter, table, request) == ["a", "b"]
        assert filter.applies(ask(group=GroupAsk(id="g", policy=policy, hosts={"a": 1})))
    assert not groups.GroupLimit().applies(ask(group=GroupAsk(id="g", policy="affinity", hosts={"a": 1})))


def test_the_remedies_of_groups_name_the_limit_of_the_emptiest_host() -> None:
    table = host_table(["a", "b"])
    group = GroupAsk(id="g", policy="anti-affinity", hosts={"a": 3, "b": 2}, max_server_per_host=2)
    (told,) = groups.GroupAntiAffinity().why(table, ask(group=group))
    assert told.remedy == "one more host, the policy soft-anti-affinity, or a max_server_per_host of 3"
    assert (told.code, told.count, told.shortfall) == ("group_anti_affinity", 2, 0.5)
    limit = GroupAsk(id="g", policy="affinity", hosts={"a": 3, "b": 3}, max_server_per_host=3)
    (told,) = groups.GroupLimit().why(table, ask(group=limit))
    assert told.message == "hold 3 servers of the same group already"
    assert (told.remedy, told.shortfall) == ("a max_server_per_host of 4", 0.5)
    (told,) = groups.GroupAffinity().why(table, ask(group=limit))
    assert (told.code, told.remedy) == ("group_affinity", "the policy soft-affinity")


def test_hints_that_cannot_be_read_are_no_hints_or_fit_nobody() -> None:
    table = host_table(["a", "b", "c"], host_ip=["10.0.1.5", None, "nonsense"])
    for hint in (None, "", [], [""], 7, {}):
        assert not groups.DifferentHost().applies(ask(hints={"different_host": hint}))
        assert not groups.SameHost().applies(ask(hints={"same_host": hint}))
        assert kept(groups.SameHost(), table, ask(hints={"same_host": hint})) == ["a", "b", "c"]
    assert kept(groups.SimpleCidrAffinity(), table, ask(hints={"build_near_host_ip": "10.0.1.9"})) == ["a"]
    assert kept(groups.SimpleCidrAffinity(), table, ask(hints={"build_near_host_ip": "10.0.1.9", "cidr": "/x"})) == []
    assert kept(groups.SimpleCidrAffinity(), table, ask(hints={"build_near_host_ip": ["10.0.1.9"]})) == ["a"]
    assert kept(groups.SimpleCidrAffinity(), table, ask()) == ["a", "b", "c"]
    (told,) = groups.DifferentHost().why(table, ask())
    assert (told.code, told.count, told.remedy) == ("different_host", 3, "the hint left out")
    (told,) = groups.SameHost().why(table, ask())
    assert told.code == "same_host" and told.count == 3
    (told,) = groups.SimpleCidrAffinity().why(table, ask())
    assert told.code == "not_near" and told.count == 3
