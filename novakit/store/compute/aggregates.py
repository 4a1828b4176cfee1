"""Host aggregates: groups of hosts with metadata, some of them availability zones."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypedDict

import sqlalchemy as sa

from novakit import world
from novakit.store.engine import Session
from novakit.store.schema import UTC, metadata, uuid_column

aggregates = sa.Table(
    "aggregates",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    uuid_column("uuid", nullable=False, unique=True),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("metadata", sa.JSON, nullable=False, default=dict),
    sa.Column("changed", sa.BigInteger, nullable=False, default=0, index=True),
    sa.Column("created_at", UTC, nullable=False),
    sa.Column("updated_at", UTC),
    sa.Column("deleted_at", UTC),
)
"""`metadata` holds text by key; `availability_zone` among it makes the aggregate a zone.

A deleted one stays as a row, so that readers who follow `changed` hear of it.
"""


class AggregateRow(TypedDict):
    """A row of `aggregates`."""

    id: int
    uuid: str
    name: str
    metadata: Mapping[str, str]
    changed: int
    created_at: datetime
    updated_at: datetime | None
    deleted_at: datetime | None


aggregate_hosts = sa.Table(
    "aggregate_hosts",
    metadata,
    sa.Column("aggregate_id", sa.ForeignKey("aggregates.id"), primary_key=True),
    sa.Column("host", sa.String(255), primary_key=True, index=True),
)


async def every(session: Session) -> Sequence[AggregateRow]:
    """Fetch all aggregates in the order they were made."""
    return await session.all(
        sa.select(aggregates).where(aggregates.c.deleted_at.is_(None)).order_by(aggregates.c.id), of=AggregateRow
    )


async def aggregate(session: Session, aggregate_id: int) -> AggregateRow | None:
    """Fetch one aggregate."""
    return await session.first(
        sa.select(aggregates).where(aggregates.c.id == aggregate_id, aggregates.c.deleted_at.is_(None)), of=AggregateRow
    )


async def members(session: Session, aggregate_id: int | None = None) -> dict[int, list[str]]:
    """Return host names by aggregate, in order; of one aggregate or of all."""
    statement = sa.select(aggregate_hosts.c.aggregate_id, aggregate_hosts.c.host).order_by(aggregate_hosts.c.host)
    if aggregate_id is not None:
        statement = statement.where(aggregate_hosts.c.aggregate_id == aggregate_id)
    found: dict[int, list[str]] = {}
    for number, host in await session.rows(statement):
        found.setdefault(number, []).append(host)
    return found


async def add(session: Session, name: str, properties: Mapping[str, str]) -> AggregateRow:
    """Make an aggregate without hosts; names are not checked here."""
    row = {
        "uuid": world.new_id(),
        "name": name,
        "metadata": dict(properties),
        "changed": await _next_change(session),
        "created_at": world.now(),
    }
    made = await aggregate(session, await session.insert_one(sa.insert(aggregates).values(**row)))
    assert made is not None
    return made


async def change(session: Session, aggregate_id: int, **values: object) -> bool:
    """Set `name` or `metadata`. Returns whether there is such an aggregate."""
    return await session.changed(_touch(aggregate_id, await _next_change(session), **values)) > 0


async def remove(session: Session, aggregate_id: int) -> bool:
    """Delete an aggregate and its membership. Returns whether there was one."""
    gone = _touch(aggregate_id, await _next_change(session), deleted_at=world.now())
    if not await session.changed(gone):
        return False
    await session.execute(sa.delete(aggregate_hosts).where(aggregate_hosts.c.aggregate_id == aggregate_id))
    return True


async def add_host(session: Session, aggregate_id: int, host: str) -> bool:
    """Put a host into an aggregate. Returns whether it was new there."""
    statement = session.insert(aggregate_hosts).values(aggregate_id=aggregate_id, host=host).on_conflict_do_nothing()
    if not await session.changed(statement):
        return False
    await session.execute(_touch(aggregate_id, await _next_change(session)))
    return True


async def remove_host(session: Session, aggregate_id: int, host: str) -> bool:
    """Take a host out of an aggregate. Returns whether it was there."""
    here = sa.and_(aggregate_hosts.c.aggregate_id == aggregate_id, aggregate_hosts.c.host == host)
    if not await session.changed(sa.delete(aggregate_hosts).where(here)):
        return False
    await session.execute(_touch(aggregate_id, await _next_change(session)))
    return True


async def zones_of(session: Session, host: str) -> list[str]:
    """Return the availability zones a host belongs to through its aggregates; none means the default zone."""
    statement = (
        sa.select(aggregates.c.metadata)
        .join(aggregate_hosts, aggregate_hosts.c.aggregate_id == aggregates.c.id)
        .where(aggregate_hosts.c.host == host)
    )
    return sorted(
        {found["availability_zone"] for found in await session.scalars(statement) if "availability_zone" in found}
    )


async def last_change(session: Session) -> int:
    """Return the number of the latest change of any aggregate or its hosts."""
    return int(await session.scalar(sa.select(sa.func.coalesce(sa.func.max(aggregates.c.changed), 0))))


async def _next_change(session: Session) -> int:
    """Return the number after the highest so far; no other transaction gets one until this ends, so none is missed."""
    await session.serialise("aggregates")
    return await last_change(session) + 1


def _touch(aggregate_id: int, number: int, **values: object) -> sa.Update:
    return (
        sa.update(aggregates)
        .where(aggregates.c.id == aggregate_id, aggregates.c.deleted_at.is_(None))
        .values(changed=number, **{"updated_at": world.now(), **values})
    )
