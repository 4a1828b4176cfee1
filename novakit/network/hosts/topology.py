"""The whole desired state of hosts, read in a fixed number of queries.

Idea: a host is handed everything it must be and never a difference, so a crash, a restart and a change are one case.
Invariant: a topology is of one moment, for it is read in one transaction, and carries the revision of that moment.
Cost: some ten statements however many hosts are asked for; ports in the same groups share one tuple of rules.
"""

import ipaddress
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import attrs

from novakit.network.allocation.addresses import ip_of, pairs, range_of
from novakit.network.hosts.dhcp import dhcp_port_id
from novakit.network.interfaces import GATEWAY, INTERFACE
from novakit.network.security_group_rules import protocol_number
from novakit.network.servers.nics import subnet_of
from novakit.store.engine import Row, Session
from novakit.store.network import rows
from novakit.store.network.floating_ips import StoredFloatingIp
from novakit.store.network.networks import StoredNetwork
from novakit.store.network.ports import (
    StoredAddress,
    StoredPort,
    addresses_of,
    addresses_on,
    group_members,
    guest_groups,
    guests_of,
    subnets_needing_dhcp,
)
from novakit.store.network.routers import StoredRouter
from novakit.store.network.security_group_rules import StoredRule
from novakit.store.network.subnets import StoredSubnet, with_subnets
from novakit_hookspecs.networks import (
    Address,
    DhcpPort,
    FloatingIp,
    Gateway,
    Lease,
    Network,
    Port,
    Router,
    RouterInterface,
    Rule,
    Subnet,
    Topology,
)

HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


@attrs.define(kw_only=True)
class _Segments:
    """What of the networks some hosts must know."""

    networks: dict[str, StoredNetwork] = attrs.field(factory=dict)
    subnets: dict[str, tuple[Subnet, ...]] = attrs.field(factory=dict)
    """By network, in the contract's terms."""
    by_id: dict[str, StoredSubnet] = attrs.field(factory=dict)
    """Subnets by id."""
    leases: dict[str, list[Lease]] = attrs.field(factory=lambda: defaultdict(list))
    dhcp: dict[str, DhcpPort] = attrs.field(factory=dict)
    numbers: dict[str, list[StoredAddress]] = attrs.field(factory=lambda: defaultdict(list))
    """Addresses of routers' legs by port."""


@attrs.frozen(kw_only=True)
class Built:
    """What hosts must be, and what has to be made before that is all."""

    topologies: Mapping[str, Topology]
    lacking: bool = False
    """Whether the DHCP service of some network has no address yet."""


async def build(session: Session, hosts: Collection[str]) -> Built:
    """Read what hosts must be: their guests' ports, and on the gateway host every router and DHCP service.

    The number of statements does not grow with the hosts.
    """
    wanted: dict[str, int] = {}
    gateway: str | None = None
    guests: dict[str, list[Row]] = defaultdict(list)
    numbers: dict[str, list[Row]] = defaultdict(list)
    for row in await guests_of(session, hosts):
        wanted[row["host"]] = row["wanted"]
        if row["gateway"] == 1:
            gateway = row["host"]
        if row["id"] is None:
            continue
        lines = numbers[row["id"]]
        if not lines:
            guests[row["host"]].append(row)
        lines.append(row)
    legs: list[StoredPort] = []
    needing: Sequence[StoredSubnet] = ()
    if gateway:
        legs = await rows.find(session, StoredPort, device_owner=[INTERFACE, GATEWAY])
        needing = await subnets_needing_dhcp(session)
    served = {subnet.network_id for subnet in needing}
    mine = {host: {port["network_id"] for port in guests[host]} for host in wanted}
    if gateway:
        mine[gateway] |= {leg.network_id for leg in legs} | served
    segments = await _segments(session, set().union(*mine.values()), legs, served)
    rules_of = await _rules_of(session, guests)
    routed = await _routers(session, legs, segments) if gateway else ()
    return Built(
        topologies={
            host: Topology(
                revision=revision,
                networks=tuple(
                    _network(network, segments, served=host == gateway)
                    for key, network in segments.networks.items()
                    if key in mine[host]
                ),
                ports=tuple(_port(port, numbers[port["id"]], segments, rules_of) for port in guests[host]),
                routers=routed if host == gateway else (),
            )
            for host, revision in wanted.items()
        },
        lacking=any(
            subnet.id not in {address.subnet_id for address in segments.dhcp[subnet.network_id].addresses}
            if subnet.network_id in segments.dhcp
            else True
            for subnet in needing
        ),
    )


async def _segments(
    session: Session, wanted: Collection[str], legs: Sequence[StoredPort], served: Collection[str]
) -> _Segments:
    found = _Segments()
    if not wanted:
        return found
    for network, subnets in await with_subnets(session, wanted):
        found.networks[network.id] = network
        found.subnets[network.id] = tuple(subnet_of(subnet) for subnet in subnets)
        found.by_id.update((subnet.id, subnet) for subnet in subnets)
    if served:
        await _serve(session, found, served)
    for row in await addresses_of(session, [leg.id for leg in legs]):
        found.numbers[row.port_id].append(row)
    return found


async def _serve(session: Session, found: _Segments, served: Collection[str]) -> None:
    """Add what DHCP on some networks must know."""
    dhcp_ports = {dhcp_port_id(network_id): network_id for network_id in served}
    on_dhcp: dict[str, list[Row]] = defaultdict(list)
    for row in await addresses_on(session, served):
        if row["port_id"] in dhcp_ports:
            on_dhcp[row["port_id"]].append(row)
        elif found.by_id[row["subnet_id"]].dhcp:
            ip = ip_of(row["number"])
            # A name that is no host name would reach the DHCP server's files: it gets one made of its address.
            hostname = row["hostname"] if HOST_NAME.fullmatch(row["hostname"]) else f"host-{ip.replace('.', '-')}"
            found.leases[row["network_id"]].append(
                Lease(port_id=row["port_id"], mac=row["mac"], ip=ip, hostname=hostname)
            )
    for port_id, lines in on_dhcp.items():
        found.dhcp[dhcp_ports[port_id]] = DhcpPort(
            id=port_id, mac=lines[0]["mac"], addresses=_addresses(line for line in lines)
        )


def _addresses(lines: Iterable[Row]) -> tuple[Address, ...]:
    return tuple(Address(ip=ip_of(line["number"]), subnet_id=line["subnet_id"]) for line in lines)


def _network(network: StoredNetwork, segments: _Segments, *, served: bool) -> Network:
    key = network.id
    dhcp = segments.dhcp.get(key) if served else None
    return Network(
        id=key,
        segment=network.segment,
        mtu=network.mtu,
        subnets=segments.subnets.get(key, ()),
        dhcp=dhcp,
        leases=tuple(segments.leases[key]) if dhcp else (),
        physical_network=network.physical_network,
    )


def _port(port: Row, lines: Sequence[Row], segments: _Segments, rules_of: Mapping[str, tuple[Rule, ...]]) -> Port:
    return Port(
        id=port["id"],
        network_id=port["network_id"],
        server_id=port["server_id"],
        mac=port["mac"],
        addresses=_addresses(line for line in lines if line["subnet_id"]),
        allowed_pairs=tuple(dict.fromkeys((mac, _without_host_bits(ip)) for mac, ip in port["allowed_pairs"])),
        port_security=port["port_security"],
        admin_up=port["admin_state_up"] and segments.networks[port["network_id"]].admin_state_up,
        rules=rules_of.get(port["id"], ()),
    )


async def _rules_of(session: Session, guests: Mapping[str, Sequence[Row]]) -> dict[str, tuple[Rule, ...]]:
    """Return the rules of each guest's port; ports in the same groups share one tuple, which is sent once."""
    in_groups: dict[str, list[str]] = defaultdict(list)
    for row in await guest_groups(session, [host for host, some in guests.items() if some]):
        in_groups[row["port_id"]].append(row["group_id"])
    by_group = await _rules(session, {group for groups in in_groups.values() for group in groups})
    merged: dict[tuple[str, ...], tuple[Rule, ...]] = {}
    found: dict[str, tuple[Rule, ...]] = {}
    for port_id, groups in in_groups.items():
        key = tuple(groups)
        if key not in merged:
            merged[key] = tuple(dict.fromkeys(rule for group in key for rule in by_group.get(group, ())))
        found[port_id] = merged[key]
    return found


async def _rules(session: Session, groups: Collection[str]) -> dict[str, list[Rule]]:
    found: dict[str, list[Rule]] = defaultdict(list)
    lines = await rows.find(session, StoredRule, security_group_id=groups) if groups else []
    remote = {line.remote_group_id for line in lines if line.remote_group_id}
    members: dict[str, list[str]] = defaultdict(list)
    for group_id, number in await group_members(session, remote) if remote else ():
        members[group_id].append(f"{ip_of(number)}/32")
    for line in lines:
        found[line.security_group_id].append(_rule(line, members))
    return found


def _without_host_bits(ip: str) -> str:
    return str(ipaddress.IPv4Network(ip, strict=False)) if "/" in ip else ip


def _rule(line: StoredRule, members: Mapping[str, Sequence[str]]) -> Rule:
    remotes: tuple[str, ...] | None = None
    if line.remote_group_id:
        remotes = tuple(members[line.remote_group_id]) if line.ethertype == "IPv4" else ()
    elif line.remote_ip_prefix and not line.remote_ip_prefix.endswith("/0"):
        remotes = (str(ipaddress.ip_network(line.remote_ip_prefix, strict=False)),)
    return Rule(
        direction=line.direction,
        ethertype=line.ethertype,
        protocol=protocol_number(line.protocol, line.ethertype),
        port_min=line.port_min,
        port_max=line.port_max,
        remotes=remotes,
    )


async def _routers(session: Session, legs: Sequence[StoredPort], segments: _Segments) -> tuple[Router, ...]:
    by_router: dict[str, list[StoredPort]] = defaultdict(list)
    for leg in legs:
        by_router[leg.device_id].append(leg)
    if not by_router:
        return ()
    floating: dict[str | None, list[FloatingIp]] = defaultdict(list)
    for row in await rows.find(session, StoredFloatingIp, router_id=list(by_router)):
        if row.fixed_number is not None:
            leads = FloatingIp(id=row.id, address=row.address, fixed_ip=ip_of(row.fixed_number))
            floating[row.router_id].append(leads)
    found = []
    for router in await rows.find(session, StoredRouter, id=list(by_router), admin_state_up=True):
        own = by_router[router.id]
        outward = next((leg for leg in own if leg.device_owner == GATEWAY), None)
        found.append(
            Router(
                id=router.id,
                interfaces=tuple(_interface(leg, segments) for leg in own if leg.device_owner == INTERFACE),
                gateway=_gateway(router, outward, segments) if outward else None,
                floating_ips=tuple(floating[router.id]),
                routes=pairs(router.routes),
            )
        )
    return tuple(found)


def _with_prefix(leg: StoredPort, segments: _Segments) -> tuple[str, ...]:
    lines = segments.numbers[leg.id]
    return tuple(f"{ip_of(line.number)}/{range_of(segments.by_id[line.subnet_id].cidr).prefixlen}" for line in lines)


def _interface(leg: StoredPort, segments: _Segments) -> RouterInterface:
    return RouterInterface(
        port_id=leg.id, network_id=leg.network_id, mac=leg.mac, addresses=_with_prefix(leg, segments)
    )


def _gateway(router: StoredRouter, leg: StoredPort, segments: _Segments) -> Gateway:
    hops = [segments.by_id[line.subnet_id].gateway_ip for line in segments.numbers[leg.id]]
    return Gateway(
        port_id=leg.id,
        network_id=leg.network_id,
        mac=leg.mac,
        addresses=_with_prefix(leg, segments),
        next_hops=tuple(hop for hop in dict.fromkeys(hops) if hop),
        snat=router.snat,
    )
