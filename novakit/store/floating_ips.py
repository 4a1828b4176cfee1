"""Floating IPs: addresses of external networks that lead to fixed ones."""

import sqlalchemy as sa

from novakit.store.network_rows import standard_columns
from novakit.store.schema import metadata, uuid_column

floating_ips = sa.Table(
    "floating_ips",
    metadata,
    *standard_columns(),
    uuid_column("external_network_id", sa.ForeignKey("networks.id"), nullable=False, index=True),
    uuid_column("floating_port_id", nullable=False),
    sa.Column("address", sa.String(45), nullable=False, index=True),
    uuid_column("port_id", index=True),
    sa.Column("fixed_number", sa.BigInteger),
    uuid_column("router_id", sa.ForeignKey("routers.id"), index=True),
    sa.Column("status", sa.String(16), nullable=False, default="DOWN"),
    sa.Column("fault", sa.Text),
    sa.UniqueConstraint("port_id", "fixed_number", name="uq_floating_ips_fixed"),
)
