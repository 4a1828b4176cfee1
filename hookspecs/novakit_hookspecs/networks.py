"""Network drivers: what wires guests on a host.

The core hands a driver the whole desired state of its host, a `Topology`, again after every change.
The driver makes the host equal to it and removes whatever of its own is not in it, so a crash, a restart and an
ordinary change are the same call.
"""

import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import attrs

from novakit_hookspecs.fields import frozen_types, mapping_field, name_field, tuple_field, uuid_field
from novakit_hookspecs.hosts import Holding, HostContext
from novakit_hookspecs.markers import hookspec

API = 1
"""The number of this interface; a plugin says for which it was written, and is refused where it speaks another."""


@attrs.frozen(kw_only=True)
class Address:
    """One IP address of a port."""

    ip: str
    """The address without a prefix length."""
    subnet_id: str = uuid_field()
    """Id of the subnet it is of."""


@attrs.frozen(kw_only=True)
class Subnet:
    """A range of addresses on a network."""

    id: str = uuid_field()
    """Id in the network service."""
    cidr: str
    """The range, such as 10.0.0.0/24."""
    gateway_ip: str | None = None
    """The default gateway of guests; None for none."""
    dhcp: bool = True
    """Whether guests are told their addresses by DHCP."""
    dns_servers: tuple[str, ...] = tuple_field()
    """Addresses of the DNS resolvers that guests are told."""
    host_routes: tuple[tuple[str, str], ...] = tuple_field()
    """Pairs of destination CIDR and next hop."""


@attrs.frozen(kw_only=True)
class Lease:
    """What the DHCP server answers to one NIC, on whichever host its guest runs."""

    port_id: str = uuid_field()
    """Id of the port."""
    mac: str
    """MAC address of the NIC that asks."""
    ip: str
    """The address that it is given."""
    hostname: str
    """The host name that it is given."""


@attrs.frozen(kw_only=True)
class DhcpPort:
    """The port of a network's DHCP and metadata service on this host."""

    id: str = uuid_field()
    """Id of the port."""
    mac: str
    """Its MAC address."""
    addresses: tuple[Address, ...] = tuple_field()
    """Where the service answers."""


@attrs.frozen(kw_only=True)
class Network:
    """A layer-2 segment that has a port, a router or a DHCP service on this host."""

    id: str = uuid_field()
    """Id in the network service."""
    segment: int
    """Unique number of the segment in the cloud, 1 to 16,777,215 (the VNI of an overlay)."""
    mtu: int
    """Bytes of the largest packet that guests may send."""
    subnets: tuple[Subnet, ...] = tuple_field()
    """Its ranges of addresses."""
    dhcp: DhcpPort | None = None
    """Set when this host serves DHCP and metadata for the network."""
    leases: tuple[Lease, ...] = tuple_field()
    """Every port of the network, so that the DHCP service knows them all."""
    physical_network: str | None = None
    """Name of the provider network it maps to (`public`), or None for a tenant network."""


@attrs.frozen(kw_only=True)
class AddressGroup:
    """Addresses that rules name together: those of the members of a security group."""

    id: str = uuid_field()
    """Id of the security group in the network service."""
    members: tuple[str, ...] = tuple_field()
    """CIDRs of both IP versions; none where the group has no member."""


def _names_others(rule: "Rule", field: "attrs.Attribute[str | None]", group: str | None) -> None:
    if group is not None and rule.remotes is None:
        # Who knows nothing of groups reads the rule without them, and must not let in anybody.
        raise ValueError("a rule with a remote_group needs remotes, which may be empty: None is anybody")


@attrs.frozen(kw_only=True)
class Rule:
    """One thing a security group lets through; what no rule lets through is dropped."""

    direction: str = attrs.field(validator=attrs.validators.in_(("ingress", "egress")))
    """`ingress` is towards the guest, `egress` from it."""
    ethertype: str = attrs.field(validator=attrs.validators.in_(("IPv4", "IPv6")))
    """IPv4 or IPv6."""
    protocol: int | None = None
    """IP protocol number; None is any."""
    port_min: int | None = None
    """First port, or the ICMP type."""
    port_max: int | None = None
    """Last port, or the ICMP code."""
    remotes: tuple[str, ...] | None = None
    """CIDRs of the other side; None is anybody, empty is nobody besides the remote group."""
    remote_group: str | None = attrs.field(default=None, validator=_names_others)
    """Id of a group of the same topology; those of its members that are of the ethertype are the other side, too."""


@attrs.frozen(kw_only=True)
class Port:
    """A port of a guest on this host: its identity, and what it may send and receive."""

    id: str = uuid_field()
    """Id in the network service."""
    network_id: str = uuid_field()
    """Id of a network of the same topology."""
    server_id: str = uuid_field()
    """Id of the guest it belongs to."""
    mac: str
    """The MAC address it may send from."""
    addresses: tuple[Address, ...] = tuple_field()
    """The addresses it may send from."""
    allowed_pairs: tuple[tuple[str, str], ...] = tuple_field()
    """Further pairs of MAC and IP or CIDR it may send from."""
    port_security: bool = True
    """False lets everything through, spoofed packets too."""
    admin_up: bool = True
    """False lets nothing through."""
    rules: tuple[Rule, ...] = tuple_field()
    """What may come in and go out; the same tuple is shared by ports with the same groups."""


@attrs.frozen(kw_only=True)
class FloatingIp:
    """An address of the external network that leads to a port's fixed address."""

    id: str = uuid_field()
    """Id in the network service."""
    address: str
    """The address in the external network."""
    fixed_ip: str
    """The guest's own address that it leads to."""


@attrs.frozen(kw_only=True)
class RouterInterface:
    """A router's leg in a tenant network."""

    port_id: str = uuid_field()
    """Id of the router's port."""
    network_id: str = uuid_field()
    """Id of a network of the same topology."""
    mac: str
    """Its MAC address."""
    addresses: tuple[str, ...] = tuple_field()
    """With prefix length: 10.0.0.1/24."""


@attrs.frozen(kw_only=True)
class Gateway:
    """A router's leg in the external network."""

    port_id: str = uuid_field()
    """Id of the router's port."""
    network_id: str = uuid_field()
    """Id of the external network."""
    mac: str
    """Its MAC address."""
    addresses: tuple[str, ...] = tuple_field()
    """With prefix length."""
    next_hops: tuple[str, ...] = tuple_field()
    """The router's own default gateways, IPv4 and IPv6."""
    snat: bool = True
    """Whether guests without a floating IP reach the outside by the router's address."""


@attrs.frozen(kw_only=True)
class Router:
    """A router that this host runs."""

    id: str = uuid_field()
    """Id in the network service."""
    interfaces: tuple[RouterInterface, ...] = tuple_field()
    """Its legs in tenant networks."""
    gateway: Gateway | None = None
    """Its leg in an external network; None without one."""
    floating_ips: tuple[FloatingIp, ...] = tuple_field()
    """The floating IPs that it serves."""
    routes: tuple[tuple[str, str], ...] = tuple_field()
    """Pairs of destination CIDR and next hop."""


@attrs.frozen(kw_only=True)
class Topology:
    """The whole desired state of one host."""

    revision: int
    """Grows with every change of the host's wanted state; a driver ignores one that is lower than the last applied."""
    networks: tuple[Network, ...] = tuple_field()
    """Every network with something on this host."""
    ports: tuple[Port, ...] = tuple_field()
    """Every guest's port on this host."""
    routers: tuple[Router, ...] = tuple_field()
    """Every router that this host runs."""
    groups: tuple[AddressGroup, ...] = tuple_field()
    """Every group that a rule of its ports names; where only members come and go, all else is the same objects."""


@attrs.frozen(kw_only=True)
class Vif:
    """How a virt driver reaches a port."""

    device: str
    """Name of a persistent tap device, which exists before the guest starts and after it stops."""
    mtu: int
    """Bytes of the largest packet."""


@attrs.frozen(kw_only=True)
class Applied:
    """What became of a topology."""

    revision: int
    """The revision that the host has now."""
    vifs: Mapping[str, Vif] = mapping_field()
    """By port id: every port that is wired and filtered now."""
    faults: Mapping[str, str] = mapping_field()
    """By id of the port, network or router that could not be made: a sentence why."""


class NetworkDriver(Protocol):
    """What every network driver can do; everything else is a facet.

    `apply` is the only call that changes anything. It may be repeated and it may be killed at any point: the next one
    completes what is missing.
    """

    async def open(self) -> None:
        """Get ready. Raises Refused with a remedy when the host lacks something."""

    async def close(self) -> None:
        """Free what the driver itself holds; everything that is wired stays wired."""

    async def apply(self, topology: Topology) -> Applied:
        """Make the host equal to the topology, and remove what is the driver's own and not in it.

        A port's rules are in force before anything can reach it. Connections that no rule allows any more are cut.
        A rule lets through the members that its group has now; one whose group is not there is a fault of its port.
        What cannot be made (one port, network or router) is in `faults` with a sentence why, and the rest is made.
        A record that is the same object as at the last call is as it was; another object may be equal to it.
        Raises Busy when the host's network cannot be changed now; the core asks again.
        """


@runtime_checkable
class ServesMetadata(Protocol):
    """Facet: lets guests reach 169.254.169.254 and says from which network a request came."""

    async def metadata_sockets(self) -> Mapping[str, socket.socket]:
        """Return, by network id, a listening TCP socket that only that network's guests can reach.

        The peer's address of a connection is the guest's fixed IP, which anti-spoofing guarantees.
        A socket that still works is the same object at every call.
        """


@runtime_checkable
class ListsHoldings(Protocol):
    """Facet: can say what it keeps on the host, for `novakit audit`."""

    async def holdings(self) -> Sequence[Holding]:
        """List every tap, namespace, process and lease of ours with the port, network or router it belongs to."""


@attrs.frozen(kw_only=True)
class Abandoned:
    """What somebody who is not on this host any more has left of a driver's kind."""

    owner: str
    """Whose it was: the `HostContext.state_dir` that it is marked with; its own name where nothing says whose it is."""
    things: tuple[Holding, ...] = tuple_field()
    """What there is of it; an owner of a thing is empty where nobody knows what it belonged to."""
    in_use: str = ""
    """What uses some of it still, so that nobody removes it, and what to do; empty where nothing does."""


@runtime_checkable
class RemovesAbandoned(Protocol):
    """Facet: can say what deployments that are lost have left on the host, and remove it when an operator says so.

    Nothing is abandoned that is the driver's own, or of a state directory that somebody on this machine still sees.
    """

    async def abandoned(self) -> Sequence[Abandoned]:
        """List it by owner; changes nothing. Raises Refused where nobody can be known to be lost."""

    async def remove_abandoned(self, owner: str) -> None:
        """Remove all that one owner has left.

        Raises NotFound for an owner who has left nothing now, and Refused for one of whom something is in use.
        """


VIF_TYPES = ("bridge", "hyperv", "ovs", "phy", "tap", "vhostuser")
"""The types of the public network API that what configures a guest (cloud-init) knows, too."""


@attrs.frozen(kw_only=True)
class VifBinding:
    """What clients and guests read about ports that a driver wires."""

    vif_type: str = attrs.field(default="tap", validator=attrs.validators.in_(VIF_TYPES))
    """`binding:vif_type` of the network API, and the type of the link that a guest reads in its metadata."""
    port_filter: bool = True
    """Whether security groups are enforced where the port is: `port_filter` of `binding:vif_details`."""


@attrs.frozen(kw_only=True)
class NetworkSpec:
    """A network driver on offer."""

    name: str = name_field()
    """What `--network` says; lower case, digits and underscores."""
    api: int
    """Number of this interface: 1."""
    build: Callable[[Any, HostContext], NetworkDriver]
    """Called with the filled options (None without `options`) and the host's context."""
    options: type | None = None
    """An attrs class; the core fills and checks it from `[networks.<name>]`."""
    facets: frozenset[type] = attrs.field(factory=frozenset, converter=frozen_types)
    """Optional abilities that the driver has, as the protocols of this module."""
    binding: VifBinding = attrs.field(factory=VifBinding, validator=attrs.validators.instance_of(VifBinding))
    """What clients and guests read about the ports it wires."""


@hookspec
def novakit_networks() -> Iterable[NetworkSpec]:  # type: ignore[empty-body]
    """Offer network drivers."""
