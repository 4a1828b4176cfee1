"""Subnets of networks."""

from collections.abc import Collection
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
