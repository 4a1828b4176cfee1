"""How many of each resource a project may have."""

from collections.abc import Mapping

import sqlalchemy as sa

from novakit.store.engine import Session
from novakit.store.schema import metadata

network_quotas = sa.Table(
    "network_quotas",
    metadata,
    sa.Column("project_id", sa.String(64), primary_key=True),
    sa.Column("resource", sa.String(32), primary_key=True),
    sa.Column("limit", sa.Integer, nullable=False),
)
"""Only what differs from the defaults; -1 is unlimited."""


async def limits(session: Session, project_id: str) -> dict[str, int]:
    """Fetch what was set for a project."""
    rows = await session.all(sa.select(network_quotas).where(network_quotas.c.project_id == project_id))
    return {row["resource"]: row["limit"] for row in rows}


async def set_limits(session: Session, project_id: str, values: Mapping[str, int]) -> None:
    """Set some limits of a project."""
    statement = session.insert(network_quotas)
    statement = statement.on_conflict_do_update(
        index_elements=["project_id", "resource"], set_={"limit": statement.excluded.limit}
    )
    rows = [{"project_id": project_id, "resource": name, "limit": limit} for name, limit in values.items()]
    if rows:
        await session.execute(statement, rows)


async def projects(session: Session) -> list[str]:
    """List the projects that have limits of their own."""
    return await session.scalars(sa.select(network_quotas.c.project_id).distinct())
