"""Quota limits that operators set for a project; what a project uses is summed from what it has, never stored."""

import sqlalchemy as sa

from novakit.store.compute.servers import USAGE
from novakit.store.engine import Row, Session
from novakit.store.quota import ProjectLimits
from novakit.store.schema import JsonRows, metadata

limits = sa.Table(
    "quota_limits",
    metadata,
    sa.Column("project_id", sa.String(255), primary_key=True),
    sa.Column("resource", sa.String(64), primary_key=True),
    sa.Column("hard_limit", sa.Integer, nullable=False),
)
"""A project without a row for a resource has the default; -1 is no limit."""
LIMITS = ProjectLimits(limits, "hard_limit")
_SET = sa.select(JsonRows(limits.c.resource, limits.c.hard_limit)).where(limits.c.project_id == sa.bindparam("project"))
_STANDING = USAGE.add_columns(_SET.scalar_subquery().label("limits"))


async def standing(session: Session, project_id: str) -> tuple[dict[str, int], Row]:
    """Fetch the limits that were set for a project, and sum what its servers take: one statement."""
    row = await session.first(_STANDING, {"project": project_id})
    assert row is not None
    return dict(row["limits"] or ()), row
