"""Rules of security groups: what they mean, made and deleted; and the group that every project has.

The invariant: no group has two rules that match the same packets. Clients write `tcp` or `6`, 10.0.0.5/24 or
10.0.0.0/24, and read a rule as they wrote it; `meaning` spells out the packets, and the key of the table is on it.
"""

import ipaddress
from collections.abc import Mapping

import attrs

from novakit.context import RequestContext
from novakit.left_out import LEFT_OUT, LeftOut, either
from novakit.network import quotas
from novakit.network.access import the_own
from novakit.network.records import Id, derived_id
from novakit.network.refusals import bad, conflict
from novakit.network.resources import ResourceKind, Resources, Transactions, as_it_is, in_rows
from novakit.store.engine import Session
from novakit.store.network import rows, security_group_rules, security_groups
from novakit.store.network.security_group_rules import StoredRule
from novakit.store.network.security_groups import StoredSecurityGroup
from novakit.store.network.touched import Touched

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
"""Protocol numbers of IANA."""
IPV6_ALONE = frozenset({41, 43, 44, ICMPV6, 59, 60})
"""Protocols that IPv4 packets do not carry; a rule for them with ethertype IPv4 would never match."""
WITH_PORTS = frozenset(PROTOCOLS[name] for name in ("tcp", "udp", "sctp", "dccp", "udplite"))
NAMES = {number: name for name, number in reversed(list(PROTOCOLS.items()))}
"""One name for each number that has any: the first of the table."""
ANY = {"IPv4": ("0.0.0.0/0",), "IPv6": ("::/0",)}


def protocol_number(protocol: str | None, ethertype: str) -> int | None:
    """Return the number that packets carry, or None for every protocol.

    `icmp` in a rule for IPv6 is ICMPv6, as in the public API.
    """
    if protocol is None:
        return None
    number = PROTOCOLS[protocol] if protocol in PROTOCOLS else int(protocol)
    return ICMPV6 if number == ICMP and ethertype == "IPv6" else number


@attrs.frozen(kw_only=True)
class NewRule:
    """A rule that is asked for."""

    security_group_id: Id
    direction: str
    ethertype: str | LeftOut | None = LEFT_OUT
    protocol: str | LeftOut | None = LEFT_OUT
    port_min: int | LeftOut | None = LEFT_OUT
    port_max: int | LeftOut | None = LEFT_OUT
    remote_ip_prefix: str | LeftOut | None = LEFT_OUT
    remote_group_id: Id | LeftOut | None = LEFT_OUT
    description: str | LeftOut | None = LEFT_OUT


def normal_prefix(prefix: str | None) -> str | None:
    """Return the prefix without host bits, as packets are compared with it."""
    return None if prefix is None else str(ipaddress.ip_network(prefix, strict=False))


def new_rule(
    group_id: str,
    project_id: str,
    direction: str,
    ethertype: str = "IPv4",
    *,
    protocol: str | None = None,
    port_min: int | None = None,
    port_max: int | None = None,
    remote_ip_prefix: str | None = None,
    remote_group_id: str | None = None,
    description: str = "",
) -> StoredRule:
    """Make the row of a rule."""
    prefix, number = normal_prefix(remote_ip_prefix), protocol_number(protocol, ethertype)
    packets = (
        direction,
        ethertype,
        None if number is None else NAMES.get(number, number),
        port_min,
        port_max,
        None if prefix in ANY[ethertype] else prefix,
        remote_group_id,
    )
    return StoredRule(
        **rows.fresh(project_id=project_id, description=description),
        security_group_id=group_id,
        direction=direction,
        ethertype=ethertype,
        protocol=protocol,
        port_min=port_min,
        port_max=port_max,
        remote_ip_prefix=remote_ip_prefix,
        remote_group_id=remote_group_id,
        meaning="|".join("" if part is None else str(part) for part in packets),
    )


def open_egress(group_id: str, project_id: str) -> list[StoredRule]:
    """Make the rules a new group begins with: everything out."""
    return [new_rule(group_id, project_id, "egress", ethertype) for ethertype in ("IPv4", "IPv6")]


def default_group_id(project_id: str) -> str:
    """Return the id of a project's default group, made or not."""
    return derived_id("default-group", project_id)


async def ensure_default(session: Session, project_id: str) -> str:
    """Make a project's default group if it is not there: everything out, in from its own members. Returns its id."""
    key = default_group_id(project_id)
    if await rows.one(session, StoredSecurityGroup, id=key):
        return key
    if await security_groups.add_unless_there(session, key, project_id):
        inward = [
            new_rule(key, project_id, "ingress", ethertype, remote_group_id=key) for ethertype in ("IPv4", "IPv6")
        ]
        await rows.add(session, [*open_egress(key, project_id), *inward])
    return key


async def make_default(transactions: Transactions, project_id: str) -> None:
    """Make a project's default group before somebody looks at its groups; once it is there, this is one read."""
    async with transactions.store.read() as session:
        if await rows.one(session, StoredSecurityGroup, id=default_group_id(project_id)):
            return
    await transactions.write(lambda session, _: ensure_default(session, project_id))


async def create(session: Session, touched: Touched, context: RequestContext, values: NewRule) -> StoredRule:
    """Let something through. Raises Conflict (SecurityGroupRuleExists) for what is let through already."""
    key = values.security_group_id
    if key == default_group_id(context.project_id or ""):
        await ensure_default(session, context.project_id or "")
    group = await the_own(session, context, StoredSecurityGroup, "security group", key)
    await quotas.reserve(session, group.project_id, "security_group_rule")
    ethertype = values.ethertype or "IPv4"
    if values.remote_ip_prefix and values.remote_group_id:
        raise bad("SecurityGroupMultipleRemoteGroups", "Only remote_ip_prefix or remote_group_id may be provided.")
    if values.remote_group_id:
        await the_own(session, context, StoredSecurityGroup, "security group", values.remote_group_id)
    protocol = _protocol(values.protocol, ethertype)
    number = protocol_number(protocol, ethertype)
    low, high = _range(number, either(values.port_min, None), either(values.port_max, None))
    row = new_rule(
        key,
        group.project_id,
        values.direction,
        ethertype,
        protocol=protocol,
        port_min=low,
        port_max=high,
        remote_ip_prefix=_prefix(values.remote_ip_prefix or None, ethertype),
        remote_group_id=values.remote_group_id or None,
        description=values.description or "",
    )
    if same := await rows.one(session, StoredRule, security_group_id=key, meaning=row.meaning):
        raise conflict("SecurityGroupRuleExists", f"Security group rule already exists. Rule id is {same.id}.")
    await rows.add(session, [row])
    touched.groups.add(key)
    return row


def _protocol(asked: str | LeftOut | None, ethertype: str) -> str | None:
    text = (asked or "").lower()
    if text in ("any", ""):
        return None
    if text.isascii() and text.isdigit() and int(text) <= 255:
        text = str(int(text))
        if text == "0":
            return None
    elif text not in PROTOCOLS:
        raise _unknown_protocol(text)
    if ethertype == "IPv4" and protocol_number(text, ethertype) in IPV6_ALONE:
        raise bad(
            "SecurityGroupEthertypeConflictWithProtocol",
            f"Invalid ethertype IPv4 for protocol {text}: IPv4 does not carry it. Send ethertype IPv6.",
        )
    return text


def _unknown_protocol(text: str) -> Exception:
    return bad(
        "SecurityGroupRuleInvalidProtocol",
        f"Security group rule protocol {text[:64]} not supported. Only protocol values {sorted(PROTOCOLS)} and integer "
        "representations [0 to 255] are supported.",
    )


def _range(protocol: int | None, low: int | None, high: int | None) -> tuple[int | None, int | None]:
    if low is None and high is None:
        return None, None
    if protocol is None:
        raise bad("SecurityGroupProtocolRequiredWithPorts", "Must also specify protocol if port range is given.")
    if protocol in (ICMP, ICMPV6):
        for name, value in (("type", low), ("code", high)):
            if value is not None and not 0 <= value <= 255:
                raise bad(
                    "SecurityGroupInvalidIcmpValue", f"Invalid value for ICMP {name} ({value}). Must be 0 to 255."
                )
        if low is None:
            raise bad("SecurityGroupMissingIcmpType", f"ICMP code (port-range-max) {high} is provided but no type.")
        return low, high
    if protocol not in WITH_PORTS:
        raise bad(
            "SecurityGroupInvalidProtocolForPort",
            f"Invalid protocol {protocol} for port range, only supported for TCP, UDP, UDPLITE, SCTP and DCCP.",
        )
    if low is None or high is None:
        raise bad(
            "SecurityGroupInvalidPortRange",
            "For TCP/UDP protocols, port_range_min must be <= port_range_max, and both are needed: for one port, send "
            "it as both.",
        )
    if not (1 <= low <= 65535 and 1 <= high <= 65535):
        raise bad("SecurityGroupInvalidPortValue", f"Invalid value for port {low if not 1 <= low <= 65535 else high}")
    if low > high:
        raise bad("SecurityGroupInvalidPortRange", "For TCP/UDP protocols, port_range_min must be <= port_range_max")
    return low, high


def _prefix(text: str | None, ethertype: str) -> str | None:
    """Read a prefix and keep its host bits: Terraform compares what it reads with what it sent."""
    if not text:
        return None
    try:
        prefix = ipaddress.ip_interface(text)
    except ValueError as error:
        raise bad("InvalidCIDR", f"Invalid CIDR {text[:64]} given as IP prefix.") from error
    if f"IPv{prefix.version}" != ethertype:
        raise bad(
            "SecurityGroupRuleParameterConflict",
            f"Conflicting value ethertype {ethertype} for CIDR {text[:64]}",
        )
    return str(prefix)


async def delete(session: Session, touched: Touched, context: RequestContext, key: str) -> None:
    """Take a rule away; what it alone let through is cut."""
    row = await the_own(session, context, StoredRule, "security group rule", key)
    await rows.remove(session, StoredRule, id=key)
    touched.groups.add(row.security_group_id)


RuleDetails = StoredRule
"""A rule is nothing but its row."""
SecurityGroupRules = Resources[StoredRule, RuleDetails, NewRule, NewRule]
RULES: ResourceKind[StoredRule, StoredRule, NewRule, NewRule] = ResourceKind(
    called="security group rule",
    stored=StoredRule,
    seen_by=security_group_rules.seen_by,
    listed=in_rows(StoredRule, as_it_is),
    create=create,
    update=None,
    delete=delete,
    before_looking=make_default,
)
