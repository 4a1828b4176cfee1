"""Routers; their interfaces are ports."""

import sqlalchemy as sa

from novakit.store.network.rows import standard_columns
from novakit.store.schema import metadata, uuid_column

routers = sa.Table(
    "routers",
    metadata,
    *standard_columns(),
    sa.Column("admin_state_up", sa.Boolean, nullable=False, default=True),
    sa.Column("status", sa.String(16), nullable=False, default="ACTIVE"),
    sa.Column("fault", sa.Text),
    uuid_column("external_network_id", sa.ForeignKey("networks.id"), index=True),
    uuid_column("gateway_port_id"),
    sa.Column("snat", sa.Boolean, nullable=False, default=True),
    sa.Column("routes", sa.JSON, nullable=False),
)
"""`routes` are pairs of destination and next hop."""
