"""Subnets of networks."""

from collections.abc import Collection, Sequence
from typing import ClassVar

import attrs
import sqlalchemy as sa

from novakit.store.engine import Session
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
    own = (networks.c.project_id == project_id) | networks.c.shared | networks.c.external
    conditions = [own] if only is None else [own, networks.c.id.in_(list(only))]
    return await with_subnet_count(session, conditions)


async def any_network(session: Session, network_id: str) -> list[tuple[StoredNetwork, int]]:
    """Fetch a network, whoever may use it, with its number of subnets."""
    return await with_subnet_count(session, [networks.c.id == network_id])


async def with_subnet_count(session: Session, conditions: Sequence[Condition]) -> list[tuple[StoredNetwork, int]]:
    """Fetch the networks that meet conditions, each with its number of subnets; the oldest first."""
    subnet_count = (
        sa.select(sa.func.count())
        .select_from(subnets)
        .where(subnets.c.network_id == networks.c.id)
        .scalar_subquery()
        .label("subnet_count")
    )
    statement = sa.select(networks, subnet_count).where(*conditions).order_by(networks.c.created_at, networks.c.id)
    return [(made(StoredNetwork, row[:-1]), row[-1]) for row in await session.execute(statement)]


async def lock_of_networks(session: Session, network_ids: Collection[str]) -> list[tuple[StoredSubnet, bool]]:
    """Fetch the subnets of networks and keep other writers off them.

    Beside each stands whether new ports on its network are filtered.
    """
    statement = (
        sa.select(subnets, networks.c.port_security)
        .join(networks, networks.c.id == subnets.c.network_id)
        .where(subnets.c.network_id.in_(list(network_ids)))
        .order_by(subnets.c.created_at, subnets.c.id)
    )
    found = [tuple(row.values()) for row in await session.lock(statement)]
    return [(made(StoredSubnet, row[:-1]), bool(row[-1])) for row in found]
