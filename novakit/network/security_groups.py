"""Security groups and their rules: made, shown, changed and deleted."""

import ipaddress
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from novakit.context import RequestContext
from novakit.network import quotas
from novakit.network.access import project_of, the_own
from novakit.network.refusals import bad, conflict
from novakit.network.security_group_rules import (
    ICMP,
    ICMPV6,
    IPV6_ALONE,
    PROTOCOLS,
    WITH_PORTS,
    default_group_id,
    ensure_default,
    new_rule,
    normal_prefix,
    open_egress,
    protocol_number,
)
from novakit.network.views import standard
from novakit.store.engine import Session
from novakit.store.network import rows
from novakit.store.network.hosts import Touched
from novakit.store.network.ports import port_groups
from novakit.store.network.security_groups import rules, security_groups


async def views(session: Session, found: Sequence[Mapping[Any, Any]]) -> list[dict[str, Any]]:
    """Show security groups with their rules."""
    by_group: dict[str, list[dict[str, Any]]] = defaultdict(list)
    keys = [row["id"] for row in found]
    for shown in rule_views(await rows.find(session, rules, security_group_id=keys) if keys else ()):
        by_group[shown["security_group_id"]].append(shown)
    return [
        {
            **standard(row),
            "stateful": row["stateful"],
            "shared": False,
            "security_group_rules": by_group[row["id"]],
        }
        for row in found
    ]


def rule_views(found: Sequence[Mapping[Any, Any]]) -> list[dict[str, Any]]:
    """Show rules."""
    shown = []
    for row in found:
        view = standard(row)
        del view["name"]
        taken = ("security_group_id", "direction", "ethertype", "protocol", "remote_ip_prefix", "remote_group_id")
        shown.append(
            {
                **view,
                **{name: row[name] for name in taken},
                "port_range_min": row["port_min"],
                "port_range_max": row["port_max"],
                "normalized_cidr": normal_prefix(row["remote_ip_prefix"]),
                "remote_address_group_id": None,
                "belongs_to_default_sg": row["security_group_id"] == default_group_id(row["project_id"]),
            }
        )
    return shown


async def create(
    session: Session, touched: Touched, context: RequestContext, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Make a security group that lets everything out and nothing in."""
    project = project_of(context, values)
    await ensure_default(session, project)
    if (values.get("name") or "").lower() == "default":
        raise conflict("SecurityGroupDefaultAlreadyExists", "Default security group already exists.")
    if values.get("stateful") is False:
        raise bad("InvalidInput", "Invalid input for operation: this cloud has stateful security groups alone.")
    await quotas.reserve(session, project, "security_group")
    row = rows.fresh(
        project_id=project,
        name=values.get("name") or "",
        description=values.get("description") or "",
        tags=list(values.get("tags") or ()),
        stateful=True,
    )
    await rows.add(session, security_groups, [row])
    await rows.add(session, rules, open_egress(row["id"], project))
    return (await views(session, [row]))[0]


async def update(
    session: Session, touched: Touched, context: RequestContext, key: str, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Rename a security group; the default one keeps its name."""
    row = await the_own(session, context, security_groups, "security group", key)
    default = key == default_group_id(row["project_id"])
    name = values.get("name")
    if name is not None and name != row["name"] and (default or name.lower() == "default"):
        raise conflict("SecurityGroupCannotUpdateDefault", "Updating default security group not allowed.")
    if values.get("stateful") is False:
        raise bad("InvalidInput", "Invalid input for operation: this cloud has stateful security groups alone.")
    new = {one: values[one] for one in ("name", "description") if values.get(one) is not None}
    await rows.change(session, security_groups, key, **new)
    return (await views(session, await rows.find(session, security_groups, id=key)))[0]


async def delete(session: Session, touched: Touched, context: RequestContext, key: str) -> None:
    """Delete a security group that no port is in; raise `SecurityGroupInUse` otherwise."""
    row = await the_own(session, context, security_groups, "security group", key)
    if key == default_group_id(row["project_id"]) and not context.is_admin:
        raise conflict("SecurityGroupCannotRemoveDefault", "Insufficient rights for removing default security group.")
    if await rows.one(session, port_groups, group_id=key):
        raise conflict("SecurityGroupInUse", f"Security Group {key} in use.")
    trusting = {rule["security_group_id"] for rule in await rows.find(session, rules, remote_group_id=key)}
    touched.groups |= trusting - {key}
    await rows.remove(session, security_groups, id=key)


async def create_rule(
    session: Session, touched: Touched, context: RequestContext, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Let something through; raise `SecurityGroupRuleExists` for what is let through already."""
    key = values["security_group_id"]
    if key == default_group_id(context.project_id or ""):
        await ensure_default(session, context.project_id or "")
    group = await the_own(session, context, security_groups, "security group", key)
    await quotas.reserve(session, group["project_id"], "security_group_rule")
    ethertype = values.get("ethertype") or "IPv4"
    prefix, remote = values.get("remote_ip_prefix"), values.get("remote_group_id")
    if prefix and remote:
        raise bad("SecurityGroupMultipleRemoteGroups", "Only remote_ip_prefix or remote_group_id may be provided.")
    if remote:
        await the_own(session, context, security_groups, "security group", remote)
    protocol = _protocol(values.get("protocol"), ethertype)
    ports = values.get("port_range_min"), values.get("port_range_max")
    low, high = _range(protocol_number(protocol, ethertype), *ports)
    row = new_rule(
        key,
        group["project_id"],
        values["direction"],
        ethertype,
        protocol=protocol,
        port_min=low,
        port_max=high,
        remote_ip_prefix=_prefix(prefix, ethertype),
        remote_group_id=remote,
        description=values.get("description") or "",
    )
    if same := await rows.one(session, rules, security_group_id=key, meaning=row["meaning"]):
        raise conflict("SecurityGroupRuleExists", f"Security group rule already exists. Rule id is {same['id']}.")
    await rows.add(session, rules, [row])
    touched.groups.add(key)
    return rule_views([row])[0]


def _protocol(asked: Any, ethertype: str) -> str | None:
    if asked is None or str(asked).lower() in ("any", ""):
        return None
    text = str(asked).lower()
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
            f"Invalid protocol {protocol} for port range, only TCP-like ones have ports.",
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


async def delete_rule(session: Session, touched: Touched, context: RequestContext, key: str) -> None:
    """Take a rule away; what it alone let through is cut."""
    row = await the_own(session, context, rules, "security group rule", key)
    await rows.remove(session, rules, id=key)
    touched.groups.add(row["security_group_id"])
