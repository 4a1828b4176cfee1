"""What other services and clients tell the network service, and what it tells the compute service."""

import uuid
from collections.abc import Iterable, Sequence
from typing import Annotated, NamedTuple, TypeVar

import attrs

from novakit.left_out import LEFT_OUT, LeftOut
from novakit_hookspecs.fields import tuple_field
from novakit_hookspecs.networks import Subnet

T = TypeVar("T")
NAMESPACE = uuid.UUID("7b1f6f7e-52c5-4c0e-8f5a-5c6a2d0e8a44")


def derived_id(kind: str, key: str) -> str:
    """Make the id of a thing of which there is one for each key, so that two makers make the same."""
    return str(uuid.uuid5(NAMESPACE, f"{kind}:{key}"))


def _kept_id(text: str) -> str:
    return str(uuid.UUID(text))


Id = Annotated[str, _kept_id]
"""The id of something; capitals, and an id without dashes, are the same one."""


@attrs.frozen(kw_only=True)
class WantedAddress:
    """An address that a port is to have: any one of a subnet, a certain one, or a certain one of a subnet."""

    subnet_id: Id | LeftOut = LEFT_OUT
    ip_address: str | LeftOut = LEFT_OUT


@attrs.frozen(kw_only=True)
class AddressPair:
    """A pair of MAC and address that a port may send from besides its own; without a MAC its own is meant."""

    ip_address: str
    mac_address: str | LeftOut | None = LEFT_OUT


@attrs.frozen(kw_only=True)
class Hop:
    """A route: what is for a destination goes to the next hop."""

    destination: str
    nexthop: str


@attrs.frozen(kw_only=True)
class AddressRange:
    """A pool of addresses of a subnet, from the first to the last."""

    start: str
    end: str


@attrs.frozen(kw_only=True)
class WantedGateway:
    """How a router is to be joined to an external network."""

    network_id: Id | LeftOut | None = LEFT_OUT
    enable_snat: bool | LeftOut = LEFT_OUT
    external_fixed_ips: Sequence[WantedAddress] | LeftOut = LEFT_OUT


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)


@attrs.frozen(kw_only=True)
class Requested:
    """One NIC a new server is to have, as resolved when the server was asked for.

    Plain data: `attrs.asdict` and `Requested(**data)` carry it through the database.
    """

    network_id: str
    fixed_ip: str | None = None
    port_id: str | None = None
    """An existing port to adopt, which outlives the server."""
    tag: str | None = None
    groups: tuple[str, ...] = attrs.field(default=(), converter=_texts)
    """Ids of the security groups of a port that is made."""


def _nics(values: Iterable[Requested]) -> tuple[Requested, ...]:
    return tuple(values)


@attrs.frozen(kw_only=True)
class NicRequest:
    """The NICs one server is to have."""

    server_id: str
    project_id: str
    hostname: str
    requested: tuple[Requested, ...] = attrs.field(converter=_nics)
    host: str | None = None
    """Where its ports are to be wired; None for nowhere yet."""
    zone: str = "nova"


@attrs.frozen(kw_only=True)
class Fixed:
    """One address of a server's NIC."""

    ip: str
    subnet: Subnet
    floating_ips: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class PortInfo:
    """One NIC of a server: what clients see under `addresses`, and what the guest is told."""

    id: str
    server_id: str
    project_id: str
    network_id: str
    network_name: str
    mac: str
    mtu: int
    addresses: tuple[Fixed, ...]
    security_groups: tuple[tuple[str, str], ...]
    """Pairs of id and name."""
    status: str
    """ACTIVE when it is wired and filtered on its host, else DOWN or BUILD."""
    fault: str | None
    host: str | None
    tag: str | None
    made: bool
    """Whether it was made for the server and goes with it."""
    vif_type: str | None = None
    """How its host wires it; None while it is on no host that has told."""


class ShownAddress(NamedTuple):
    """One fixed address of a server's port, as clients of the compute API see it."""

    ip: str
    floating_ips: tuple[str, ...] = ()


class ShownPort(NamedTuple):
    """What clients of the compute API see of one port of a server; a tuple, for lists of thousands."""

    network_name: str
    mac: str
    addresses: Sequence[ShownAddress]
    security_groups: Sequence[str]
    """Names, or ids of those that have none."""


@attrs.frozen(kw_only=True)
class NotedAddress:
    """One fixed address of a port, with its subnet as it was."""

    ip: str
    subnet: Subnet


@attrs.frozen(kw_only=True)
class NotedPort:
    """One port of a server, with its network as it was."""

    id: str
    mac: str
    network_id: str
    network_name: str
    mtu: int
    addresses: tuple[NotedAddress, ...] = tuple_field()
    groups: tuple[str, ...] = tuple_field()
    tag: str | None = None
    made: bool = True
    """Whether it was made for its server and goes with it."""
