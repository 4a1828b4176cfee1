"""Quota limits that operators set for a project; what a project uses is summed from what it has, never stored."""

import sqlalchemy as sa

from novakit.store.quota import ProjectLimits
from novakit.store.schema import metadata

limits = sa.Table(
    "quota_limits",
    metadata,
    sa.Column("project_id", sa.String(255), primary_key=True),
    sa.Column("resource", sa.String(64), primary_key=True),
    sa.Column("hard_limit", sa.Integer, nullable=False),
)
"""A project without a row for a resource has the default; -1 is no limit."""
LIMITS = ProjectLimits(limits, "hard_limit")
