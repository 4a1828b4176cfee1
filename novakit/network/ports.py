"""Ports as the API knows them: made, shown, changed and deleted."""

import ipaddress
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from novakit.context import RequestContext, Target
from novakit.errors import Forbidden
from novakit.network import interfaces, quotas
from novakit.network.access import owns, project_of, the_network, the_own
from novakit.network.allocation.addresses import containing, ip_of, number_of, range_of, read_mac, usable
from novakit.network.allocation.drafts import PortDraft, choose, new_port, write
from novakit.network.refusals import bad, conflict, disallowed, forbidden, invalid, not_found
from novakit.network.security_group_rules import ensure_default
from novakit.network.views import standard
from novakit.store.engine import Row, Session
from novakit.store.network import floating_ips, rows
from novakit.store.network.hosts import Touched
from novakit.store.network.networks import networks, subnets
from novakit.store.network.ports import addresses, addresses_of, groups_of, port_groups, ports
from novakit.store.network.security_groups import security_groups

MOST_FIXED, MOST_PAIRS, MOST_GROUPS = 20, 10, 32
SERVICE_OWNERS = ("network:router_interface", "network:router_gateway", "network:floatingip")
GUARDED = (
    *("device_id", "device_owner", "mac_address", "fixed_ips", "port_security_enabled", "allowed_address_pairs"),
    *("binding:host_id", "binding:profile", "binding:vnic_type"),
)
"""Attributes with rules of their own, such as `create_port:mac_address`."""
PLAIN = {
    "name": "name",
    "description": "description",
    "admin_state_up": "admin_state_up",
    "device_id": "device_id",
    "device_owner": "device_owner",
    "dns_name": "hostname",
    "binding:vnic_type": "vnic_type",
    "binding:profile": "profile",
}


async def views(session: Session, found: Sequence[Mapping[Any, Any]]) -> list[dict[str, Any]]:
    """Show ports with their addresses and groups: two statements for any number."""
    keys = [row["id"] for row in found]
    fixed: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in await addresses_of(session, keys):
        fixed[row["port_id"]].append({"subnet_id": row["subnet_id"], "ip_address": ip_of(row["number"])})
    groups: dict[str, list[str]] = defaultdict(list)
    for row in await groups_of(session, keys):
        groups[row["port_id"]].append(row["group_id"])
    return [_view(row, fixed[row["id"]], groups[row["id"]]) for row in found]


def _view(row: Mapping[Any, Any], fixed: Sequence[Mapping[str, str]], groups: Sequence[str]) -> dict[str, Any]:
    service = row["device_owner"] == "network:floatingip"
    return {
        **standard(row),
        "network_id": row["network_id"],
        "mac_address": row["mac"],
        "admin_state_up": row["admin_state_up"],
        "status": "N/A" if service else row["status"],
        "device_id": row["device_id"],
        "device_owner": row["device_owner"],
        "fixed_ips": list(fixed),
        "security_groups": list(groups),
        "port_security_enabled": row["port_security"],
        "allowed_address_pairs": [{"mac_address": mac, "ip_address": ip} for mac, ip in row["allowed_pairs"]],
        "extra_dhcp_opts": [],
        "qos_policy_id": None,
        "dns_name": row["hostname"],
        "dns_assignment": [],
        "binding:vnic_type": row["vnic_type"],
        "binding:host_id": row["host"] or "",
        "binding:profile": row["profile"],
        "binding:vif_type": "ovs" if row["host"] else "unbound",
        "binding:vif_details": {"port_filter": True} if row["host"] else {},
    }


async def create(
    session: Session, touched: Touched, context: RequestContext, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Make a port; raise `OverQuota`, `IpAddressInUse`, `IpAddressGenerationFailure` or `MacAddressInUse`."""
    network = await the_network(session, context, values["network_id"])
    project = project_of(context, values)
    _guard(context, network, project, values)
    await quotas.reserve(session, project, "port")
    secure = values.get("port_security_enabled", network["port_security"])
    row = new_port(network["id"], project_id=project, port_security=secure, tags=list(values.get("tags") or ()))
    row.update({column: values[name] for name, column in PLAIN.items() if values.get(name) is not None})
    row["host"] = values.get("binding:host_id") or None
    if values.get("mac_address"):
        row["mac"] = await _free_mac(session, network["id"], values["mac_address"])
    groups = await _groups(session, context, project, values.get("security_groups"), secure, row["device_owner"])
    row["allowed_pairs"] = _pairs(values.get("allowed_address_pairs"), row["mac"], secure)
    own = await rows.lock(session, subnets, network_id=network["id"])
    own.sort(key=lambda subnet: (subnet["created_at"], subnet["id"]))
    asked = values.get("fixed_ips")
    draft = PortDraft(row=row, wants=None if asked is None else _wants(network["id"], own, asked), groups=groups)
    await choose(session, [draft], {network["id"]: own})
    await write(session, [draft])
    touched.gateway = True
    touched.members |= set(groups)
    fixed = [{"subnet_id": key, "ip_address": ip_of(number)} for key, number in draft.numbers]
    return _view(row, fixed, groups)


def _guard(context: RequestContext, network: Row, project: str, values: Mapping[str, Any]) -> None:
    """Refuse what only the owner of the network may choose, so that nobody takes another's place on a shared one."""
    target = _target(network, project, values)
    if not context.may("create_port", target):
        raise disallowed("create_port")
    if not network["admin_state_up"] and not owns(context, network):
        raise forbidden("Creating a port on a network that is down")
    _guard_values(context, "create_port", target, values)


def _target(network: Row, project: str, values: Mapping[str, Any]) -> Target:
    """Describe a port to the policy: whose it is, whose its network is, and what it is for."""
    return {
        "project_id": project,
        "tenant_id": project,
        "network:project_id": network["project_id"],
        "networks:shared": bool(network["shared"]),
        "networks:router:external": bool(network["external"]),
        "port:device_owner": values.get("device_owner") or "",
    }


def _guard_values(context: RequestContext, rule: str, target: Target, values: Mapping[str, Any]) -> None:
    # Whatever the policy says: a port of the network's own is trusted by anti-spoofing and never deleted by its owner.
    if str(values.get("device_owner") or "").startswith("network:") and not context.is_admin:
        raise forbidden("Setting a device_owner of the network itself")
    asked = [name for name in GUARDED if values.get(name) is not None]
    asked += sorted({f"fixed_ips:{name}" for wish in values.get("fixed_ips") or () for name in wish})
    pairs = values.get("allowed_address_pairs") or ()
    asked += sorted({f"allowed_address_pairs:{name}" for pair in pairs for name in pair})
    for name in asked:
        if not context.may(f"{rule}:{name}", target):
            raise disallowed(f"{rule}:{name}")


async def _free_mac(session: Session, network_id: str, text: str) -> str:
    mac = read_mac(text)
    if await rows.one(session, ports, network_id=network_id, mac=mac):
        raise conflict(
            "MacAddressInUse",
            f"Unable to complete operation for network {network_id}. The MAC address {mac} is in use.",
        )
    return mac


async def _groups(
    session: Session,
    context: RequestContext,
    project: str,
    asked: Sequence[str] | None,
    secure: bool,
    owner: str,
) -> list[str]:
    if not secure:
        if asked:
            raise conflict(
                "PortSecurityAndIPRequiredForSecurityGroups",
                "Port security must be enabled in order to use security groups.",
            )
        return []
    if asked is None:
        return [] if owner.startswith("network:") else [await ensure_default(session, project)]
    if len(asked) > MOST_GROUPS:
        raise invalid(f"a port has {MOST_GROUPS} security groups at most.")
    known = {row["id"]: row for row in await rows.find(session, security_groups, id=list(asked))} if asked else {}
    for key in asked:
        if key not in known or not owns(context, known[key]):
            raise not_found("security group", key)
    return list(dict.fromkeys(asked))


def _pairs(asked: Sequence[Mapping[str, str]] | None, mac: str, secure: bool) -> list[tuple[str, str]]:
    if asked and not secure:
        raise conflict(
            "AddressPairAndPortSecurityRequired", "Port Security must be enabled in order to have allowed address pairs"
        )
    if len(asked or ()) > MOST_PAIRS:
        raise conflict("AddressPairsExhausted", f"The number of allowed address pairs exceeds {MOST_PAIRS}.")
    found: list[tuple[str, str]] = []
    for pair in asked or ():
        try:
            net = ipaddress.IPv4Network(pair["ip_address"], strict=False)
        except ValueError as error:
            raise invalid(f"'{pair['ip_address'][:64]}' is not a valid IPv4 address or subnet.") from error
        text = str(net.network_address) if net.prefixlen == 32 and "/" not in pair["ip_address"] else str(net)
        found.append((read_mac(pair["mac_address"]) if pair.get("mac_address") else mac, text))
    if len(set(found)) < len(found):
        raise bad("DuplicateAddressPairInRequest", "Request contains duplicate address pair.")
    return found


def _wants(network_id: str, own: Sequence[Row], asked: Sequence[Mapping[str, str]]) -> list[tuple[str, int | None]]:
    if len(asked) > MOST_FIXED:
        raise invalid(f"a port has {MOST_FIXED} fixed IPs at most.")
    found: list[tuple[str, int | None]] = []
    for wish in asked:
        ip, key = wish.get("ip_address"), wish.get("subnet_id")
        subnet = next((row for row in own if row["id"] == key), None)
        if key and subnet is None:
            raise invalid(
                f"Failed to create port on network {network_id}, because fixed_ips included invalid subnet {key[:64]}."
            )
        if ip is None:
            if subnet is None:
                raise invalid("IP allocation requires subnet_id or ip_address.")
            found.append((subnet["id"], None))
            continue
        number = number_of(ip)
        subnet = subnet or containing(own, number)
        if subnet is None:
            raise bad(
                "InvalidIpForNetwork",
                f"IP address {ip} is not a valid IP for any of the subnets on the specified network.",
            )
        first, last = usable(range_of(subnet["cidr"]))
        if not first <= number <= last:
            raise bad("InvalidIpForSubnet", f"IP address {ip} is not a valid IP for the specified subnet.")
        if (subnet["id"], number) in found:
            raise invalid(f"Duplicate IP address '{ip}'.")
        found.append((subnet["id"], number))
    return found


async def update(
    session: Session, touched: Touched, context: RequestContext, key: str, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Change a port the caller owns, its addresses and groups included."""
    row = await the_own(session, context, ports, "port", key)
    network = await rows.one(session, networks, id=row["network_id"])
    assert network is not None
    _guard_change(context, network, row, values)
    new = {column: values[name] for name, column in PLAIN.items() if name in values and values[name] is not None}
    if "binding:host_id" in values:
        new["host"] = values["binding:host_id"] or None
        touched.hosts |= {new["host"]} - {None}
    if "mac_address" in values and (values["mac_address"] or "").lower() != row["mac"]:
        if row["host"]:
            raise conflict("PortBound", f"Unable to complete operation on port {key}, port is already bound.")
        new["mac"] = await _free_mac(session, row["network_id"], values["mac_address"] or "")
    groups = await _change_groups(session, touched, context, row, new, values)
    if "allowed_address_pairs" in values or new.get("port_security") is False:
        asked = values.get("allowed_address_pairs", [] if not row["allowed_pairs"] else None)
        kept = asked if asked is not None else [{"mac_address": m, "ip_address": i} for m, i in row["allowed_pairs"]]
        new["allowed_pairs"] = _pairs(kept, new.get("mac", row["mac"]), new.get("port_security", row["port_security"]))
    if values.get("fixed_ips") is not None:
        before, after = await _change_addresses(session, row, values["fixed_ips"])
        if row["device_owner"] == interfaces.INTERFACE:
            await interfaces.check_moved(session, row, before, after)
            touched.networks.add(row["network_id"])
        touched.members |= groups
    await rows.change(session, ports, key, **new)
    touched.gateway = True
    touched.hosts |= {row["host"]} - {None}
    return (await views(session, await rows.find(session, ports, id=key)))[0]


def _guard_change(context: RequestContext, network: Row, row: Row, values: Mapping[str, Any]) -> None:
    if row["server_id"]:
        for name in ("device_id", "device_owner"):
            if name in values and values[name] != row[name]:
                raise conflict(
                    "PortInUse",
                    f"Port {row['id']} is attached to server {row['server_id']}; detach it there first.",
                )
        if "binding:host_id" in values and (values["binding:host_id"] or None) != row["host"]:
            raise conflict("PortInUse", f"Port {row['id']} is bound by the compute service.")
    if row["device_owner"] in SERVICE_OWNERS or row["device_owner"] == "network:dhcp":
        kept = {"fixed_ips", "mac_address", "device_id", "device_owner", "security_groups"}
        if row["device_owner"] == interfaces.INTERFACE:
            kept.remove("fixed_ips")
        for name in sorted(kept):
            if name in values:
                raise conflict("ServicePortInUse", f"{name} of port {row['id']} follows from {row['device_owner']}.")
    changed = {name: value for name, value in values.items() if name != "device_owner" or value != row[name]}
    _guard_values(context, "update_port", _target(network, row["project_id"], changed), changed)


async def _change_groups(
    session: Session,
    touched: Touched,
    context: RequestContext,
    row: Row,
    new: dict[str, Any],
    values: Mapping[str, Any],
) -> set[str]:
    """Change security and groups; give the groups the port was or is in."""
    before = {line["group_id"] for line in await groups_of(session, [row["id"]])}
    secure = row["port_security"]
    if values.get("port_security_enabled") is not None:
        secure = new["port_security"] = values["port_security_enabled"]
    asked = values.get("security_groups")
    if not secure and before and asked is None:
        raise conflict(
            "PortSecurityPortHasSecurityGroup",
            "Port has security group associated. Cannot disable port security or IP address until security group is "
            "removed.",
        )
    if asked is None:
        return before
    after = set(await _groups(session, context, row["project_id"], asked, secure, row["device_owner"]))
    if gone := before - after:
        await rows.remove(session, port_groups, port_id=row["id"], group_id=gone)
    await rows.add(
        session, port_groups, [{"port_id": row["id"], "group_id": group} for group in sorted(after - before)]
    )
    touched.members |= before ^ after
    return before | after


async def _change_addresses(
    session: Session, row: Row, asked: Sequence[Mapping[str, str]]
) -> tuple[set[str], set[str]]:
    """Give the port the addresses that are asked for; return the ids of its subnets before and after."""
    own = await rows.lock(session, subnets, network_id=row["network_id"])
    have = {(line["subnet_id"], line["number"]) for line in await addresses_of(session, [row["id"]])}
    wants = _wants(row["network_id"], own, asked)
    kept = {(key, number) for key, number in wants if number is not None} & have
    missing: list[tuple[str, int | None]] = []
    for key, number in wants:
        if number is not None:
            if (key, number) not in kept:
                missing.append((key, number))
            continue
        same = next((one for one in sorted(have - kept) if one[0] == key), None)
        if same:
            kept.add(same)
        else:
            missing.append((key, None))
    for key, number in have - kept:
        await rows.remove(session, addresses, subnet_id=key, number=number)
    await floating_ips.free(session, [row["id"]], [number for _, number in have - kept])
    draft = PortDraft(row=dict(row), wants=missing)
    await choose(session, [draft], {row["network_id"]: own})
    lines = [{"subnet_id": key, "number": number, "port_id": row["id"]} for key, number in draft.numbers]
    await rows.add(session, addresses, lines)
    return {key for key, _ in have}, {key for key, _ in kept} | {key for key, _ in draft.numbers}


async def delete(session: Session, touched: Touched, context: RequestContext, key: str) -> None:
    """Delete a port; a router's own ports go with the router alone."""
    row = await the_own(session, context, ports, "port", key)
    if row["device_owner"] in SERVICE_OWNERS:
        raise conflict(
            "ServicePortInUse",
            f"Port {key} cannot be deleted directly via the port API: has device owner {row['device_owner']}.",
        )
    if row["device_owner"] == "network:dhcp" and not context.is_admin:
        raise Forbidden("Deleting a DHCP port is disallowed by policy", kind="PolicyNotAuthorized")
    await drop(session, touched, [row])


async def drop(session: Session, touched: Touched, found: Sequence[Row]) -> None:
    """Delete ports with all that hangs on them; floating IPs become free."""
    keys = rows.ids(found)
    touched.gateway = True
    touched.hosts |= {row["host"] for row in found if row["host"]}
    touched.members |= {line["group_id"] for line in await groups_of(session, keys)}
    await floating_ips.free(session, keys)
    await rows.remove(session, ports, id=keys)
