"""What a real host would stumble over in a topology: broken references, impossible addresses, twins."""

import functools
import ipaddress
import re
from collections.abc import Iterator, Mapping

from novakit_hookspecs.networks import Gateway, Network, Port, Router, RouterInterface, Topology

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


def faults_of(topology: Topology) -> dict[str, str]:
    """Return a sentence for every network, port and router that cannot be made, by its id."""
    networks = {network.id: network for network in topology.networks}
    faults: dict[str, str] = {}
    for network in topology.networks:
        if why := next(_of_network(network), ""):
            faults[network.id] = why
    taken: dict[tuple[str, str], str] = {}
    for port in topology.ports:
        why = _unmade(port.network_id, networks, faults) or next(_of_port(port, networks[port.network_id], taken), "")
        if why:
            faults[port.id] = why
    for router in topology.routers:
        if why := next(_of_router(router, networks, faults), ""):
            faults[router.id] = why
    return faults


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


def _of_port(port: Port, network: Network, taken: dict[tuple[str, str], str]) -> Iterator[str]:
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
    for key in (port.mac.lower(), *(address.ip for address in port.addresses)):
        if (owner := taken.setdefault((network.id, key), port.id)) != port.id:
            yield f"{key} is already used by port {owner} of the same network"


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
