"""IP protocols of security group rules: the names that clients use, and which of them mean the same."""

from collections.abc import Mapping

PROTOCOLS: Mapping[str, int] = {
    "icmp": 1,
    "igmp": 2,
    "ipip": 4,
    "tcp": 6,
    "egp": 8,
    "udp": 17,
    "dccp": 33,
    "ipv6-encap": 41,
    "ipv6-route": 43,
    "ipv6-frag": 44,
    "rsvp": 46,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "ipv6-icmp": 58,
    "icmpv6": 58,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "ospf": 89,
    "pgm": 113,
    "vrrp": 112,
    "sctp": 132,
    "udplite": 136,
}
"""IANA's numbers by the names of the public API."""
ICMP, ICMPV6 = 1, 58
IPV6_ALONE = frozenset({41, 43, 44, ICMPV6, 59, 60})
"""Protocols that IPv4 packets do not carry; a rule for them with ethertype IPv4 would never match."""
WITH_PORTS = frozenset(PROTOCOLS[name] for name in ("tcp", "udp", "sctp", "dccp", "udplite"))


def number_of(protocol: str | None, ethertype: str) -> int | None:
    """Return the number that packets carry, or None for every protocol.

    `icmp` in a rule for IPv6 is ICMPv6, as in the public API.
    """
    if protocol is None:
        return None
    number = PROTOCOLS[protocol] if protocol in PROTOCOLS else int(protocol)
    return ICMPV6 if number == ICMP and ethertype == "IPv6" else number
