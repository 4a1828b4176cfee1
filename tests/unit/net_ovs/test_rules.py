"""Security group rules become matches that mean the same."""

import ipaddress
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novakit_hookspecs.networks import Rule
from novakit_net_ovs import rules
from novakit_net_ovs.rules import collapse, matches, policy_number, port_masks

PORTS = st.integers(0, 0xFFFF)


def rule(**values: object) -> Rule:
    return Rule(**{"direction": "ingress", "ethertype": "IPv4"} | values)


@given(PORTS, PORTS, PORTS)
def test_masks_cover_a_range_exactly(one: int, two: int, port: int) -> None:
    first, last = sorted((one, two))
    hits = [value for value, mask in port_masks(first, last) if port & mask == value]
    assert len(hits) == (first <= port <= last)


def test_a_whole_range_is_one_match_without_ports() -> None:
    assert matches(rule(protocol=6, port_min=0, port_max=65535)) == ["ct_state=+trk-inv,ip,ct_nw_proto=6"]


def test_no_range_needs_more_masks_than_thirty() -> None:
    assert len(port_masks(1, 65534)) == 30


@given(st.lists(st.integers(0, 255), max_size=40), st.integers(0, 255))
def test_collapsed_remotes_hold_the_same_addresses(members: list[int], probe: int) -> None:
    nets = collapse([f"10.0.0.{member}/32" for member in members], 4)
    held = any(ipaddress.ip_address(f"10.0.0.{probe}") in net for net in nets)
    assert held == (probe in members)
    assert len(nets) <= len(set(members))


@pytest.mark.parametrize(
    ("given_rule", "wanted"),
    [
        (rule(), ["ip"]),
        (rule(ethertype="IPv6"), ["ipv6"]),
        (rule(protocol=17, port_min=53, port_max=53), ["ip,ct_nw_proto=17,ct_tp_dst=0x35"]),
        (rule(protocol=6, port_min=80, port_max=83), ["ip,ct_nw_proto=6,ct_tp_dst=0x50/0xfffc"]),
        (rule(protocol=1, port_min=8, port_max=0), ["ip,ct_nw_proto=1,ct_tp_src=8,ct_tp_dst=0"]),
        (rule(ethertype="IPv6", protocol=1, port_min=128), ["ipv6,ct_nw_proto=58,ct_tp_src=128"]),
        (rule(protocol=112), ["ip,ct_nw_proto=112"]),
        (rule(protocol=132, port_min=5, port_max=5), ["ip,ct_nw_proto=132,ct_tp_dst=0x5"]),
        (rule(remotes=()), []),
        (rule(remotes=("0.0.0.0/0",)), ["ip"]),
        (rule(remotes=("10.0.0.7/32", "fd00::/64")), ["ip,ct_nw_src=10.0.0.7/32"]),
        (rule(direction="egress", remotes=("10.0.0.0/8",)), ["ip,ct_nw_dst=10.0.0.0/8"]),
        (rule(ethertype="IPv6", remotes=("fd00::/64",)), ["ipv6,ct_ipv6_src=fd00::/64"]),
    ],
)
def test_a_rule_is_these_matches(given_rule: Rule, wanted: list[str]) -> None:
    assert matches(given_rule) == [f"ct_state=+trk-inv,{match}" for match in wanted]


@pytest.mark.parametrize("remote", ["nonsense", "10.0.0.0/8,actions=NORMAL", "10.0.0.0/33", ""])
def test_a_remote_that_is_no_range_is_refused(remote: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        matches(rule(remotes=(remote,)))


def test_ports_of_a_protocol_without_ports_are_refused() -> None:
    with pytest.raises(ValueError, match="112 has no ports"):
        matches(rule(protocol=112, port_min=1, port_max=2))


def test_the_same_rules_are_the_same_policy_in_any_order() -> None:
    taken: dict[int, tuple[Rule, ...]] = {}
    one, two = rule(protocol=6), rule(protocol=17)
    assert policy_number((one, two), taken) == policy_number((two, one, one), taken) != policy_number((one,), taken)
    assert policy_number((), taken) == 0
    assert 0 not in taken


def test_of_a_group_with_a_member_more_only_the_new_address_is_read() -> None:
    members = tuple(f"172.31.{number}.7/32" for number in range(200))
    trusting = rule(remotes=(), remote_group="g")
    assert len(matches(trusting, {"g": members})) == 200
    before = rules._network.cache_info().misses
    assert len(matches(trusting, {"g": (*members, "172.30.0.9/32")})) == 201
    assert rules._network.cache_info().misses == before + 1


def test_a_rule_lets_through_members_of_its_ip_version_and_nobody_of_a_group_that_is_not_there() -> None:
    groups = {"g": ("10.0.0.7/32", "fd00::7/128"), "empty": ()}
    found = {
        kind: [
            match.rpartition("=")[2] for match in matches(rule(ethertype=kind, remotes=(), remote_group="g"), groups)
        ]
        for kind in ("IPv4", "IPv6")
    }
    assert found == {"IPv4": ["10.0.0.7/32"], "IPv6": ["fd00::7/128"]}
    beside = matches(rule(remotes=("10.9.0.0/16",), remote_group="g"), groups)
    assert [match.rpartition("=")[2] for match in beside] == ["10.0.0.7/32", "10.9.0.0/16"]
    assert matches(rule(remotes=(), remote_group="empty"), groups) == []
    with pytest.raises(ValueError, match="other is not in the topology"):
        matches(rule(remotes=(), remote_group="other"), groups)


def test_of_a_group_that_has_other_members_the_former_ones_are_forgotten() -> None:
    trusting = rule(remotes=(), remote_group="11111111-1111-4111-8111-111111111111")
    former, now = (tuple(f"10.{first}.0.{last}/32" for last in range(9)) for first in (1, 2))
    before = sys.getrefcount(former)
    for members in (former, now):
        found = matches(trusting, {trusting.remote_group or "": members})
        assert matches(trusting, {trusting.remote_group or "": members}) is found
    assert sys.getrefcount(former) == before
    assert all("10.2.0." in match for match in found)
