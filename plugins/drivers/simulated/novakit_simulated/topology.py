"""What a real host would stumble over in a topology: broken references, impossible addresses, twins."""

import functools
import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence

import attrs

from novakit_hookspecs.networks import (
    Gateway,
    Network,
    Port,
    Router,
    RouterInterface,
    Rule,
    Subnet,
    Topology,
)

_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_MAX_SEGMENT = 16_777_215
"""24 bits, as the contract says of a segment."""


@functools.lru_cache(maxsize=65536)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


@functools.lru_cache(maxsize=65536)
def _range(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


@attrs.frozen
class _Looked:
    """What was found when a port was looked into, and what it was then."""

    port: Port
    subnets: tuple[Subnet, ...]
    """Those of its network."""
    why: str
    """Why it cannot be made whatever else there is; empty where nothing is wrong with it."""
    keys: tuple[tuple[str, str], ...]
    """What nobody else may have: its network, each with an address."""

    def is_of(self, port: Port, network: Network) -> bool:
        """Return whether it would be found again."""
        return self.subnets is network.subnets and as_wired(self.port, port)


@attrs.frozen(eq=False)
class _TheseMembers:
    """A group's members, told from others by which tuple they are: there may be thousands in it."""

    members: tuple[str, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _TheseMembers) and other.members is self.members

    def __hash__(self) -> int:
        return id(self.members)


@functools.lru_cache(maxsize=1024)
def _nonsense(these: _TheseMembers) -> str:
    """Return which of a group's members is not a range; the hosts of one process are told the very same ones."""
    return next((f"{member!r}, which is not a CIDR" for member in these.members if _range(member) is None), "")


@attrs.define
class PortChecks:
    """What was looked into; what is the same object again is not looked into again."""

    _looked: dict[str, _Looked] = attrs.field(factory=dict)

    def faults_of(self, topology: Topology) -> dict[str, str]:
        """Return a sentence for every network, port and router that cannot be made, by its id."""
        networks = {network.id: network for network in topology.networks}
        faults: dict[str, str] = {}
        for network in topology.networks:
            if why := next(_of_network(network), ""):
                faults[network.id] = why
        self._look_at_ports(topology, networks, faults)
        for router in topology.routers:
            if why := next(_of_router(router, networks, faults), ""):
                faults[router.id] = why
        return faults

    def _look_at_ports(self, topology: Topology, networks: Mapping[str, Network], faults: dict[str, str]) -> None:
        """Add the faults of ports. All are gone through when one of them is another, so that each costs few calls."""
        before, self._looked = self._looked, {}
        groups = untrusted(topology)
        trusting: dict[int, str] = {}
        sound: list[_Looked] = []
        for port in topology.ports:
            network, rules = networks.get(port.network_id), port.rules
            if network is None or port.network_id in faults:
                faults[port.id] = _unmade(port.network_id, networks, faults)
                continue
            why = trusting.get(id(rules))
            if why is None:
                why = trusting[id(rules)] = _untrusted(rules, groups)
            if not why:
                looked = before.get(port.id)
                if looked is None or looked.port is not port or looked.subnets is not network.subnets:
                    looked = _look_at(port, network, looked)
                self._looked[port.id] = looked
                why = looked.why
                if not why:
                    sound.append(looked)
            if why:
                faults[port.id] = why
        faults |= _twins(sound)


def untrusted(topology: Topology) -> dict[str, str]:
    """Return why no rule can name a group, by its id; empty for one that any can."""
    return {
        group.id: f"its remote group {group.id} has {why}" if (why := _nonsense(_TheseMembers(group.members))) else ""
        for group in topology.groups
    }


def _untrusted(rules: tuple[Rule, ...], groups: Mapping[str, str]) -> str:
    """Return why rules cannot be in force for the groups that they name."""
    named = [rule.remote_group for rule in rules if rule.remote_group is not None]
    whys = (groups.get(group, f"its remote group {group} is not in the topology") for group in named)
    return next(filter(None, whys), "")


def as_wired(before: Port, now: Port) -> bool:
    """Return whether a port is wired as before: its addresses are the same object, and only its rules may differ."""
    return before is now or (
        before.addresses is now.addresses
        and (before.mac, before.network_id, before.server_id) == (now.mac, now.network_id, now.server_id)
    )


def _unmade(network_id: str, networks: Mapping[str, Network], faults: Mapping[str, str]) -> str:
    if network_id not in networks:
        return f"its network {network_id} is not in the topology"
    if network_id in faults:
        return f"its network {network_id} could not be made: {faults[network_id]}"
    return ""


def _of_network(network: Network) -> Iterator[str]:
    if not 1 <= network.segment <= _MAX_SEGMENT:
        yield f"segment {network.segment} is not between 1 and {_MAX_SEGMENT}"
    if not 68 <= network.mtu <= 65535:
        yield f"an MTU of {network.mtu} is not between 68 and 65535"
    for subnet in network.subnets:
        if _range(subnet.cidr) is None:
            yield f"{subnet.cidr!r} is not a CIDR"
    if network.dhcp is not None and not _MAC.fullmatch(network.dhcp.mac):
        yield f"{network.dhcp.mac!r} is not a MAC address"


def _of_port(port: Port, network: Network) -> Iterator[str]:
    if not _MAC.fullmatch(port.mac):
        yield f"{port.mac!r} is not a MAC address"
    subnets = {subnet.id: subnet for subnet in network.subnets}
    for address in port.addresses:
        ip = _address(address.ip)
        if ip is None:
            yield f"{address.ip!r} is not an IP address"
        elif address.subnet_id not in subnets:
            yield f"{address.ip} is on subnet {address.subnet_id}, which network {network.id} does not have"
        elif (cidr := _range(subnets[address.subnet_id].cidr)) is None or ip not in cidr:
            yield f"{address.ip} is outside {subnets[address.subnet_id].cidr}"


def _keys(port: Port) -> tuple[tuple[str, str], ...]:
    return tuple((port.network_id, key) for key in (port.mac.lower(), *(address.ip for address in port.addresses)))


def _look_at(port: Port, network: Network, before: _Looked | None) -> _Looked:
    """Look into a port, unless what was found of it would be found again."""
    if before is not None and before.is_of(port, network):
        return attrs.evolve(before, port=port)
    return _Looked(port, network.subnets, next(_of_port(port, network), ""), _keys(port))


def _twins(ports: Sequence[_Looked]) -> dict[str, str]:
    """Return the ports whose address another port has already, and why; the first one has it."""
    every = [key for looked in ports for key in looked.keys]
    if len(every) == len({*every}):
        return {}
    faults: dict[str, str] = {}
    taken: dict[tuple[str, str], str] = {}
    for looked in ports:
        for key in looked.keys:
            if (owner := taken.setdefault(key, looked.port.id)) != looked.port.id:
                faults[looked.port.id] = f"{key[1]} is already used by port {owner} of the same network"
                break
    return faults


def _of_router(router: Router, networks: Mapping[str, Network], faults: Mapping[str, str]) -> Iterator[str]:
    legs: list[RouterInterface | Gateway] = list(router.interfaces)
    if router.gateway is not None:
        legs.append(router.gateway)
    for leg in legs:
        if why := _unmade(leg.network_id, networks, faults):
            yield f"port {leg.port_id}: {why}"
        for address in leg.addresses:
            if _range(address) is None:
                yield f"port {leg.port_id}: {address!r} is not an address with prefix length"
    if router.floating_ips and router.gateway is None:
        yield f"floating IP {router.floating_ips[0].address} needs a gateway, and the router has none"
    inside = [_range(address) for leg in router.interfaces for address in leg.addresses]
    for floating in router.floating_ips:
        fixed = _address(floating.fixed_ip)
        if fixed is None or not any(cidr is not None and fixed in cidr for cidr in inside):
            yield f"floating IP {floating.address} leads to {floating.fixed_ip}, which no interface reaches"
