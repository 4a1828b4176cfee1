"""How much of the network a project may have, and has."""

from novakit.network.refusals import over_quota
from novakit.store import quota
from novakit.store.engine import Session
from novakit.store.network import quotas

DEFAULTS = {
    "network": 100,
    "subnet": 100,
    "port": 500,
    "router": 10,
    "floatingip": 50,
    "security_group": 10,
    "security_group_rule": 100,
}


async def limit_and_used(session: Session, project_id: str, resource: str) -> tuple[int, int]:
    """Tell how many of a resource a project may have and has; one statement."""
    limit, used = await quotas.limit_and_used(session, project_id, resource)
    return DEFAULTS[resource] if limit is None else limit, used


async def reserve(session: Session, project_id: str, resource: str, count: int = 1) -> None:
    """Make sure that a project may have `count` more of a resource. Raises OverQuota."""
    await quota.hold(session, resource, [project_id])
    limit, used = await limit_and_used(session, project_id, resource)
    if quota.exceeds(limit, used, count):
        raise over_quota(resource)


async def limits(session: Session, project_id: str) -> dict[str, int]:
    """Tell all limits of a project."""
    return {**DEFAULTS, **await quotas.limits(session, project_id)}


async def details(session: Session, project_id: str) -> dict[str, dict[str, int]]:
    """Tell all limits of a project with what it uses of each."""
    told = await limits(session, project_id)
    used = await quotas.used(session, project_id, DEFAULTS)
    return {name: {"limit": told[name], "used": used[name], "reserved": 0} for name in DEFAULTS}
