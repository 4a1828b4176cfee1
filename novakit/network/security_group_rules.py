"""Rules of security groups: what they mean, and the security group that every project has."""

import ipaddress
import uuid
from collections.abc import Mapping
from typing import Any

from novakit.store.engine import Session
from novakit.store.network import rows
from novakit.store.network.security_groups import rules, security_groups

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
NAMESPACE = uuid.UUID("7b1f6f7e-52c5-4c0e-8f5a-5c6a2d0e8a44")
NAMES = {number: name for name, number in reversed(list(PROTOCOLS.items()))}
"""One name for each number that has any: the first of the table."""
ANY = {"IPv4": ("0.0.0.0/0",), "IPv6": ("::/0",)}


def derived_id(kind: str, key: str) -> str:
    """Make the id of a thing of which there is one for each key, so that two makers make the same."""
    return str(uuid.uuid5(NAMESPACE, f"{kind}:{key}"))


def default_group_id(project_id: str) -> str:
    """Give the id of a project's default group, made or not."""
    return derived_id("default-group", project_id)


def meaning(rule: Mapping[str, Any]) -> str:
    """Spell out what a rule lets through: the same text for rules that match the same packets.

    Clients read a rule as they wrote it; `tcp` and `6`, or 10.0.0.5/24 and 10.0.0.0/24, are told apart nowhere else.
    """
    names = ("direction", "ethertype", "protocol", "port_min", "port_max", "remote_ip_prefix", "remote_group_id")
    prefix, number = normal_prefix(rule["remote_ip_prefix"]), protocol_number(rule["protocol"], rule["ethertype"])
    told = {
        **rule,
        "remote_ip_prefix": None if prefix in ANY[rule["ethertype"]] else prefix,
        "protocol": NAMES.get(number, number) if number is not None else None,
    }
    return "|".join("" if told[name] is None else str(told[name]) for name in names)


def normal_prefix(prefix: str | None) -> str | None:
    """Return the prefix without host bits, as packets are compared with it."""
    return None if prefix is None else str(ipaddress.ip_network(prefix, strict=False))


def new_rule(group_id: str, project_id: str, direction: str, ethertype: str = "IPv4", **values: Any) -> dict[str, Any]:
    """Make the row of a rule."""
    nothing = dict.fromkeys(("protocol", "port_min", "port_max", "remote_ip_prefix", "remote_group_id"))
    row = rows.fresh(
        project_id=project_id,
        security_group_id=group_id,
        direction=direction,
        ethertype=ethertype,
        **{**nothing, **values},
    )
    return {**row, "meaning": meaning(row)}


def open_egress(group_id: str, project_id: str) -> list[dict[str, Any]]:
    """Make the rules a new group begins with: everything out."""
    return [new_rule(group_id, project_id, "egress", ethertype) for ethertype in ("IPv4", "IPv6")]


async def ensure_default(session: Session, project_id: str) -> str:
    """Make a project's default group if it is not there: everything out, in from its own members; give its id."""
    key = default_group_id(project_id)
    if await rows.one(session, security_groups, id=key):
        return key
    row = rows.fresh(id=key, project_id=project_id, name="default", description="Default security group", stateful=True)
    made = await session.execute(session.insert(security_groups).values(row).on_conflict_do_nothing())
    if made.rowcount:
        inward = [
            new_rule(key, project_id, "ingress", ethertype, remote_group_id=key) for ethertype in ("IPv4", "IPv6")
        ]
        await rows.add(session, rules, [*open_egress(key, project_id), *inward])
    return key


def protocol_number(protocol: str | None, ethertype: str) -> int | None:
    """Return the number that packets carry, or None for every protocol.

    `icmp` in a rule for IPv6 is ICMPv6, as in the public API.
    """
    if protocol is None:
        return None
    number = PROTOCOLS[protocol] if protocol in PROTOCOLS else int(protocol)
    return ICMPV6 if number == ICMP and ethertype == "IPv6" else number
