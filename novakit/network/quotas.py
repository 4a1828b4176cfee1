"""How much of the network a project may have, and has."""

from collections.abc import Mapping

import attrs

from novakit import errors
from novakit.network.refusals import over_quota
from novakit.network.resources import Transactions
from novakit.store import quota
from novakit.store.engine import Session
from novakit.store.network import quotas
from novakit.store.network.touched import Touched

DEFAULTS: Mapping[str, int] = {
    "network": 100,
    "subnet": 100,
    "port": 500,
    "router": 10,
    "floatingip": 50,
    "security_group": 10,
    "security_group_rule": 100,
}


@attrs.frozen
class QuotaUse:
    """How many of a resource a project may have, and has."""

    limit: int
    used: int


async def limit_and_used(session: Session, project_id: str, resource: str) -> tuple[int, int]:
    """Return how many of a resource a project may have and has; one statement."""
    limit, used = await quotas.limit_and_used(session, project_id, resource)
    return limit_of(resource, limit), used


def limit_of(resource: str, told: int | None) -> int:
    """Return how many of a resource a project may have for which `told` were set, or none were."""
    return DEFAULTS[resource] if told is None else told


async def reserve(session: Session, project_id: str, resource: str, count: int = 1) -> None:
    """Make sure that a project may have `count` more of a resource. Raises OverQuota."""
    await quota.hold(session, resource, [project_id])
    limit, used = await limit_and_used(session, project_id, resource)
    if quota.exceeds(limit, used, count):
        raise over_quota(resource)


async def _limits(session: Session, project_id: str) -> dict[str, int]:
    return {**DEFAULTS, **await quotas.LIMITS.of(session, project_id)}


async def _uses(session: Session, project_id: str) -> dict[str, QuotaUse]:
    told, used = await _limits(session, project_id), await quotas.used(session, project_id, DEFAULTS)
    return {name: QuotaUse(told[name], used[name]) for name in DEFAULTS}


@attrs.frozen
class NetworkQuotas:
    """The quotas of projects, as the API asks for them."""

    transactions: Transactions

    async def every(self) -> dict[str, dict[str, int]]:
        """Tell, by project, the limits of those that have some of their own."""
        async with self.transactions.store.read() as session:
            return {project: await _limits(session, project) for project in await quotas.projects(session)}

    async def limits(self, project_id: str) -> dict[str, int]:
        """Tell all limits of a project."""
        async with self.transactions.store.read() as session:
            return await _limits(session, project_id)

    async def uses(self, project_id: str) -> dict[str, QuotaUse]:
        """Tell all limits of a project with what it uses of each."""
        async with self.transactions.store.read() as session:
            return await _uses(session, project_id)

    async def set_limits(self, project_id: str, values: Mapping[str, int], *, checked: bool) -> dict[str, int]:
        """Set some limits of a project; return all of them.

        Raises BadRequest (QuotaLimitTooSmall) where, `checked`, one is below what is in use.
        """

        async def work(session: Session, _: Touched) -> dict[str, int]:
            if checked:
                for name, told in (await _uses(session, project_id)).items():
                    if 0 <= values.get(name, -1) < told.used:
                        raise errors.BadRequest(
                            f"Quota limit for {name} is less than the {told.used} in use.", kind="QuotaLimitTooSmall"
                        )
            await quotas.LIMITS.put(session, project_id, values)
            return await _limits(session, project_id)

        return await self.transactions.write(work)

    async def forget(self, project_id: str) -> None:
        """Give a project the default quotas again."""
        await self.transactions.write(lambda session, _: quotas.LIMITS.reset(session, project_id))
