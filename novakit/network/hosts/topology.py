"""The whole desired state of hosts, read in a fixed number of queries.

The idea: what a host must be is read whole and never as a difference, so a crash, a restart and a change are one case.
What is the same as at the last reading is the same object, by which others see what has changed: see `remembered`.
Members of security groups come and go with every server, on all hosts of the group: they stand in records of their own,
beside the ports, and of a host of which nothing else has changed nothing else is read.
The invariant: a topology has all that was committed when its revision was read, before all else of it. On SQLite it is
of that moment; on PostgreSQL, where each statement sees what is committed by then, some of it may be newer, and is read
again with the next revision, under another shape.
The cost: 2 statements however many hosts are asked for, one for their ports and one for what stands around those, or
the members alone; ports in the same groups share one tuple of rules, and hosts one of a group's members.
"""

import ipaddress
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar

import attrs

from novakit import world
from novakit.bus.topologies import with_rules
from novakit.concurrency.bounded import BoundedMemory
from novakit.network.allocation.addresses import ip_of, pairs, range_of
from novakit.network.hosts.dhcp import dhcp_port_id
from novakit.network.hosts.remembered import NOTHING, MadePort, Told, alone
from novakit.network.interfaces import GATEWAY, INTERFACE
from novakit.network.security_group_rules import protocol_number
from novakit.network.servers.nics import subnet_of
from novakit.store.engine import Session
from novakit.store.network.ports import StoredAddress
from novakit.store.network.topologies.around import (
    AddressesByGroup,
    AddressOnNetwork,
    Around,
    LegLine,
    NetworkLine,
    RouterLine,
    RuleLine,
    ServedByGateway,
    SubnetLine,
    around,
    group_members,
)
from novakit.store.network.topologies.guests import GuestPortLine, guests_of
from novakit_hookspecs.networks import (
    Address,
    AddressGroup,
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

_T = TypeVar("_T")
_LeaseByAddress = dict[AddressOnNetwork, Lease]
NOTHING_AROUND = Around(networks=(), subnets=(), rules=(), members={}, served=ServedByGateway())
HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


@attrs.define(kw_only=True)
class _Segments:
    """What of the networks some hosts must know."""

    networks: dict[str, NetworkLine] = attrs.field(factory=dict)
    subnets: dict[str, tuple[Subnet, ...]] = attrs.field(factory=dict)
    """By network, in the contract's terms."""
    by_id: dict[str, SubnetLine] = attrs.field(factory=dict)
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
    strangers: bool = True
    """Whether there were strangers when ports were read; false says that the ports of all guests are among them."""


_Guests = dict[str, list[GuestPortLine]]
"""The lines of the ports on a host, by port, the oldest port first."""
_RulesOf = Mapping[tuple[str, ...], tuple[Rule, ...]]
"""By the security groups that they are of."""


@attrs.define(kw_only=True)
class _HostReading:
    """What was read of one host."""

    revision: int
    shape: str
    """What the database calls all that the host is told but the members of groups."""
    is_gateway: bool
    before: Told
    """What it was told the last time."""
    stays: bool
    """Whether it is as it was, but for members of groups; then no guests were read."""
    guests: _Guests = attrs.field(factory=dict)


async def build(session: Session, hosts: Collection[str], told: BoundedMemory[Told]) -> Built:
    """Read what hosts must be: their guests' ports, and on the gateway host every router and DHCP service.

    The number of statements does not grow with the hosts.
    """
    found, strangers = await _hosts(session, hosts, told)
    now = {host: one.before for host, one in found.items() if one.stays}
    anew = {host: one for host, one in found.items() if not one.stays}
    named = {group.id for each in now.values() for group in each.topology.groups}
    lacking = False
    if anew:
        read = await _read_around(session, anew, named)
        members = read.members
        made, lacking = _made_anew(anew, read)
        now |= made
    else:
        members = await group_members(session, named) if named else {}
    groups = _groups_named(now.values(), members)
    for host, one in now.items():
        before = {group.id: group for group in found[host].before.topology.groups}
        same = tuple([_same(before.get(group.id), groups[group.id]) for group in one.topology.groups])
        topology = attrs.evolve(one.topology, revision=found[host].revision, groups=same)
        now[host] = attrs.evolve(one, topology=topology)
        told.put(host, now[host], one.size)
    return Built(topologies={host: one.topology for host, one in now.items()}, lacking=lacking, strangers=strangers)


async def _hosts(
    session: Session, hosts: Collection[str], told: BoundedMemory[Told]
) -> tuple[dict[str, _HostReading], bool]:
    """Read which hosts are known, and the ports of those that are not as they were told last.

    Returns whether there are strangers, too, and of no known host that there may be.
    """
    before = {host: told.get(host) or NOTHING for host in hosts}
    shapes = {host: one.shape for host, one in before.items() if one.shape and not one.is_old}
    found: dict[str, _HostReading] = {}
    strangers = True
    for host, revision, shape, gateway, has_strangers, line in await guests_of(session, hosts, shapes):
        strangers = has_strangers
        if host not in found:
            found[host] = _HostReading(
                revision=revision,
                shape=shape,
                is_gateway=gateway == 1,
                before=before[host],
                stays=shapes.get(host) == shape,
            )
        if line is not None:
            found[host].guests.setdefault(line.id, []).append(line)
    return found, strangers


async def _read_around(session: Session, hosts: Mapping[str, _HostReading], named: Collection[str]) -> Around:
    """Read what stands around the guests of hosts, and the members of the groups `named` with those of theirs."""
    lines = [lines for one in hosts.values() for lines in one.guests.values()]
    networks = {own[0].network_id for own in lines}
    groups = {group for own in lines for group in _groups(own)}
    serving = any(one.is_gateway for one in hosts.values())
    if not (networks or named or serving):
        return NOTHING_AROUND
    legs = (INTERFACE, GATEWAY) if serving else None
    return await around(session, networks=networks, groups=groups, named=named, legs=legs)


def _made_anew(hosts: Mapping[str, _HostReading], read: Around) -> tuple[dict[str, Told], bool]:
    """Make all that hosts are told but the members of groups. Returns it, and whether something has to be made first.

    Of what was told before only records are taken that are as they would be made now.
    """
    gateway = next((host for host, one in hosts.items() if one.is_gateway), None)
    served = {network_id for _, network_id in read.served.needing}
    mine = {host: {lines[0].network_id for lines in one.guests.values()} for host, one in hosts.items()}
    if gateway:
        mine[gateway] |= {leg.network_id for leg in read.served.legs} | served
    leases: tuple[_LeaseByAddress, _LeaseByAddress] = (hosts[gateway].before.leases if gateway else {}, {})
    segments = _segments(read, served, leases)
    rules_of = _rules_of([one.guests for one in hosts.values()], read.rules)
    routed = _routers(read.served, segments)
    networks = {key: _network(network, segments, served=False) for key, network in segments.networks.items()}
    lacking = any(_lacks(subnet, segments.dhcp.get(network)) for subnet, network in read.served.needing)
    made = {}
    for host, one in hosts.items():
        # What is made first changes what the host is told without anybody's saying so.
        now = Told(
            shape="" if one.is_gateway and lacking else one.shape,
            read=world.monotonic(),
            leases=leases[1] if one.is_gateway else {},
        )
        for key in segments.networks:
            if key in mine[host]:
                own = _network(segments.networks[key], segments, served=True) if one.is_gateway else networks[key]
                now.networks[key] = _same_network(one.before.networks.get(key), own)
        _make_ports(now, one.before, one.guests, segments, rules_of)
        made[host] = attrs.evolve(now, topology=_topology(now, routed if one.is_gateway else ()))
    return made, lacking


def _lacks(subnet_id: str, dhcp: DhcpPort | None) -> bool:
    """Return whether the DHCP service of a network has no address on a subnet yet."""
    return dhcp is None or subnet_id not in {address.subnet_id for address in dhcp.addresses}


def _topology(now: Told, routers: tuple[Router, ...]) -> Topology:
    """Put together what a host is told; the groups that rules name have no members yet."""
    named = dict.fromkeys(rule.remote_group for rules in now.rules.values() for rule in rules)
    return Topology(
        revision=0,
        networks=tuple(now.networks.values()),
        ports=tuple([made.port for made in now.ports.values()]),
        routers=routers,
        groups=tuple(AddressGroup(id=group) for group in named if group is not None),
    )


def _groups_named(told: Iterable[Told], members: AddressesByGroup) -> dict[str, AddressGroup]:
    ids = {group.id for each in told for group in each.topology.groups}
    return {id: AddressGroup(id=id, members=tuple(map(alone, members.get(id, ())))) for id in ids}


def _same_network(before: Network | None, now: Network) -> Network:
    """Do as `_same`; where only leases are new, as they are with each port of the network, its subnets stay."""
    if before is None or before == now or before.subnets != now.subnets:
        return _same(before, now)
    return attrs.evolve(now, subnets=before.subnets)


def _same(before: _T | None, now: _T) -> _T:
    """Return the former record where the new one is equal to it."""
    return before if before is not None and before == now else now


def _segments(read: Around, served: Collection[str], leases: tuple[_LeaseByAddress, _LeaseByAddress]) -> _Segments:
    found = _Segments()
    found.networks = {network.id: network for network in read.networks}
    found.by_id = {subnet.id: subnet for subnet in read.subnets}
    cut: dict[str, list[Subnet]] = defaultdict(list)
    for subnet in read.subnets:
        cut[subnet.network_id].append(subnet_of(subnet))
    found.subnets = {key: tuple(subnets) for key, subnets in cut.items()}
    if served:
        _serve(found, read.served.addresses, served, *leases)
    for row in read.served.leg_addresses:
        found.numbers[row.port_id].append(row)
    return found


def _serve(
    found: _Segments,
    in_use: Iterable[AddressOnNetwork],
    served: Collection[str],
    before: _LeaseByAddress,
    now: _LeaseByAddress,
) -> None:
    """Add what DHCP on some networks must know; leases that were there `before` are there `now`, too."""
    dhcp_ports = {dhcp_port_id(network_id): network_id for network_id in served}
    on_dhcp: dict[str, list[AddressOnNetwork]] = defaultdict(list)
    told = {key: subnet.network_id for key, subnet in found.by_id.items() if subnet.dhcp}
    for line in in_use:
        lease = before.get(line)
        if lease is None and line.port_id in dhcp_ports:
            on_dhcp[line.port_id].append(line)
        elif network_id := told.get(line.subnet_id):
            lease = now[line] = lease or _lease(line)
            found.leases[network_id].append(lease)
    for port_id, lines in on_dhcp.items():
        found.dhcp[dhcp_ports[port_id]] = DhcpPort(
            id=port_id, mac=lines[0].mac, addresses=_addresses((line.subnet_id, line.number) for line in lines)
        )


def _lease(line: AddressOnNetwork) -> Lease:
    ip = ip_of(line.number)
    # A name that is no host name would reach the DHCP server's files: it gets one made of its address.
    hostname = line.hostname if HOST_NAME.fullmatch(line.hostname) else f"host-{ip.replace('.', '-')}"
    return Lease(port_id=line.port_id, mac=line.mac, ip=ip, hostname=hostname)


def _addresses(found: Iterable[tuple[str | None, int | None]]) -> tuple[Address, ...]:
    return tuple(
        Address(ip=ip_of(number), subnet_id=subnet_id)
        for subnet_id, number in found
        if subnet_id and number is not None
    )


def _network(network: NetworkLine, segments: _Segments, *, served: bool) -> Network:
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


def _make_ports(now: Told, before: Told, guests: _Guests, segments: _Segments, rules_of: _RulesOf) -> None:
    """Make the ports of one host, those that are as they were from what it was told before."""
    for key, lines in guests.items():
        network = segments.networks.get(lines[0].network_id)
        # Deleted since the ports were read, with them: the host has another revision already.
        if network is None:
            continue
        made = before.ports.get(key)
        is_known = made is not None and made.lines == lines
        groups = made.groups if made is not None and is_known else _groups(lines)
        rules = now.rules.get(groups)
        if rules is None:
            rules = now.rules[groups] = _same(before.rules.get(groups), rules_of[groups])
        is_up = network.admin_state_up
        if made is None or not is_known or made.is_up != is_up:
            made = MadePort(lines, groups, is_up, _port(lines, rules, is_up=is_up))
        elif made.port.rules is not rules:
            made = MadePort(made.lines, groups, is_up, with_rules(made.port, rules))
        now.ports[key] = made


def _port(lines: Sequence[GuestPortLine], rules: tuple[Rule, ...], *, is_up: bool) -> Port:
    port = lines[0]
    return Port(
        id=port.id,
        network_id=port.network_id,
        server_id=port.server_id,
        mac=port.mac,
        addresses=_addresses(dict.fromkeys((line.subnet_id, line.number) for line in lines)),
        allowed_pairs=tuple(dict.fromkeys((mac, _without_host_bits(ip)) for mac, ip in port.allowed_pairs)),
        port_security=port.port_security,
        admin_up=port.admin_state_up and is_up,
        rules=rules,
    )


def _groups(lines: Sequence[GuestPortLine]) -> tuple[str, ...]:
    """Return the security groups by which a port is filtered."""
    if not lines[0].port_security:
        return ()
    if len(lines) == 1:
        return (lines[0].group_id,) if lines[0].group_id else ()
    return tuple(dict.fromkeys(line.group_id for line in lines if line.group_id))


def _rules_of(guests: Iterable[_Guests], lines: Iterable[RuleLine]) -> _RulesOf:
    """Return the rules of all ports by their groups; ports in the same groups share one tuple, which is sent once."""
    wanted = {_groups(own) for some in guests for own in some.values()}
    by_group: dict[str, list[Rule]] = defaultdict(list)
    for line in lines:
        by_group[line.security_group_id].append(_rule(line))
    return {
        groups: tuple(dict.fromkeys(rule for group in groups for rule in by_group.get(group, ()))) for groups in wanted
    }


def _without_host_bits(ip: str) -> str:
    return str(ipaddress.IPv4Network(ip, strict=False)) if "/" in ip else ip


def _rule(line: RuleLine) -> Rule:
    remotes: tuple[str, ...] | None = () if line.remote_group_id else None
    if line.remote_ip_prefix and not line.remote_ip_prefix.endswith("/0"):
        remotes = (str(ipaddress.ip_network(line.remote_ip_prefix, strict=False)),)
    return Rule(
        direction=line.direction,
        ethertype=line.ethertype,
        protocol=protocol_number(line.protocol, line.ethertype),
        port_min=line.port_min,
        port_max=line.port_max,
        remotes=remotes,
        remote_group=line.remote_group_id,
    )


def _routers(served: ServedByGateway, segments: _Segments) -> tuple[Router, ...]:
    by_router: dict[str, list[LegLine]] = defaultdict(list)
    for leg in served.legs:
        by_router[leg.device_id].append(leg)
    floating: dict[str, list[FloatingIp]] = defaultdict(list)
    for row in served.floating_ips:
        leads = FloatingIp(id=row.id, address=row.address, fixed_ip=ip_of(row.fixed_number))
        floating[row.router_id].append(leads)
    found = []
    for router in served.routers:
        own = by_router.get(router.id)
        if own is None:
            continue
        outward = next((leg for leg in own if leg.device_owner == GATEWAY), None)
        found.append(
            Router(
                id=router.id,
                interfaces=tuple(_interface(leg, segments) for leg in own if leg.device_owner == INTERFACE),
                gateway=_gateway(router, outward, segments) if outward else None,
                floating_ips=tuple(floating.get(router.id, ())),
                routes=pairs(router.routes),
            )
        )
    return tuple(found)


def _with_prefix(leg: LegLine, segments: _Segments) -> tuple[str, ...]:
    lines = segments.numbers[leg.id]
    return tuple(f"{ip_of(line.number)}/{range_of(segments.by_id[line.subnet_id].cidr).prefixlen}" for line in lines)


def _interface(leg: LegLine, segments: _Segments) -> RouterInterface:
    return RouterInterface(
        port_id=leg.id, network_id=leg.network_id, mac=leg.mac, addresses=_with_prefix(leg, segments)
    )


def _gateway(router: RouterLine, leg: LegLine, segments: _Segments) -> Gateway:
    hops = [segments.by_id[line.subnet_id].gateway_ip for line in segments.numbers[leg.id]]
    return Gateway(
        port_id=leg.id,
        network_id=leg.network_id,
        mac=leg.mac,
        addresses=_with_prefix(leg, segments),
        next_hops=tuple(hop for hop in dict.fromkeys(hops) if hop),
        snat=router.snat,
    )
