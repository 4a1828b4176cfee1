"""What stands beside the servers of some decisions, and what became of these: for recording a trace."""

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa

from novakit.store.compute.servers import servers
from novakit.store.engine import Session
from novakit.store.operations import operations
from novakit.store.placement.tables import allocations, inventories, providers
from novakit.store.scheduler.decisions import decisions
from novakit.store.scheduler.picture import chunks

Moment = tuple[str, datetime]
"""A server, and when something happened to it."""


def placed_by(first: int, last: int) -> sa.Select[object]:
    """Select the servers that the decisions of these numbers placed."""
    numbers = decisions.c.number.between(first, last)
    return sa.select(decisions.c.server_id).where(numbers, decisions.c.outcome == "placed")


async def held_by_others(session: Session, but: sa.Select[object]) -> list[tuple[str, str, str, int]]:
    """Return root, provider, class and amount of what is held by others than the consumers that `but` selects."""
    a = allocations.c
    statement = (
        sa.select(providers.c.root_id, a.provider_id, a.resource_class, sa.func.sum(a.used))
        .join(providers, providers.c.id == a.provider_id)
        .where(a.consumer_id.not_in(but))
        .group_by(providers.c.root_id, a.provider_id, a.resource_class)
    )
    return [(root, provider, name, int(used)) for root, provider, name, used in await session.tuples(statement)]


async def others_on(session: Session, but: sa.Select[object]) -> dict[str, int]:
    """Count these consumers, by provider."""
    a = allocations.c
    counted = sa.select(a.provider_id, sa.func.count(a.consumer_id.distinct())).group_by(a.provider_id)
    return dict(await session.tuples(counted.where(a.consumer_id.not_in(but))))


async def capacity_of(session: Session, prefix: str) -> dict[str, int]:
    """Return how much of the class that begins so can be allocated of each provider; a device has one such class."""
    c = inventories.c
    named = c.resource_class.startswith(prefix, autoescape=True)
    statement = sa.select(c.provider_id, sa.func.sum(c.capacity)).where(named).group_by(c.provider_id)
    return {provider: int(capacity) for provider, capacity in await session.tuples(statement)}


async def built(session: Session, server_ids: Iterable[str]) -> list[Moment]:
    """Return when building ended, well or not."""
    return await _moments(session, server_ids, operations.c.kind.in_(("create", "unshelve")))


async def released(session: Session, server_ids: Iterable[str]) -> list[Moment]:
    """Return when servers gave back what they held: deleted, offloaded, or not built after all."""
    c = operations.c
    kept = sa.func.coalesce(c.data["kept"].as_boolean(), sa.false())
    gone = sa.or_(
        sa.and_(c.kind == "shelve", c.state == "done", sa.not_(kept)),
        sa.and_(c.kind == "shelveOffload", c.state == "done"),
        sa.and_(c.kind.in_(("create", "unshelve")), c.state.in_(("failed", "cancelled"))),
    )
    found = await _moments(session, server_ids, gone)
    for some in chunks(sorted(server_ids)):
        deleted = sa.select(servers.c.id, servers.c.deleted_at).where(
            servers.c.id.in_(some), servers.c.deleted_at.is_not(None)
        )
        found += await session.tuples(deleted)
    return found


async def _moments(session: Session, server_ids: Iterable[str], *wanted: sa.ColumnElement[bool]) -> list[Moment]:
    found: list[Moment] = []
    c = operations.c
    for some in chunks(sorted(server_ids)):
        ended = sa.select(c.server_id, c.finished_at).where(c.server_id.in_(some), c.finished_at.is_not(None), *wanted)
        found += await session.tuples(ended)
    return found
