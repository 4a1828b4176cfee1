"""How many of each resource a project may have."""

from collections.abc import Iterable, Mapping
from functools import cache

import sqlalchemy as sa

from novakit.store.engine import Session
from novakit.store.network.floating_ips import floating_ips
from novakit.store.network.networks import networks
from novakit.store.network.ports import ports
from novakit.store.network.routers import routers
from novakit.store.network.security_group_rules import rules
from novakit.store.network.security_groups import security_groups
from novakit.store.network.subnets import subnets
from novakit.store.quota import ProjectLimits
from novakit.store.schema import metadata

network_quotas = sa.Table(
    "network_quotas",
    metadata,
    sa.Column("project_id", sa.String(64), primary_key=True),
    sa.Column("resource", sa.String(32), primary_key=True),
    sa.Column("limit", sa.Integer, nullable=False),
)
"""Only what differs from the defaults; -1 is unlimited."""
LIMITS = ProjectLimits(network_quotas)

_TABLES: Mapping[str, sa.Table] = {
    "network": networks,
    "subnet": subnets,
    "port": ports,
    "router": routers,
    "floatingip": floating_ips,
    "security_group": security_groups,
    "security_group_rule": rules,
}


def _used(resource: str) -> sa.ScalarSelect[int]:
    table = _TABLES[resource]
    own = table.c.project_id == sa.bindparam("project")
    return sa.select(sa.func.count()).select_from(table).where(own).scalar_subquery()


@cache
def _limit_and_used(resource: str) -> sa.Select[tuple[int | None, int]]:
    own = network_quotas.c
    limit = sa.select(own.limit).where(own.project_id == sa.bindparam("project"), own.resource == resource)
    return sa.select(limit.scalar_subquery().label("limit"), _used(resource).label("used"))


async def used(session: Session, project_id: str, resources: Iterable[str]) -> dict[str, int]:
    """Count what a project has of each resource; one statement."""
    statement = sa.select(*(_used(name).label(name) for name in resources))
    row = await session.first(statement, {"project": project_id}, of=Mapping[str, int])
    return dict(row or {})


async def limit_and_used(session: Session, project_id: str, resource: str) -> tuple[int | None, int]:
    """Fetch the limit that was set for a project, or None, and count what it has of a resource; one statement."""
    ((limit, taken),) = await session.rows(_limit_and_used(resource), {"project": project_id})
    return limit, taken


async def projects(session: Session) -> list[str]:
    """List the projects that have limits of their own."""
    return await session.scalars(sa.select(network_quotas.c.project_id).distinct())
