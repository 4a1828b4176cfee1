"""Key pairs: the public halves users registered; the private halves are never here."""

from collections.abc import Mapping
from datetime import datetime
from typing import TypedDict

import sqlalchemy as sa

from novakit import world
from novakit.store.engine import Session
from novakit.store.schema import UTC, metadata

keypairs = sa.Table(
    "keypairs",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("user_id", sa.String(255), nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("type", sa.String(16), nullable=False, default="ssh"),
    sa.Column("fingerprint", sa.String(255), nullable=False),
    sa.Column("public_key", sa.Text, nullable=False),
    sa.Column("created_at", UTC, nullable=False),
    sa.UniqueConstraint("user_id", "name"),
)


class KeypairRow(TypedDict):
    """A row of `keypairs`."""

    number: int
    user_id: str
    name: str
    type: str
    fingerprint: str
    public_key: str
    created_at: datetime


async def keypair(session: Session, user_id: str, name: str) -> KeypairRow | None:
    """Fetch one key pair of a user."""
    return await session.first(
        sa.select(keypairs).where(keypairs.c.user_id == user_id, keypairs.c.name == name), of=KeypairRow
    )


async def of_user(
    session: Session, user_id: str, *, limit: int | None = None, after: str | None = None
) -> list[KeypairRow]:
    """Fetch a user's key pairs by name, those behind `after` alone when it is given."""
    statement = sa.select(keypairs).where(keypairs.c.user_id == user_id).order_by(keypairs.c.name)
    if after is not None:
        statement = statement.where(keypairs.c.name > after)
    return await session.all(statement if limit is None else statement.limit(limit), of=KeypairRow)


async def count(session: Session, user_id: str) -> int:
    """Count a user's key pairs."""
    return int(await session.scalar(sa.select(sa.func.count()).where(keypairs.c.user_id == user_id)))


async def add(session: Session, row: Mapping[str, object]) -> bool:
    """Insert a key pair; False when the user has one of that name."""
    statement = session.insert(keypairs).values(created_at=world.now(), **row).on_conflict_do_nothing()
    return await session.changed(statement) > 0


async def remove(session: Session, user_id: str, name: str) -> bool:
    """Delete a key pair. Returns whether there was one."""
    statement = sa.delete(keypairs).where(keypairs.c.user_id == user_id, keypairs.c.name == name)
    return await session.changed(statement) > 0
