"""Quota limits that operators set for a project; what a project uses is summed from what it has, never stored."""

from collections.abc import Mapping

import sqlalchemy as sa

from novakit.store.engine import Session
from novakit.store.schema import metadata

limits = sa.Table(
    "quota_limits",
    metadata,
    sa.Column("project_id", sa.String(255), primary_key=True),
    sa.Column("resource", sa.String(64), primary_key=True),
    sa.Column("hard_limit", sa.Integer, nullable=False),
)
"""A project without a row for a resource has the default; -1 is no limit."""


_OF_PROJECT = sa.select(limits.c.resource, limits.c.hard_limit).where(limits.c.project_id == sa.bindparam("project"))


async def of_project(session: Session, project_id: str) -> dict[str, int]:
    """Fetch the limits that were set for a project."""
    rows = await session.all(_OF_PROJECT, {"project": project_id})
    return {row["resource"]: row["hard_limit"] for row in rows}


async def put(session: Session, project_id: str, values: Mapping[str, int]) -> None:
    """Set limits of a project; others stay."""
    for resource, limit in values.items():
        statement = session.insert(limits).values(project_id=project_id, resource=resource, hard_limit=limit)
        await session.execute(
            statement.on_conflict_do_update(index_elements=["project_id", "resource"], set_={"hard_limit": limit})
        )


async def reset(session: Session, project_id: str) -> None:
    """Give a project the defaults again."""
    await session.execute(sa.delete(limits).where(limits.c.project_id == project_id))
