"""Quota limits that operators set for a project; what a project uses is summed from what it has, never stored."""

from collections.abc import Mapping
from typing import TypedDict

import sqlalchemy as sa

from novakit.store.compute.servers import USAGE
from novakit.store.engine import Session
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


class ProjectStanding(TypedDict):
    """What the servers of a project take from its quota (`ram` in MiB), and the limits that were set for it."""

    instances: int
    cores: int
    ram: int
    limits: list[tuple[str, int]] | None


async def standing(session: Session, project_id: str) -> tuple[dict[str, int], Mapping[str, int]]:
    """Fetch the limits that were set for a project, and sum what its servers take: one statement."""
    row = await session.first(_STANDING, {"project": project_id}, of=ProjectStanding)
    assert row is not None
    return dict(row["limits"] or ()), {name: row[name] for name in ("instances", "cores", "ram")}
