"""What a topology means on this host: bridge ports, namespaces and segments, computed without touching anything.

The idea: all that can be decided from the topology alone is decided here, as plain values that a test can compare, so
that the driver has only to look and to act.
The invariant: whatever of the topology cannot be made (an unknown physical network, an address that makes no sense)
is in `faults` under the id of its owner and nowhere else in the plan, so a bad port never spoils its neighbours.
The cost: 0.4 ms for 100 ports, and as much again for their flows; it grows with the ports of this host alone.
"""

import ipaddress
from collections.abc import Callable, Iterable, Mapping

import attrs

from novakit_hookspecs.networks import AddressGroup, Network, Port, Router, Topology
from novakit_net_linux import dhcp, names, routers
from novakit_net_linux.links import Leg, NamespacePlan
from novakit_net_ovs.flows import GuestVif, Segment, ServiceVif, check, program
from novakit_net_ovs.ovsdb import WantedBridgePort

MAC = dhcp.MAC
METADATA = "169.254.169.254/32"


@attrs.define(kw_only=True)
class Plan:
    """The wanted state of this host; what cannot be is in `faults` and nowhere else."""

    networks: dict[str, Network] = attrs.field(factory=dict)
    ports: dict[str, Port] = attrs.field(factory=dict)
    groups: dict[str, tuple[str, ...]] = attrs.field(factory=dict)
    """Members of the groups that rules of ports name, by the group's id."""
    routers: dict[str, Router] = attrs.field(factory=dict)
    bridge_ports: dict[str, WantedBridgePort] = attrs.field(factory=dict)
    zones: dict[str, int] = attrs.field(factory=dict)
    """By network id."""
    uplinks: dict[str, str] = attrs.field(factory=dict)
    """By network id, the bridge of its physical network."""
    outside: dict[str, str] = attrs.field(factory=dict)
    """By such a bridge, the address with prefix that this host may have there."""
    faults: dict[str, str] = attrs.field(factory=dict)

    def dhcp_networks(self) -> list[Network]:
        """The networks this host serves DHCP and metadata for."""
        return [network for network in self.networks.values() if network.dhcp]

    def drop(self, owner: str, why: str) -> None:
        """Give up one port, network service or router and keep the rest."""
        self.faults.setdefault(owner, why)
        self.ports.pop(owner, None)
        self.routers.pop(owner, None)
        if owner in self.networks:
            self.networks[owner] = attrs.evolve(self.networks[owner], dhcp=None)
        self.bridge_ports = {
            name: bridge_port for name, bridge_port in self.bridge_ports.items() if bridge_port.owner != owner
        }

    def joined(self, groups: Iterable[AddressGroup]) -> "Plan | None":
        """This plan with other members of groups; None where a port cannot be filtered by them."""
        members = {group.id: group.members for group in groups}
        try:
            for port in self.ports.values():
                check(port, members)
        except (ValueError, TypeError):
            return None
        return attrs.evolve(self, groups=members)

    def dhcp_namespace(self, network: Network) -> NamespacePlan:
        """The namespace of a network's DHCP and metadata service."""
        assert network.dhcp is not None
        prefixes = {subnet.id: ipaddress.ip_network(subnet.cidr).prefixlen for subnet in network.subnets}
        addresses = [f"{address.ip}/{prefixes[address.subnet_id]}" for address in network.dhcp.addresses]
        device = names.device(names.DHCP, network.dhcp.id)
        leg = Leg(device=device, mtu=network.mtu, addresses=(*addresses, METADATA))
        return NamespacePlan(name=names.dhcp_namespace(network.id), legs=(leg,))

    def router_namespace(self, router: Router) -> NamespacePlan:
        """The namespace of a router."""
        return routers.namespace_of(router, {network.id: network.mtu for network in self.networks.values()})

    def namespaces(self) -> list[NamespacePlan]:
        """Every namespace."""
        return [self.dhcp_namespace(network) for network in self.dhcp_networks()] + [
            self.router_namespace(router) for router in self.routers.values()
        ]

    def flows(self, ofports: Mapping[str, int], integration: str) -> list[str]:
        """The flow program, for bridge ports that have these port numbers in the switch."""
        segments = (self._segment(network, ofports, integration) for network in self.networks.values())
        return program(segments, self.groups)

    def _segment(self, network: Network, ofports: Mapping[str, int], integration: str) -> Segment:
        bridge = self.uplinks.get(network.id)
        here = [bridge_port for bridge_port in self.bridge_ports.values() if bridge_port.name in ofports]
        services = set(self._service_ports(network))
        return Segment(
            zone=self.zones[network.id],
            guests=tuple(
                GuestVif(ofport=ofports[names.tap(port.id)], port=port)
                for port in self.ports.values()
                if port.network_id == network.id and names.tap(port.id) in ofports
            ),
            services=tuple(
                ServiceVif(ofport=ofports[bridge_port.name], mac=bridge_port.mac, dhcp=bridge_port.kind == "dhcp")
                for bridge_port in here
                if bridge_port.internal and bridge_port.port_id in services
            ),
            uplink=ofports.get(names.patch(integration, bridge)) if bridge else None,
        )

    def _service_ports(self, network: Network) -> Iterable[str]:
        if network.dhcp:
            yield network.dhcp.id
        for router in self.routers.values():
            yield from (leg.port_id for leg in router.interfaces if leg.network_id == network.id)
            if router.gateway and router.gateway.network_id == network.id:
                yield router.gateway.port_id


def make(topology: Topology, bridges: Mapping[str, str]) -> Plan:
    """Compute the plan; `bridges` maps physical networks to bridges."""
    plan = Plan(groups={group.id: group.members for group in topology.groups})
    for network in topology.networks:
        _try(plan, network.id, lambda network=network: _network(plan, network, bridges))  # type: ignore[misc]
    plan.zones = _zones(plan.networks.values())
    for port in topology.ports:
        _try(plan, port.id, lambda port=port: _port(plan, port))  # type: ignore[misc]
    for router in topology.routers:
        _try(plan, router.id, lambda router=router: _router(plan, router))  # type: ignore[misc]
    return plan


def _try(plan: Plan, owner: str, step: Callable[[], None]) -> None:
    try:
        step()
    except (ValueError, TypeError) as error:
        plan.drop(owner, str(error))


def _network(plan: Plan, network: Network, bridges: Mapping[str, str]) -> None:
    for subnet in network.subnets:
        ipaddress.ip_network(subnet.cidr)
    bridge = None
    if network.physical_network is not None:
        bridge = bridges.get(network.physical_network)
        if bridge is None:
            raise ValueError(
                f"the physical network {network.physical_network} has no bridge on this host: add it to bridge_mappings"
            )
        if bridge in plan.uplinks.values():
            raise ValueError(f"the bridge {bridge} already carries another network")
    plan.networks[network.id] = network
    if bridge is not None:
        plan.uplinks[network.id] = bridge
        for subnet in network.subnets:
            if subnet.gateway_ip and ":" not in subnet.gateway_ip and bridge not in plan.outside:
                plan.outside[bridge] = f"{subnet.gateway_ip}/{ipaddress.ip_network(subnet.cidr).prefixlen}"
    if network.dhcp:
        _try(plan, network.id, lambda: _service(plan, network))


def _service(plan: Plan, network: Network) -> None:
    """What makes no sense here costs the network its DHCP and metadata service, not its ports."""
    server = network.dhcp
    assert server is not None
    known = {subnet.id for subnet in network.subnets}
    if not {address.subnet_id for address in server.addresses} <= known:
        raise ValueError("the DHCP port has an address on a subnet that the network does not have")
    for leg in plan.dhcp_namespace(network).legs:
        for address in leg.addresses:
            ipaddress.ip_interface(address)
    good = []
    for lease in network.leases:
        try:
            dhcp.check(lease)
        except ValueError as error:
            plan.faults[lease.port_id] = f"it gets no DHCP lease: {error}"
        else:
            good.append(lease)
    network = plan.networks[network.id] = attrs.evolve(network, leases=tuple(good))
    dhcp.render(network, names.DHCP, 0)
    _add_bridge_port(plan, names.DHCP, "dhcp", network.id, server.id, server.mac, network.mtu)


def _port(plan: Plan, port: Port) -> None:
    network = _known(plan, port.network_id)
    check(port, plan.groups)
    _add_bridge_port(plan, names.TAP, "tap", port.id, port.id, port.mac, network.mtu)
    plan.ports[port.id] = port


def _router(plan: Plan, router: Router) -> None:
    gateway = router.gateway
    for leg in router.interfaces:
        _known(plan, leg.network_id)
    if gateway:
        _known(plan, gateway.network_id)
    for floating in router.floating_ips:
        ipaddress.IPv4Address(floating.address), ipaddress.IPv4Address(floating.fixed_ip)
    for leg in (*router.interfaces, *([gateway] if gateway else ())):
        for address in leg.addresses:
            ipaddress.ip_interface(address)
    for dst, via in router.routes:
        ipaddress.ip_network(dst), ipaddress.ip_address(via)
    for leg in router.interfaces:
        mtu = plan.networks[leg.network_id].mtu
        _add_bridge_port(plan, names.ROUTER, "router", router.id, leg.port_id, leg.mac, mtu)
    if gateway:
        mtu = plan.networks[gateway.network_id].mtu
        _add_bridge_port(plan, names.GATEWAY, "gateway", router.id, gateway.port_id, gateway.mac, mtu)
    plan.routers[router.id] = router


def _known(plan: Plan, network_id: str) -> Network:
    if network_id not in plan.networks:
        why = plan.faults.get(network_id, "the network is not in the topology")
        raise ValueError(f"its network {network_id} cannot be made here: {why}")
    return plan.networks[network_id]


def _add_bridge_port(plan: Plan, prefix: str, kind: str, owner: str, port_id: str, mac: str, mtu: int) -> None:
    name = names.device(prefix, port_id)
    if name in plan.bridge_ports:
        raise ValueError(f"the device name {name} is taken by port {plan.bridge_ports[name].port_id}")
    if not MAC.fullmatch(mac):
        raise ValueError(f"{mac!r} is not a MAC address")
    if not 68 <= mtu <= 65521:
        raise ValueError(f"an MTU of {mtu} is not possible; it has to be between 68 and 65521")
    plan.bridge_ports[name] = WantedBridgePort(
        name=name, kind=kind, owner=owner, port_id=port_id, mac=mac.lower(), mtu=mtu
    )


def _zones(networks: Iterable[Network]) -> dict[str, int]:
    """Number the networks: the same number for the same segment, whatever else is there, collisions aside."""
    taken: dict[int, str] = {}
    for network in sorted(networks, key=lambda network: (network.segment, network.id)):
        zone = (network.segment - 1) % 65535 + 1
        while zone in taken:
            zone = zone % 65535 + 1
        taken[zone] = network.id
    return {network_id: zone for zone, network_id in taken.items()}
