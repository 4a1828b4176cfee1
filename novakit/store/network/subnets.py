"""Subnets of networks."""

from collections.abc import Collection
from typing import ClassVar

import attrs
import sqlalchemy as sa

from novakit.store.engine import Session, Values
from novakit.store.network.networks import StoredNetwork, networks
from novakit.store.network.rows import Condition, StoredResource, made, owned_by, standard_columns
from novakit.store.schema import metadata, uuid_column

subnets = sa.Table(
    "subnets",
    metadata,
    *standard_columns(),
    uuid_column("network_id", sa.ForeignKey("networks.id"), nullable=False, index=True),
    sa.Column("cidr", sa.String(64), nullable=False),
    sa.Column("gateway_ip", sa.String(45)),
    sa.Column("dhcp", sa.Boolean, nullable=False, default=True),
    sa.Column("dns_servers", sa.JSON, nullable=False),
    sa.Column("host_routes", sa.JSON, nullable=False),
    sa.Column("pools", sa.JSON, nullable=False),
    sa.Column("cursor", sa.BigInteger, nullable=False, default=0),
)
"""`pools` are pairs of first and last address as numbers; `cursor` is where the search for a free one goes on.

`host_routes` are pairs of destination and next hop.
"""


@attrs.frozen
class StoredSubnet(StoredResource):
    """A row of `subnets`."""

    table: ClassVar[sa.Table] = subnets
    network_id: str
    cidr: str
    gateway_ip: str | None
    dhcp: bool
    dns_servers: list[str]
    host_routes: list[tuple[str, str]]
    pools: list[tuple[int, int]]
    cursor: int


def seen_by(project_id: str | None) -> list[Condition]:
    """Make the condition that keeps to what a project may see: its own, and those of shared networks; None keeps all.

    Of an external network others see the network alone: how it is cut into subnets is its owner's business.
    """
    own = owned_by(subnets, project_id)
    return [own[0] | subnets.c.network_id.in_(sa.select(networks.c.id).where(networks.c.shared))] if own else []


async def usable_networks(
    session: Session, project_id: str | None, only: Collection[str] | None = None
) -> list[tuple[StoredNetwork, int]]:
    """Fetch the networks that a project may use: own, shared and external ones, each with its number of subnets."""
    if only is None:
        return await _with_subnet_count(session, _USABLE, {"project": project_id})
    return await _with_subnet_count(session, _USABLE_AMONG, {"project": project_id, "networks": list(only)})


async def any_network(session: Session, network_id: str) -> list[tuple[StoredNetwork, int]]:
    """Fetch a network, whoever may use it, with its number of subnets."""
    return await _with_subnet_count(session, _WITH_SUBNET_COUNT.where(networks.c.id == network_id), {})


_WITH_SUBNET_COUNT = sa.select(
    networks,
    sa.select(sa.func.count())
    .select_from(subnets)
    .where(subnets.c.network_id == networks.c.id)
    .scalar_subquery()
    .label("subnet_count"),
).order_by(networks.c.created_at, networks.c.id)
_USABLE = _WITH_SUBNET_COUNT.where(
    (networks.c.project_id == sa.bindparam("project")) | networks.c.shared | networks.c.external
)
_USABLE_AMONG = _USABLE.where(networks.c.id.in_(sa.bindparam("networks", expanding=True)))


async def _with_subnet_count(
    session: Session, statement: sa.Select[*tuple[object, ...]], values: Values
) -> list[tuple[StoredNetwork, int]]:
    """Fetch networks, each with its number of subnets; the oldest first."""
    return [(made(StoredNetwork, row[:-1]), row[-1]) for row in await session.execute(statement, values)]


_WITH_SUBNETS = (
    sa.select(networks, subnets)
    .outerjoin(subnets, subnets.c.network_id == networks.c.id)
    .where(networks.c.id.in_(sa.bindparam("networks", expanding=True)))
    .order_by(networks.c.created_at, networks.c.id, subnets.c.created_at, subnets.c.id)
)


async def with_subnets(
    session: Session, network_ids: Collection[str]
) -> list[tuple[StoredNetwork, list[StoredSubnet]]]:
    """Fetch networks with their subnets, the oldest first; one statement."""
    width = len(networks.c)
    found: dict[str, tuple[StoredNetwork, list[StoredSubnet]]] = {}
    for row in await session.rows(_WITH_SUBNETS, {"networks": list(network_ids)}):
        if row[0] not in found:
            found[row[0]] = (made(StoredNetwork, row[:width]), [])
        if row[width] is not None:
            found[row[0]][1].append(made(StoredSubnet, row[width:]))
    return list(found.values())


_LOCK = (
    sa.select(subnets, networks.c.port_security)
    .join(networks, networks.c.id == subnets.c.network_id)
    .where(subnets.c.network_id.in_(sa.bindparam("networks", expanding=True)))
    .order_by(subnets.c.created_at, subnets.c.id)
)


async def lock_of_networks(session: Session, network_ids: Collection[str]) -> list[tuple[StoredSubnet, bool]]:
    """Fetch the subnets of networks and keep other writers off them.

    Beside each stands whether new ports on its network are filtered.
    """
    found = [tuple(row.values()) for row in await session.lock(_LOCK, {"networks": list(network_ids)})]
    return [(made(StoredSubnet, row[:-1]), bool(row[-1])) for row in found]
