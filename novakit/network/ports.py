"""Ports: made, shown, changed and deleted."""

import ipaddress
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import attrs
import orjson

from novakit.context import RequestContext, Target
from novakit.left_out import LEFT_OUT, LeftOut, either, sent
from novakit.network import interfaces, quotas
from novakit.network.access import described, owns, plain, project_of, the_network, the_own
from novakit.network.allocation.addresses import containing, new_mac, number_of, range_of, read_mac, usable
from novakit.network.allocation.drafts import PortDraft, choose, drop, new_port, write
from novakit.network.records import AddressPair, Id, WantedAddress
from novakit.network.refusals import bad, conflict, disallowed, forbidden, invalid, not_found
from novakit.network.resources import ResourceKind, Resources
from novakit.network.security_group_rules import ensure_default
from novakit.store.engine import Session
from novakit.store.network import floating_ips, hosts, listed_ports, ports, rows
from novakit.store.network.listed_ports import ListedPort
from novakit.store.network.networks import StoredNetwork
from novakit.store.network.ports import PortInGroup, StoredAddress, StoredPort, addresses_of, groups_of
from novakit.store.network.security_groups import StoredSecurityGroup
from novakit.store.network.subnets import StoredSubnet
from novakit.store.network.touched import Touched
from novakit_hookspecs.networks import VifBinding

MOST_FIXED, MOST_PAIRS, MOST_GROUPS = 20, 10, 32
"""Each makes flows on the port's host; the pairs are bounded as in Neutron (max_allowed_address_pair)."""
MOST_PROFILE = 4096
"""Characters of a binding's profile, which is kept as it was sent."""
SERVICE_OWNERS = ("network:router_interface", "network:router_gateway", "network:floatingip")
GUARDED: Mapping[str, str] = {
    "device_id": "device_id",
    "device_owner": "device_owner",
    "mac_address": "mac",
    "fixed_ips": "fixed_ips",
    "port_security_enabled": "port_security",
    "allowed_address_pairs": "allowed_pairs",
    "binding:host_id": "host",
    "binding:profile": "profile",
    "binding:vnic_type": "vnic_type",
}
"""Attributes with rules of their own, such as `create_port:mac_address`, and their fields."""
TOLD: Mapping[str, str] = {
    **{name: name for name in ("name", "description", "admin_state_up", "device_id", "device_owner")},
    "mac_address": "mac",
    "port_security_enabled": "port_security",
    "binding:host_id": "host",
    "binding:vnic_type": "vnic_type",
    "dns_name": "hostname",
}
"""What rules are told of a port, and the fields that have it."""
COLUMNS = ("name", "description", "admin_state_up", "device_id", "device_owner", "hostname", "vnic_type", "profile")
"""What is written as it was sent; null leaves it as it is."""


@attrs.frozen(kw_only=True)
class PortChange:
    """What of a port can be changed; null is what a port has that nothing was said of."""

    name: str | LeftOut = LEFT_OUT
    description: str | LeftOut = LEFT_OUT
    admin_state_up: bool | LeftOut = LEFT_OUT
    device_id: str | LeftOut = LEFT_OUT
    device_owner: str | LeftOut = LEFT_OUT
    hostname: str | LeftOut | None = LEFT_OUT
    mac: str | LeftOut | None = LEFT_OUT
    fixed_ips: Sequence[WantedAddress] | LeftOut | None = LEFT_OUT
    security_groups: Sequence[Id] | LeftOut | None = LEFT_OUT
    port_security: bool | LeftOut = LEFT_OUT
    allowed_pairs: Sequence[AddressPair] | LeftOut | None = LEFT_OUT
    host: str | LeftOut | None = LEFT_OUT
    vnic_type: str | LeftOut | None = LEFT_OUT
    profile: Mapping[str, object] | LeftOut | None = LEFT_OUT


@attrs.frozen(kw_only=True)
class NewPort(PortChange):
    """A port that is asked for."""

    network_id: Id
    project_id: str | LeftOut | None = LEFT_OUT
    tags: Sequence[str] = ()


class PortDetails(NamedTuple):
    """A port, and how its host wires it."""

    port: ListedPort
    binding: VifBinding | None
    """None while it is on no host that has told."""


async def listed(session: Session, conditions: Sequence[rows.Condition]) -> list[PortDetails]:
    """Find ports with what hangs on them: two statements for any number of them."""
    found = await listed_ports.listed(session, conditions)
    bindings = await _bindings(session, {port.host for port in found if port.host})
    return [PortDetails(port, bindings.get(port.host)) for port in found]


async def _bindings(session: Session, names: Collection[str]) -> dict[str | None, VifBinding]:
    told = await hosts.some(session, names)
    return {
        one.host: VifBinding(vif_type=one.vif_type, port_filter=bool(one.port_filter)) for one in told if one.vif_type
    }


async def _shown(session: Session, key: str) -> PortDetails:
    return (await listed(session, rows.matching(StoredPort.table, {"id": key})))[0]


async def create(session: Session, touched: Touched, context: RequestContext, values: NewPort) -> PortDetails:
    """Make a port. Raises Conflict: OverQuota, IpAddressInUse, IpAddressGenerationFailure, MacAddressInUse."""
    _require_storable(values.profile)
    network = await the_network(session, context, values.network_id)
    project = project_of(context, values.project_id)
    _guard(context, network, project, values)
    await quotas.reserve(session, project, "port")
    secure = either(values.port_security, network.port_security)
    mac = await _free_mac(session, network.id, values.mac) if values.mac else new_mac()
    groups = await _groups(session, context, project, values.security_groups, secure, values.device_owner or "")
    row = new_port(
        network.id,
        project_id=project,
        name=values.name or "",
        description=values.description or "",
        tags=values.tags,
        mac=mac,
        admin_state_up=either(values.admin_state_up, True),
        device_id=values.device_id or "",
        device_owner=values.device_owner or "",
        hostname=values.hostname or "",
        host=values.host or None,
        vnic_type=values.vnic_type or "normal",
        profile=values.profile or {},
        port_security=secure,
        allowed_pairs=_pairs(values.allowed_pairs, mac, secure),
    )
    own = await rows.lock(session, StoredSubnet, network_id=network.id)
    own.sort(key=lambda subnet: (subnet.created_at, subnet.id))
    wanted = values.fixed_ips
    draft = PortDraft(
        row=row,
        wants=None if wanted is None or wanted is LEFT_OUT else _wants(network.id, own, wanted),
        groups=groups,
    )
    await choose(session, [draft], {network.id: own})
    await write(session, [draft])
    touched.gateway = True
    touched.members |= set(groups)
    bindings = await _bindings(session, {row.host} if row.host else ())
    numbers = [(number, subnet) for subnet, number in draft.numbers]
    return PortDetails(ListedPort.of(row, numbers, groups), bindings.get(row.host))


def _require_storable(profile: Mapping[str, object] | LeftOut | None) -> None:
    reason = ""
    if profile and len(str(profile)) > MOST_PROFILE:
        reason = f"it has more than {MOST_PROFILE} characters."
    elif profile and b"\\u0000" in orjson.dumps(profile).replace(rb"\\", b""):
        reason = "a text in it has a NUL character, which no database can hold."
    if reason:
        raise bad("HTTPBadRequest", f"Invalid input for binding:profile. Reason: {reason}")


def _guard(context: RequestContext, network: StoredNetwork, project: str, values: NewPort) -> None:
    """Refuse what only the owner of the network may choose, so that nobody takes another's place on a shared one."""
    target = _target(network, project, {name: either(getattr(values, field), None) for name, field in TOLD.items()})
    if not context.may("create_port", target):
        raise disallowed("create_port")
    if not network.admin_state_up and not owns(context, network):
        raise forbidden("Creating a port on a network that is down")
    if values.tags and not context.may("create_port:tags", target):
        raise disallowed("create_port:tags")
    _guard_values(context, "create_port", target, values)


def _target(network: StoredNetwork, project: str, port: Mapping[str, object]) -> Target:
    """Describe a port to the policy: whose it is, what is known or asked of it, and its network."""
    own = {**port, "project_id": project, "tenant_id": project, "network_id": network.id}
    its = {
        "id": network.id,
        "name": network.name,
        "shared": network.shared,
        "router:external": network.external,
        "project_id": network.project_id,
        "tenant_id": network.project_id,
    }
    named = {name: plain(value) for name, value in own.items()}
    return {**described("network", "networks", its), **described("port", "ports", own), **named}


def _guard_values(context: RequestContext, rule: str, target: Target, values: PortChange) -> None:
    # Whatever the policy says: a port of the network's own is trusted by anti-spoofing and never deleted by its owner.
    if (values.device_owner or "").startswith("network:") and not context.is_admin:
        raise forbidden("Setting a device_owner of the network itself")
    told = sent(values)
    asked = [name for name, field in GUARDED.items() if told.get(field) is not None]
    asked += sorted({f"fixed_ips:{name}" for wanted in values.fixed_ips or () for name in sent(wanted)})
    asked += sorted({f"allowed_address_pairs:{name}" for pair in values.allowed_pairs or () for name in sent(pair)})
    for name in asked:
        if not context.may(f"{rule}:{name}", target):
            raise disallowed(f"{rule}:{name}")


async def _free_mac(session: Session, network_id: str, text: str) -> str:
    mac = read_mac(text)
    if await rows.one(session, StoredPort, network_id=network_id, mac=mac):
        raise conflict(
            "MacAddressInUse",
            f"Unable to complete operation for network {network_id}. The MAC address {mac} is in use.",
        )
    return mac


async def _groups(
    session: Session,
    context: RequestContext,
    project: str,
    asked: Sequence[str] | LeftOut | None,
    secure: bool,
    owner: str,
) -> list[str]:
    """Return the groups that a port is to be in: those that are asked for, or the default one of the project."""
    if not secure:
        if asked:
            raise conflict(
                "PortSecurityAndIPRequiredForSecurityGroups",
                "Port security must be enabled in order to use security groups.",
            )
        return []
    if asked is None or asked is LEFT_OUT:
        return [] if owner.startswith("network:") else [await ensure_default(session, project)]
    if len(asked) > MOST_GROUPS:
        raise invalid(f"a port may have at most {MOST_GROUPS} security groups.")
    found = await rows.find(session, StoredSecurityGroup, id=list(asked)) if asked else []
    known = {row.id: row for row in found}
    for key in asked:
        if key not in known or not owns(context, known[key]):
            raise not_found("security group", key)
    return list(dict.fromkeys(asked))


def _pairs(asked: Sequence[AddressPair] | LeftOut | None, mac: str, secure: bool) -> list[tuple[str, str]]:
    if asked and not secure:
        raise conflict(
            "AddressPairAndPortSecurityRequired", "Port Security must be enabled in order to have allowed address pairs"
        )
    if len(asked or ()) > MOST_PAIRS:
        raise conflict("AddressPairsExhausted", f"The number of allowed address pairs exceeds {MOST_PAIRS}.")
    found: list[tuple[str, str]] = []
    for pair in asked or ():
        try:
            net = ipaddress.IPv4Network(pair.ip_address, strict=False)
        except ValueError as error:
            raise invalid(f"'{pair.ip_address[:64]}' is not a valid IPv4 address or subnet.") from error
        # With its host bits, as it was sent: clients compare. Hosts are told the range.
        text = str(ipaddress.IPv4Interface(pair.ip_address)) if "/" in pair.ip_address else str(net.network_address)
        found.append((read_mac(pair.mac_address) if pair.mac_address else mac, text))
    if len(set(found)) < len(found):
        raise bad("DuplicateAddressPairInRequest", "Request contains duplicate address pair.")
    return found


def _wants(
    network_id: str, own: Sequence[StoredSubnet], asked: Sequence[WantedAddress]
) -> list[tuple[str, int | None]]:
    if len(asked) > MOST_FIXED:
        raise invalid(f"a port may have at most {MOST_FIXED} fixed IPs.")
    found: list[tuple[str, int | None]] = []
    for wanted in asked:
        ip, key = wanted.ip_address, wanted.subnet_id
        subnet = next((row for row in own if row.id == key), None)
        if key and subnet is None:
            raise invalid(
                f"Failed to create port on network {network_id}, because fixed_ips included invalid subnet {key[:64]}."
            )
        if ip is LEFT_OUT:
            if subnet is None:
                raise invalid("IP allocation requires subnet_id or ip_address.")
            found.append((subnet.id, None))
            continue
        number = number_of(ip)
        subnet = subnet or containing(own, number)
        if subnet is None:
            raise bad(
                "InvalidIpForNetwork",
                f"IP address {ip} is not a valid IP for any of the subnets on the specified network.",
            )
        first, last = usable(range_of(subnet.cidr))
        if not first <= number <= last:
            raise bad("InvalidIpForSubnet", f"IP address {ip} is not a valid IP for the specified subnet.")
        if (subnet.id, number) in found:
            raise invalid(f"Duplicate IP address '{ip}'.")
        found.append((subnet.id, number))
    return found


async def update(
    session: Session, touched: Touched, context: RequestContext, key: str, values: PortChange
) -> PortDetails:
    """Change a port the caller owns, its addresses and groups included."""
    _require_storable(values.profile)
    row = await the_own(session, context, StoredPort, "port", key)
    network = await rows.one(session, StoredNetwork, id=row.network_id)
    assert network is not None
    _guard_change(context, network, row, values)
    new = {name: value for name, value in sent(values).items() if name in COLUMNS and value is not None}
    if values.host is not LEFT_OUT:
        new["host"] = values.host or None
        touched.hosts |= {values.host} if values.host else set()
    mac = row.mac
    if values.mac is not LEFT_OUT and (values.mac or "").lower() != row.mac:
        if row.host:
            raise conflict("PortBound", f"Unable to complete operation on port {key}, port is already bound.")
        new["mac"] = mac = await _free_mac(session, row.network_id, values.mac or "")
    if values.port_security is not LEFT_OUT:
        new["port_security"] = values.port_security
    secure = either(values.port_security, row.port_security)
    groups = await _change_groups(session, touched, context, row, secure, values.security_groups)
    if values.allowed_pairs is not LEFT_OUT or values.port_security is False:
        asked = either(values.allowed_pairs, None if row.allowed_pairs else [])
        kept = (
            asked if asked is not None else [AddressPair(ip_address=ip, mac_address=m) for m, ip in row.allowed_pairs]
        )
        new["allowed_pairs"] = _pairs(kept, mac, secure)
    if values.fixed_ips is not None and values.fixed_ips is not LEFT_OUT:
        before, after = await _change_addresses(session, row, values.fixed_ips)
        if row.device_owner == interfaces.INTERFACE:
            await interfaces.check_moved(session, row, before, after)
            touched.networks.add(row.network_id)
        touched.members |= groups
    await rows.change(session, StoredPort, key, **new)
    touched.gateway = True
    touched.hosts |= {row.host} if row.host else set()
    return await _shown(session, key)


def _guard_change(context: RequestContext, network: StoredNetwork, row: StoredPort, values: PortChange) -> None:
    told = sent(values)
    if row.server_id:
        for name in ("device_id", "device_owner"):
            if name in told and told[name] != getattr(row, name):
                raise conflict(
                    "PortInUse",
                    f"Port {row.id} is attached to server {row.server_id}; detach it there first.",
                )
        if values.host is not LEFT_OUT and (values.host or None) != row.host:
            raise conflict(
                "PortInUse",
                f"Port {row.id} is bound to the host of server {row.server_id}; its binding:host_id cannot be changed.",
            )
    if row.device_owner in SERVICE_OWNERS or row.device_owner == "network:dhcp":
        kept = {"device_id": "device_id", "device_owner": "device_owner", "mac_address": "mac"}
        kept |= {"fixed_ips": "fixed_ips", "security_groups": "security_groups"}
        if row.device_owner == interfaces.INTERFACE:
            del kept["fixed_ips"]
        for name, field in sorted(kept.items()):
            if field in told:
                raise conflict(
                    "ServicePortInUse",
                    f"{name} of port {row.id} cannot be changed: it is decided by its owner, {row.device_owner}.",
                )
    changed = attrs.evolve(values, device_owner=LEFT_OUT) if values.device_owner == row.device_owner else values
    told = sent(changed)
    port = {name: told.get(field, getattr(row, field)) for name, field in TOLD.items()}
    _guard_values(context, "update_port", _target(network, row.project_id, port), changed)


async def _change_groups(
    session: Session,
    touched: Touched,
    context: RequestContext,
    row: StoredPort,
    secure: bool,
    asked: Sequence[str] | LeftOut | None,
) -> set[str]:
    """Put the port into the groups that are asked for; return those it was or is in."""
    before = {line.group_id for line in await groups_of(session, [row.id])}
    left_alone = asked is None or asked is LEFT_OUT
    if not secure and before and left_alone:
        raise conflict(
            "PortSecurityPortHasSecurityGroup",
            "Port has security group associated. Cannot disable port security or IP address until security group is "
            "removed.",
        )
    if left_alone:
        return before
    after = set(await _groups(session, context, row.project_id, asked, secure, row.device_owner))
    if gone := before - after:
        await rows.remove(session, PortInGroup, port_id=row.id, group_id=gone)
    await rows.add(session, [PortInGroup(row.id, group) for group in sorted(after - before)])
    touched.members |= before ^ after
    return before | after


async def _change_addresses(
    session: Session, row: StoredPort, asked: Sequence[WantedAddress]
) -> tuple[set[str], set[str]]:
    """Give the port the addresses that are asked for. Returns the ids of its subnets before and after."""
    own = await rows.lock(session, StoredSubnet, network_id=row.network_id)
    have = {(line.subnet_id, line.number) for line in await addresses_of(session, [row.id])}
    wants = _wants(row.network_id, own, asked)
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
        await rows.remove(session, StoredAddress, subnet_id=key, number=number)
    await floating_ips.free(session, [row.id], [number for _, number in have - kept])
    draft = PortDraft(row=row, wants=missing)
    await choose(session, [draft], {row.network_id: own})
    await rows.add(session, [StoredAddress(key, number, row.id) for key, number in draft.numbers])
    return {key for key, _ in have}, {key for key, _ in kept} | {key for key, _ in draft.numbers}


async def delete(session: Session, touched: Touched, context: RequestContext, key: str) -> None:
    """Delete a port; a router's own ports go with the router alone. Raises Conflict, Forbidden."""
    row = await the_own(session, context, StoredPort, "port", key)
    if row.device_owner in SERVICE_OWNERS:
        raise conflict(
            "ServicePortInUse",
            f"Port {key} cannot be deleted directly via the port API: has device owner {row.device_owner}.",
        )
    if row.device_owner == "network:dhcp" and not context.is_admin:
        raise forbidden("Deleting a DHCP port")
    await drop(session, touched, [row])


Ports = Resources[StoredPort, PortDetails, NewPort, PortChange]
PORTS = ResourceKind(
    called="port",
    stored=StoredPort,
    seen_by=ports.seen_by,
    listed=listed,
    create=create,
    update=update,
    delete=delete,
)
