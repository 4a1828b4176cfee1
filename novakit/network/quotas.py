"""How much of the network a project may have, and has."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from novakit.network.refusals import over_quota
from novakit.store import network_quotas
from novakit.store.engine import Session
from novakit.store.floating_ips import floating_ips
from novakit.store.networks import networks, subnets
from novakit.store.ports import ports
from novakit.store.routers import routers
from novakit.store.security_groups import rules, security_groups

DEFAULTS = {
    "network": 100,
    "subnet": 100,
    "port": 500,
    "router": 10,
    "floatingip": 50,
    "security_group": 10,
    "security_group_rule": 100,
}
TABLES: Mapping[str, sa.Table] = {
    "network": networks,
    "subnet": subnets,
    "port": ports,
    "router": routers,
    "floatingip": floating_ips,
    "security_group": security_groups,
    "security_group_rule": rules,
}
UNLIMITED = -1


def _used(resource: str, project_id: str) -> Any:
    table = TABLES[resource]
    statement = sa.select(sa.func.count()).select_from(table).where(table.c.project_id == project_id)
    return statement.scalar_subquery()


async def limit_and_used(session: Session, project_id: str, resource: str) -> tuple[int, int]:
    """Tell how many of a resource a project may have and has; one statement."""
    own = network_quotas.network_quotas
    limit = sa.select(own.c.limit).where(own.c.project_id == project_id, own.c.resource == resource).scalar_subquery()
    row = await session.first(sa.select(limit.label("limit"), _used(resource, project_id).label("used")))
    assert row is not None
    return DEFAULTS[resource] if row["limit"] is None else row["limit"], row["used"]


async def reserve(session: Session, project_id: str, resource: str, count: int = 1) -> None:
    """Make sure that a project may have `count` more of a resource; raise `OverQuota` otherwise."""
    limit, used = await limit_and_used(session, project_id, resource)
    if limit != UNLIMITED and used + count > limit:
        raise over_quota(resource)


async def limits(session: Session, project_id: str) -> dict[str, int]:
    """Tell all limits of a project."""
    return {**DEFAULTS, **await network_quotas.limits(session, project_id)}


async def details(session: Session, project_id: str) -> dict[str, dict[str, int]]:
    """Tell all limits of a project with what it uses of each."""
    told = await limits(session, project_id)
    row = await session.first(sa.select(*(_used(name, project_id).label(name) for name in DEFAULTS)))
    assert row is not None
    return {name: {"limit": told[name], "used": row[name], "reserved": 0} for name in DEFAULTS}
