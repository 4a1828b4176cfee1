"""What the compute service and the network service tell each other."""

from collections.abc import Iterable

import attrs

from novakit_hookspecs.fields import tuple_field
from novakit_hookspecs.networks import Subnet


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)


@attrs.frozen(kw_only=True)
class Requested:
    """One card a new server is to have, as resolved when the server was asked for.

    Plain data: `attrs.asdict` and `Requested(**data)` carry it through the database.
    """

    network_id: str
    fixed_ip: str | None = None
    port_id: str | None = None
    """An existing port to adopt, which outlives the server."""
    tag: str | None = None
    groups: tuple[str, ...] = attrs.field(default=(), converter=_texts)
    """Ids of the security groups of a port that is made."""


def _cards(values: Iterable[Requested]) -> tuple[Requested, ...]:
    return tuple(values)


@attrs.frozen(kw_only=True)
class NicRequest:
    """The cards one server is to have."""

    server_id: str
    project_id: str
    hostname: str
    requested: tuple[Requested, ...] = attrs.field(converter=_cards)


@attrs.frozen(kw_only=True)
class Fixed:
    """One address of a server's card."""

    ip: str
    subnet: Subnet
    floating_ips: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class PortInfo:
    """One card of a server: what clients see under `addresses`, and what the guest is told."""

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
