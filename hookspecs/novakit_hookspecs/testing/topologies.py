"""Draw topologies for tests: small clouds with readable addresses, changed one thing at a time."""

import uuid
from collections.abc import Sequence
from typing import Any

import attrs

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

OUT = (Rule(direction="egress", ethertype="IPv4"), Rule(direction="egress", ethertype="IPv6"))
"""What a new security group lets through: everything out."""
PING = Rule(direction="ingress", ethertype="IPv4", protocol=1)
NOWHERE = "11111111-1111-4111-8111-111111111111"


def allow_tcp(
    first: int, last: int | None = None, remotes: Sequence[str] | None = None, group: AddressGroup | None = None
) -> Rule:
    """Let TCP in to a range of ports, from everybody unless remotes or a group say from whom."""
    return Rule(
        direction="ingress",
        ethertype="IPv4",
        protocol=6,
        port_min=first,
        port_max=last or first,
        remotes=None if remotes is None and group is None else tuple(remotes or ()),
        remote_group=group.id if group else None,
    )


class Draft:
    """A topology in the making; each `topology()` is one revision further."""

    def __init__(self) -> None:
        self._revision = 0
        self._count = 0
        self.networks: dict[str, Network] = {}
        self.ports: dict[str, Port] = {}
        self.routers: dict[str, Router] = {}
        self.groups: dict[str, AddressGroup] = {}

    def topology(self) -> Topology:
        """Return what is drawn, as the next revision."""
        self._revision += 1
        return Topology(
            revision=self._revision,
            networks=tuple(self._with_leases(network) for network in self.networks.values()),
            ports=tuple(self.ports.values()),
            routers=tuple(self.routers.values()),
            groups=tuple(self.groups.values()),
        )

    def network(
        self, prefix: str = "10.1.0", *, dhcp: bool = True, physical_network: str | None = None, mtu: int = 1442
    ) -> Network:
        """Draw a network with the subnet `prefix`.0/24, its gateway at .1 and its DHCP service at .2."""
        subnet = Subnet(id=new_id(), cidr=f"{prefix}.0/24", gateway_ip=f"{prefix}.1", dns_servers=("192.0.2.53",))
        self._count += 1
        server = DhcpPort(id=new_id(), mac=self._mac(), addresses=(Address(ip=f"{prefix}.2", subnet_id=subnet.id),))
        network = Network(
            id=new_id(),
            segment=1000 + self._count,
            mtu=mtu,
            subnets=(subnet,),
            dhcp=server if dhcp else None,
            physical_network=physical_network,
        )
        self.networks[network.id] = network
        return network

    def port(
        self, network: Network, ip: str, rules: Sequence[Rule] = OUT, *, secure: bool = True, up: bool = True
    ) -> Port:
        """Draw a guest's port."""
        port = Port(
            id=new_id(),
            network_id=network.id,
            server_id=new_id(),
            mac=self._mac(),
            addresses=(Address(ip=ip, subnet_id=network.subnets[0].id if network.subnets else NOWHERE),),
            port_security=secure,
            admin_up=up,
            rules=tuple(rules),
        )
        self.ports[port.id] = port
        return port

    def change(self, port: Port, **values: Any) -> Port:
        """Redraw a port."""
        self.ports[port.id] = attrs.evolve(self.ports[port.id], **values)
        return self.ports[port.id]

    def group(self, *members: str) -> AddressGroup:
        """Draw a group of addresses, which rules can name."""
        group = AddressGroup(id=new_id(), members=members)
        self.groups[group.id] = group
        return group

    def regroup(self, group: AddressGroup, *members: str) -> None:
        """Give a group other members."""
        self.groups[group.id] = attrs.evolve(group, members=members)

    def router(
        self, networks: Sequence[Network], external: Network | None = None, address: str | None = None
    ) -> Router:
        """Draw a router at the gateway address of each network, with a leg outside if `external` is given."""
        legs = [
            RouterInterface(
                port_id=new_id(), network_id=network.id, mac=self._mac(), addresses=(f"{_gateway(network)}/24",)
            )
            for network in networks
        ]
        gateway = None
        if external is not None:
            hops = (_gateway(external),)
            gateway = Gateway(
                port_id=new_id(),
                network_id=external.id,
                mac=self._mac(),
                addresses=(f"{address}/24",),
                next_hops=hops,
            )
        router = Router(id=new_id(), interfaces=tuple(legs), gateway=gateway)
        self.routers[router.id] = router
        return router

    def float(self, router: Router, address: str, fixed_ip: str) -> FloatingIp:
        """Draw a floating address that leads to a fixed one."""
        floating = FloatingIp(id=new_id(), address=address, fixed_ip=fixed_ip)
        known = self.routers[router.id]
        self.routers[router.id] = attrs.evolve(known, floating_ips=(*known.floating_ips, floating))
        return floating

    def unfloat(self, router: Router, floating: FloatingIp) -> None:
        """Rub a floating address out."""
        known = self.routers[router.id]
        left = tuple(item for item in known.floating_ips if item != floating)
        self.routers[router.id] = attrs.evolve(known, floating_ips=left)

    def _with_leases(self, network: Network) -> Network:
        leases = tuple(
            Lease(port_id=port.id, mac=port.mac, ip=address.ip, hostname=f"guest-{port.mac[-2:]}")
            for port in self.ports.values()
            if port.network_id == network.id
            for address in port.addresses
        )
        return attrs.evolve(network, leases=leases)

    def _mac(self) -> str:
        return "fa:16:3e:" + ":".join(f"{byte:02x}" for byte in uuid.uuid4().bytes[:3])


def new_id() -> str:
    """Return an id nobody has."""
    return str(uuid.uuid4())


def _gateway(network: Network) -> str:
    gateway = network.subnets[0].gateway_ip
    assert gateway is not None
    return gateway
