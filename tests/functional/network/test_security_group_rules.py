"""Rules of security groups: which are the same, and which no packet could meet."""

from typing import Any

import pytest

from tests.functional.network.scenes import NOBODY

SAME = [
    ("IPv4", {"protocol": "tcp", "port_range_min": 80, "port_range_max": 80}, {"protocol": "6"}),
    ("IPv4", {"protocol": "udp"}, {"protocol": 17}),
    ("IPv4", {"protocol": "icmp"}, {"protocol": "1"}),
    ("IPv6", {"protocol": "icmp"}, {"protocol": "icmpv6"}),
    ("IPv6", {"protocol": "ipv6-icmp"}, {"protocol": "58"}),
    ("IPv6", {"protocol": "58"}, {"protocol": "icmp"}),
    ("IPv4", {"remote_ip_prefix": "10.0.0.5/24"}, {"remote_ip_prefix": "10.0.0.0/24"}),
    ("IPv4", {"remote_ip_prefix": "0.0.0.0/0"}, {"remote_ip_prefix": None}),
    ("IPv6", {"remote_ip_prefix": "2001:db8::1/64"}, {"remote_ip_prefix": "2001:DB8:0::/64"}),
]


@pytest.mark.parametrize(
    "values,kind",
    [
        ({"protocol": "tcp", "port_range_min": 22, "port_range_max": 22}, "SecurityGroupRuleExists"),
        ({"protocol": "tcp", "port_range_min": 23, "port_range_max": 22}, "SecurityGroupInvalidPortRange"),
        ({"protocol": "tcp", "port_range_min": 0, "port_range_max": 22}, "SecurityGroupInvalidPortValue"),
        ({"protocol": "tcp", "port_range_min": 1, "port_range_max": 65536}, "SecurityGroupInvalidPortValue"),
        ({"port_range_min": 1, "port_range_max": 2}, "SecurityGroupProtocolRequiredWithPorts"),
        ({"protocol": "icmp", "port_range_min": 256}, "SecurityGroupInvalidIcmpValue"),
        ({"protocol": "icmp", "port_range_max": 0}, "SecurityGroupMissingIcmpType"),
        ({"protocol": "nonsense"}, "SecurityGroupRuleInvalidProtocol"),
        ({"protocol": 256}, "SecurityGroupRuleInvalidProtocol"),
        ({"remote_ip_prefix": "nonsense"}, "InvalidCIDR"),
        ({"remote_ip_prefix": "fd00::/8"}, "SecurityGroupRuleParameterConflict"),
        ({"remote_group_id": NOBODY}, "SecurityGroupNotFound"),
        ({"direction": "sideways"}, "HTTPBadRequest"),
    ],
)
async def test_a_wrong_rule_is_refused(cloud: Any, values: dict[str, Any], kind: str) -> None:
    group = await cloud.make("security-groups", name="g")
    ssh = {"protocol": "tcp", "port_range_min": 22, "port_range_max": 22}
    await cloud.make("security-group-rules", security_group_id=group["id"], direction="ingress", **ssh)
    body = {"security_group_rule": {"security_group_id": group["id"], "direction": "ingress", **values}}
    assert (await cloud.refused("POST", "security-group-rules", body))[1] == kind


@pytest.mark.parametrize(("ethertype", "first", "second"), SAME)
async def test_rules_that_match_the_same_packets_are_one_rule(
    cloud: Any, ethertype: str, first: dict[str, Any], second: dict[str, Any]
) -> None:
    group = await cloud.make("security-groups", name="g")
    common = {"security_group_id": group["id"], "direction": "ingress", "ethertype": ethertype}
    made = await cloud.make("security-group-rules", **common, **first)
    assert {name: made[name] for name in first} == first  # read back as it was sent
    body = {"security_group_rule": {**common, **first, **second}}
    assert await cloud.refused("POST", "security-group-rules", body) == (409, "SecurityGroupRuleExists")


async def test_a_prefix_keeps_its_host_bits_and_shows_its_network_beside(cloud: Any) -> None:
    group = await cloud.make("security-groups", name="g")
    for sent, shown, normal in (
        ("10.0.0.5/24", "10.0.0.5/24", "10.0.0.0/24"),
        ("10.1.0.7", "10.1.0.7/32", "10.1.0.7/32"),
    ):
        made = await cloud.make(
            "security-group-rules", security_group_id=group["id"], direction="ingress", remote_ip_prefix=sent
        )
        assert (made["remote_ip_prefix"], made["normalized_cidr"]) == (shown, normal)


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        ({"protocol": "icmpv6"}, "SecurityGroupEthertypeConflictWithProtocol"),
        ({"protocol": "58"}, "SecurityGroupEthertypeConflictWithProtocol"),
        ({"protocol": "ipv6-frag"}, "SecurityGroupEthertypeConflictWithProtocol"),
        ({"protocol": "udp", "port_range_min": 53}, "SecurityGroupInvalidPortRange"),
        ({"protocol": "tcp", "port_range_max": 53}, "SecurityGroupInvalidPortRange"),
        ({"protocol": "6", "port_range_min": 9, "port_range_max": 8}, "SecurityGroupInvalidPortRange"),
    ],
)
async def test_rules_that_no_packet_could_meet_are_refused(cloud: Any, rule: dict[str, Any], kind: str) -> None:
    group = await cloud.make("security-groups", name="g")
    body = {"security_group_rule": {"security_group_id": group["id"], "direction": "ingress", **rule}}
    assert await cloud.refused("POST", "security-group-rules", body) == (400, kind)
