"""Decision records: what the scheduler looked at, what it chose, and why; kept for a while, then dropped."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypedDict

import sqlalchemy as sa

from novakit.store.engine import Session
from novakit.store.schema import UTC, metadata, uuid_column

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    uuid_column("id", nullable=False, unique=True),
    uuid_column("server_id", nullable=False, index=True),
    sa.Column("project_id", sa.String(255), nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("at", UTC, nullable=False),
    sa.Column("record", sa.JSON, nullable=False),
    sa.Index("ix_decisions_project_id_number", "project_id", "number"),
)
"""`outcome` is placed or refused; `record` is the whole of it as plain data."""


class StoredDecision(TypedDict, total=False):
    """What of a decision as plain data is read by name; the rest is only shown."""

    asked: Mapping[str, object]
    host: str | None
    message: str


class DecisionRow(TypedDict):
    """A row of `decisions`."""

    number: int
    id: str
    server_id: str
    project_id: str
    outcome: str
    at: datetime
    record: StoredDecision


MOST_OF_PROJECT = 2000
"""Decisions that are kept about one project's servers: nobody may push the records of all others out."""


_ADD = sa.insert(decisions)


async def add(session: Session, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert records of id, server_id, project_id, outcome, at and record."""
    if rows:
        await session.execute(_ADD, rows)


async def decision(session: Session, decision_id: str) -> DecisionRow | None:
    """Fetch one decision by its id."""
    return await session.first(sa.select(decisions).where(decisions.c.id == decision_id), of=DecisionRow)


async def some(
    session: Session,
    *,
    server_id: str | None = None,
    project_id: str | None = None,
    outcome: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> Sequence[DecisionRow]:
    """Fetch decisions, latest first; `before` is the number of the last one already seen."""
    statement = sa.select(decisions).order_by(decisions.c.number.desc()).limit(limit)
    wanted = {"server_id": server_id, "project_id": project_id, "outcome": outcome}
    for name, value in wanted.items():
        if value is not None:
            statement = statement.where(decisions.c[name] == value)
    return await session.all(
        statement if before is None else statement.where(decisions.c.number < before), of=DecisionRow
    )


async def purge(session: Session, before: datetime) -> int:
    """Drop decisions that were made before a moment, at most 1,000. Returns how many went."""
    c = decisions.c
    old = await session.scalars(sa.select(c.number).where(c.at < before).order_by(c.number).limit(1000))
    return await session.changed(sa.delete(decisions).where(c.number.in_(old))) if old else 0


async def bound(session: Session) -> int:
    """Drop the oldest decisions of one project that has more than `MOST_OF_PROJECT`. Returns how many went."""
    c = decisions.c
    many = sa.select(c.project_id).group_by(c.project_id).having(sa.func.count() > MOST_OF_PROJECT).limit(1)
    project = await session.scalar(many)
    if project is None:
        return 0
    mine = sa.select(c.number).where(c.project_id == project).order_by(c.number.desc())
    last = await session.scalar(mine.offset(MOST_OF_PROJECT - 1).limit(1))
    old = await session.scalars(sa.select(c.number).where(c.project_id == project, c.number < last).limit(1000))
    return await session.changed(sa.delete(decisions).where(c.number.in_(old))) if old else 0


async def prune(session: Session, *, keep: int, since: datetime) -> int:
    """Drop all but the latest `keep` decisions, and those older than `since`. Returns how many went."""
    last = await session.scalar(sa.select(sa.func.max(decisions.c.number)))
    if last is None:
        return 0
    old = sa.or_(decisions.c.number <= last - keep, decisions.c.at < since)
    return await session.changed(sa.delete(decisions).where(old))
