"""Security groups and their rules."""

import sqlalchemy as sa

from novakit.store.network.rows import standard_columns
from novakit.store.schema import metadata, uuid_column

security_groups = sa.Table(
    "security_groups",
    metadata,
    *standard_columns(),
    sa.Column("stateful", sa.Boolean, nullable=False, default=True),
)

rules = sa.Table(
    "security_group_rules",
    metadata,
    *standard_columns(),
    uuid_column(
        "security_group_id", sa.ForeignKey("security_groups.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    sa.Column("direction", sa.String(8), nullable=False),
    sa.Column("ethertype", sa.String(8), nullable=False),
    sa.Column("protocol", sa.String(16)),
    sa.Column("port_min", sa.Integer),
    sa.Column("port_max", sa.Integer),
    sa.Column("remote_ip_prefix", sa.String(64)),
    uuid_column("remote_group_id", sa.ForeignKey("security_groups.id", ondelete="CASCADE"), index=True),
    sa.Column("meaning", sa.String(255), nullable=False),
    sa.UniqueConstraint("security_group_id", "meaning", name="uq_security_group_rules_meaning"),
)
"""`meaning` spells out what a rule lets through, so that the same rule cannot be there twice."""
