"""Ports, their addresses and their security groups."""

from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar, TypedDict, TypeGuard

import attrs
import sqlalchemy as sa

from novakit.store.engine import Session
from novakit.store.network.floating_ips import floating_ips
from novakit.store.network.hosts import network_hosts
from novakit.store.network.networks import networks
from novakit.store.network.rows import Condition, StoredResource, StoredRow, owned_by, records, standard_columns
from novakit.store.network.security_groups import security_groups
from novakit.store.network.subnets import StoredSubnet, subnets
from novakit.store.schema import JsonRows, metadata, uuid_column

ports = sa.Table(
    "ports",
    metadata,
    *standard_columns(),
    uuid_column("network_id", sa.ForeignKey("networks.id"), nullable=False, index=True),
    sa.Column("mac", sa.String(17), nullable=False),
    sa.Column("admin_state_up", sa.Boolean, nullable=False, default=True),
    sa.Column("status", sa.String(16), nullable=False, default="DOWN"),
    sa.Column("fault", sa.Text),
    sa.Column("device_id", sa.String(255), nullable=False, default="", index=True),
    sa.Column("device_owner", sa.String(255), nullable=False, default=""),
    uuid_column("server_id", index=True),
    sa.Column("made", sa.Boolean, nullable=False, default=False),
    sa.Column("position", sa.Integer, nullable=False, default=0),
    sa.Column("nic_tag", sa.String(60)),
    sa.Column("hostname", sa.String(255), nullable=False, default=""),
    sa.Column("host", sa.String(255), index=True),
    sa.Column("vnic_type", sa.String(32), nullable=False, default="normal"),
    sa.Column("profile", sa.JSON, nullable=False),
    sa.Column("port_security", sa.Boolean, nullable=False, default=True),
    sa.Column("allowed_pairs", sa.JSON, nullable=False),
    sa.UniqueConstraint("network_id", "mac", name="uq_ports_mac"),
)
"""`server_id` is set by the compute service alone; `device_id` is what a client may write.

`made` says that the port was made for its server and goes with it; `position` orders the NICs of a server.
"""


@attrs.frozen
class StoredPort(StoredResource):
    """A row of `ports`."""

    table: ClassVar[sa.Table] = ports
    network_id: str
    mac: str
    admin_state_up: bool
    status: str
    fault: str | None
    device_id: str
    device_owner: str
    server_id: str | None
    made: bool
    position: int
    nic_tag: str | None
    hostname: str
    host: str | None
    vnic_type: str
    profile: Mapping[str, object]
    port_security: bool
    allowed_pairs: list[tuple[str, str]]


addresses = sa.Table(
    "port_addresses",
    metadata,
    uuid_column("subnet_id", sa.ForeignKey("subnets.id"), primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    uuid_column("port_id", sa.ForeignKey("ports.id", ondelete="CASCADE"), nullable=False, index=True),
)
"""Every address in use; the key makes that no two ports have the same one."""


@attrs.frozen
class StoredAddress(StoredRow):
    """A row of `port_addresses`."""

    table: ClassVar[sa.Table] = addresses
    subnet_id: str
    number: int
    port_id: str


port_groups = sa.Table(
    "port_security_groups",
    metadata,
    uuid_column("port_id", sa.ForeignKey("ports.id", ondelete="CASCADE"), primary_key=True),
    uuid_column("group_id", sa.ForeignKey("security_groups.id"), primary_key=True, index=True),
)


@attrs.frozen
class PortInGroup(StoredRow):
    """A row of `port_security_groups`."""

    table: ClassVar[sa.Table] = port_groups
    port_id: str
    group_id: str


def seen_by(project_id: str | None) -> list[Condition]:
    """Make the condition that keeps to what a project owns; None keeps everything."""
    return owned_by(ports, project_id)


_USED = sa.select(addresses.c.number).where(
    addresses.c.subnet_id == sa.bindparam("subnet"),
    addresses.c.number.between(sa.bindparam("first"), sa.bindparam("last")),
)
_SET_CURSOR = sa.update(subnets).where(subnets.c.id == sa.bindparam("subnet")).values(cursor=sa.bindparam("number"))


async def used_numbers(session: Session, subnet_id: str, first: int, last: int) -> set[int]:
    """List the addresses in use between two, as numbers."""
    return set(await session.scalars(_USED, {"subnet": subnet_id, "first": first, "last": last}))


async def set_cursor(session: Session, subnet_id: str, number: int) -> None:
    """Remember where the search for a free address goes on."""
    await session.execute(_SET_CURSOR, {"subnet": subnet_id, "number": number})


FEW = 100
"""Servers or ports up to which a parameter for each costs less than one for all: as many as are made at once."""
_PORTS: sa.BindParameter[object] = sa.bindparam("ports", expanding=True)
_ADDRESSES_OF_PORTS = sa.select(addresses).order_by(addresses.c.number)
_ADDRESSES_OF_FEW_PORTS = _ADDRESSES_OF_PORTS.where(addresses.c.port_id.in_(_PORTS))
_GROUPS_OF_PORTS = sa.select(port_groups).order_by(port_groups.c.group_id)
_GROUPS_OF_FEW_PORTS = _GROUPS_OF_PORTS.where(port_groups.c.port_id.in_(_PORTS))


async def addresses_of(session: Session, port_ids: Collection[str]) -> list[StoredAddress]:
    """Fetch the addresses of ports."""
    if not port_ids:
        return []
    if len(port_ids) <= FEW:
        return await records(session, StoredAddress, _ADDRESSES_OF_FEW_PORTS, {"ports": list(port_ids)})
    statement = _ADDRESSES_OF_PORTS.where(session.among(addresses.c.port_id, port_ids))
    return await records(session, StoredAddress, statement)


async def groups_of(session: Session, port_ids: Collection[str]) -> list[PortInGroup]:
    """Fetch the pairs of port and security group."""
    if not port_ids:
        return []
    if len(port_ids) <= FEW:
        return await records(session, PortInGroup, _GROUPS_OF_FEW_PORTS, {"ports": list(port_ids)})
    statement = _GROUPS_OF_PORTS.where(session.among(port_groups.c.port_id, port_ids))
    return await records(session, PortInGroup, statement)


AddressOfServer = tuple[str, str, str, str, int | None, str | None, Sequence[tuple[str, str]] | None]
"""Ids of port and server, MAC, name of the network, address as a number, floating IP, ids and names of the groups."""

SHOWN = ("id", "server_id", "project_id", "network_id", "mac", "status", "fault", "host", "nic_tag", "made")
"""Columns of a port that its server is told of."""


_GROUPS = (
    sa.select(JsonRows(security_groups.c.id, security_groups.c.name))
    .select_from(port_groups.join(security_groups, security_groups.c.id == port_groups.c.group_id))
    .where(port_groups.c.port_id == ports.c.id)
    .correlate(ports)
    .scalar_subquery()
    .label("security_groups")
)
"""Id and name of each security group of a port."""
_OF_SERVERS = ports.c.server_id.in_(sa.bindparam("servers", expanding=True))
_SERVER_PORTS = (
    sa.select(
        *(ports.c[name] for name in SHOWN),
        networks.c.name.label("network_name"),
        networks.c.mtu,
        addresses.c.subnet_id,
        addresses.c.number,
        subnets.c.cidr,
        subnets.c.gateway_ip,
        subnets.c.dhcp,
        sa.cast(subnets.c.dns_servers, sa.Text).label("dns_servers"),
        sa.cast(subnets.c.host_routes, sa.Text).label("host_routes"),
        floating_ips.c.address.label("floating_ip"),
        network_hosts.c.vif_type,
        _GROUPS,
    )
    .join(networks, networks.c.id == ports.c.network_id)
    .outerjoin(addresses, addresses.c.port_id == ports.c.id)
    .outerjoin(subnets, subnets.c.id == addresses.c.subnet_id)
    .outerjoin(
        floating_ips, (floating_ips.c.port_id == ports.c.id) & (floating_ips.c.fixed_number == addresses.c.number)
    )
    .outerjoin(network_hosts, network_hosts.c.host == ports.c.host)
    .order_by(ports.c.position, ports.c.created_at, ports.c.id, addresses.c.number)
)
_PORTS_OF_FEW = _SERVER_PORTS.where(_OF_SERVERS)
_SERVER_GROUPS = (
    sa.select(port_groups.c.port_id, security_groups.c.id, security_groups.c.name)
    .join(ports, ports.c.id == port_groups.c.port_id)
    .join(security_groups, security_groups.c.id == port_groups.c.group_id)
    .order_by(security_groups.c.name)
)
_GROUPS_OF_FEW = _SERVER_GROUPS.where(_OF_SERVERS)


class _OfServer(TypedDict):
    id: str
    server_id: str
    project_id: str
    network_id: str
    mac: str
    status: str
    fault: str | None
    host: str | None
    nic_tag: str | None
    made: bool
    network_name: str
    mtu: int
    floating_ip: str | None
    vif_type: str | None
    security_groups: list[tuple[str, str]] | None
    """Ids and names."""


class PortOfServer(_OfServer):
    """A port of a server with one of its addresses, or bare where it has none."""

    subnet_id: str | None
    number: int | None
    cidr: str | None
    gateway_ip: str | None
    dhcp: bool | None
    dns_servers: str | None
    host_routes: str | None


class AddressOfPort(_OfServer):
    """A port of a server with one of its addresses, as a number, and the subnet of that; lists are JSON text."""

    subnet_id: str
    number: int
    cidr: str
    gateway_ip: str | None
    dhcp: bool
    dns_servers: str
    host_routes: str


def has_address(row: PortOfServer) -> TypeGuard[AddressOfPort]:
    """Return whether a row is of an address, and not of a port that has none."""
    return row["subnet_id"] is not None


async def server_ports(session: Session, server_ids: Sequence[str]) -> list[PortOfServer]:
    """Fetch the ports of servers, a row for each address, with network, subnet, floating IP and security groups.

    The subnet's lists come as JSON text: a thousand ports share a few subnets, and reading the text for each of them
    costs as much as the query.
    """
    if len(server_ids) <= FEW:
        return await session.all(_PORTS_OF_FEW, {"servers": list(server_ids)}, of=PortOfServer)
    return await session.all(_SERVER_PORTS.where(session.among(ports.c.server_id, server_ids)), of=PortOfServer)


_SERVER_ADDRESSES = (
    sa.select(
        *(ports.c[name] for name in ("id", "server_id", "mac")),
        networks.c.name,
        addresses.c.number,
        floating_ips.c.address,
        _GROUPS,
    )
    .join(networks, networks.c.id == ports.c.network_id)
    .outerjoin(addresses, addresses.c.port_id == ports.c.id)
    .outerjoin(
        floating_ips, (floating_ips.c.port_id == ports.c.id) & (floating_ips.c.fixed_number == addresses.c.number)
    )
    .order_by(ports.c.position, ports.c.created_at, ports.c.id, addresses.c.number)
)
_ADDRESSES_OF_FEW = _SERVER_ADDRESSES.where(_OF_SERVERS)


async def server_addresses(session: Session, server_ids: Sequence[str]) -> Sequence[AddressOfServer]:
    """Fetch what clients of servers see of their ports, a row for each address, those of one port side by side."""
    if len(server_ids) <= FEW:
        return await session.rows(_ADDRESSES_OF_FEW, {"servers": list(server_ids)})
    return await session.rows(_SERVER_ADDRESSES.where(session.among(ports.c.server_id, server_ids)))


async def server_groups(session: Session, server_ids: Sequence[str]) -> Sequence[tuple[str, str, str]]:
    """Fetch the security groups of the ports of servers: the ids of port and group, and the name of the group."""
    if len(server_ids) <= FEW:
        return await session.rows(_GROUPS_OF_FEW, {"servers": list(server_ids)})
    return await session.rows(_SERVER_GROUPS.where(session.among(ports.c.server_id, server_ids)))


async def owners(session: Session) -> dict[str, str]:
    """Return the server that has each port; ports that no server has are left out."""
    statement = sa.select(ports.c.id, ports.c.server_id).where(ports.c.server_id.is_not(None))
    return dict(await session.rows(statement))


async def first_taken(session: Session, subnet_id: str, numbers: Collection[int]) -> tuple[int, str] | None:
    """Fetch one of these addresses that a port has already, with the id of its network."""
    statement = sa.select(addresses.c.number, ports.c.network_id).join(ports, ports.c.id == addresses.c.port_id)
    found = await session.rows(
        statement.where(addresses.c.subnet_id == subnet_id, addresses.c.number.in_(list(numbers))).limit(1)
    )
    return tuple(found[0]) if found else None


async def server_at(session: Session, network_id: str, number: int) -> str | None:
    """Return which server has an address on a network."""
    found: str | None = await session.scalar(
        sa.select(ports.c.server_id)
        .join(addresses, addresses.c.port_id == ports.c.id)
        .where(ports.c.network_id == network_id, addresses.c.number == number, ports.c.server_id.is_not(None))
    )
    return found


NEEDS_DHCP = (
    subnets.c.dhcp
    & sa.select(sa.literal(1))
    .where(
        ports.c.network_id == subnets.c.network_id,
        ports.c.server_id.is_not(None) | (ports.c.device_owner == "network:router_interface"),
    )
    .exists()
)
"""Whether a subnet has DHCP, and its network a server or a router."""
_SERVED = sa.select(subnets).where(NEEDS_DHCP).order_by(subnets.c.network_id, subnets.c.created_at)


async def subnets_needing_dhcp(session: Session) -> list[StoredSubnet]:
    """Fetch the DHCP subnets of networks that have a server or a router."""
    return await records(session, StoredSubnet, _SERVED)


async def join_group(session: Session, port_ids: Collection[str], group_id: str) -> None:
    """Put ports into a security group; those that are in it stay."""
    pairs = [{"port_id": port_id, "group_id": group_id} for port_id in port_ids]
    if pairs:
        await session.execute(session.insert(port_groups).on_conflict_do_nothing(), pairs)
