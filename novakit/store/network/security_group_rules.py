"""Rules of security groups."""

from typing import ClassVar

import attrs
import sqlalchemy as sa

from novakit.store.network.rows import Condition, StoredResource, owned_by, standard_columns
from novakit.store.schema import metadata, uuid_column

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


@attrs.frozen
class StoredRule(StoredResource):
    """A row of `security_group_rules`."""

    table: ClassVar[sa.Table] = rules
    security_group_id: str
    direction: str
    ethertype: str
    protocol: str | None
    port_min: int | None
    port_max: int | None
    remote_ip_prefix: str | None
    remote_group_id: str | None
    meaning: str


def seen_by(project_id: str | None) -> list[Condition]:
    """Make the condition that keeps to what a project owns; None keeps everything."""
    return owned_by(rules, project_id)
