"""Networks and their subnets."""

from collections.abc import Collection

import sqlalchemy as sa

from novakit.store.engine import Row, Session
from novakit.store.network.rows import standard_columns
from novakit.store.schema import metadata, uuid_column

networks = sa.Table(
    "networks",
    metadata,
    *standard_columns(),
    sa.Column("admin_state_up", sa.Boolean, nullable=False, default=True),
    sa.Column("shared", sa.Boolean, nullable=False, default=False),
    sa.Column("external", sa.Boolean, nullable=False, default=False),
    sa.Column("is_default", sa.Boolean, nullable=False, default=False),
    sa.Column("mtu", sa.Integer, nullable=False),
    sa.Column("port_security", sa.Boolean, nullable=False, default=True),
    sa.Column("segment", sa.Integer, nullable=False, unique=True),
    sa.Column("network_type", sa.String(16), nullable=False),
    sa.Column("physical_network", sa.String(255)),
    sa.Column("dns_domain", sa.String(255), nullable=False, default=""),
    sa.Column("fault", sa.Text),
    sa.UniqueConstraint("physical_network", name="uq_networks_physical_network"),
)

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


def on_shared_networks() -> sa.ColumnElement[bool]:
    """Make the condition on subnets that their network is shared.

    Of an external network others see the network alone: how it is cut into subnets is its owner's business.
    """
    return subnets.c.network_id.in_(sa.select(networks.c.id).where(networks.c.shared))


async def visible(session: Session, project_id: str | None, only: Collection[str] | None = None) -> list[Row]:
    """Fetch the networks that a project may use: its own, shared and external ones, with their number of subnets."""
    subnet_count = (
        sa.select(sa.func.count())
        .select_from(subnets)
        .where(subnets.c.network_id == networks.c.id)
        .scalar_subquery()
        .label("subnet_count")
    )
    statement = sa.select(networks, subnet_count).where(
        (networks.c.project_id == project_id) | networks.c.shared | networks.c.external
    )
    if only is not None:
        statement = statement.where(networks.c.id.in_(list(only)))
    return await session.all(statement.order_by(networks.c.created_at, networks.c.id))


async def lock_with_subnets(session: Session, network_ids: Collection[str]) -> list[Row]:
    """Fetch the subnets of networks with what a new port must know of its network, and keep other writers off them."""
    statement = (
        sa.select(subnets, networks.c.port_security, networks.c.project_id.label("network_project"))
        .join(networks, networks.c.id == subnets.c.network_id)
        .where(subnets.c.network_id.in_(list(network_ids)))
        .order_by(subnets.c.created_at, subnets.c.id)
    )
    return await session.lock(statement)
