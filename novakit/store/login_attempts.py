"""Wrong passwords that were tried: what every process that takes logins counts together, and a restart keeps.

A row is known by a digest of whom it counts, so that nobody reads from the table what was typed where a name belongs.
Times are the database server's where it has a clock of its own: processes with different clocks count alike.
"""

from collections.abc import Collection, Sequence
from datetime import UTC as UTC_ZONE
from datetime import datetime, timedelta
from typing import TypedDict

import sqlalchemy as sa

from novakit import world
from novakit.store.engine import Session
from novakit.store.schema import UTC, metadata

login_attempts = sa.Table(
    "login_attempts",
    metadata,
    sa.Column("who", sa.String(64), primary_key=True),
    sa.Column("wrong", sa.Integer, nullable=False),
    sa.Column("last_at", UTC, nullable=False, index=True),
    sa.Column("right_at", UTC),
)
"""`last_at` is when a password was last looked at that the count speaks of, `right_at` when the right one last came."""


class LoginAttemptsRow(TypedDict):
    """A row of `login_attempts`."""

    who: str
    wrong: int
    last_at: datetime
    right_at: datetime | None


_c = login_attempts.c
AT_ONCE = 1000
"""Rows that one transaction forgets."""
FORGOTTEN_AFTER = timedelta(seconds=900)
"""Without a wrong password for so long all of them are forgotten."""
KNOWN_FOR = timedelta(days=30)
"""For how long a user that logged in from an address is known there."""


async def clock(session: Session) -> datetime:
    """Return the time that all processes on this database agree about."""
    if session.dialect != "postgresql":
        return world.now()
    told: datetime = await session.scalar(sa.select(sa.func.clock_timestamp()))
    return told.astimezone(UTC_ZONE)


async def some(session: Session, who: Collection[str]) -> dict[str, LoginAttemptsRow]:
    """Fetch counts, by whom they are of."""
    rows = await session.all(sa.select(login_attempts).where(_c.who.in_(who)), of=LoginAttemptsRow)
    return {row["who"]: row for row in rows}


async def count(session: Session, who: Sequence[str], now: datetime) -> None:
    """Add one wrong password to each; a count that is long ago begins anew."""
    insert = session.insert(login_attempts)
    more = sa.case((_c.last_at < now - FORGOTTEN_AFTER, 1), else_=_c.wrong + 1)
    upsert = insert.on_conflict_do_update(index_elements=["who"], set_={"wrong": more, "last_at": now})
    # In one order for everybody, or two on PostgreSQL could wait for each other.
    await session.execute(upsert, [{"who": each, "wrong": 1, "last_at": now} for each in sorted(who)])


async def take_turn(session: Session, row: LoginAttemptsRow, now: datetime) -> bool:
    """Begin the next pause of a count. Returns whether nobody else did since the row was read."""
    mine = sa.update(login_attempts).where(_c.who == row["who"], _c.wrong == row["wrong"], _c.last_at == row["last_at"])
    return await session.changed(mine.values(last_at=now)) > 0


async def bring_back(session: Session, who: Collection[str], now: datetime) -> None:
    """Let no count be of the future: the clock was set back, and a pause must not last for as long as that."""
    await session.execute(
        sa.update(login_attempts).where(_c.who.in_(who), _c.last_at > now).values(last_at=now),
    )


async def clear(session: Session, who: str, now: datetime) -> None:
    """Note that the right password came, which forgets the wrong ones."""
    row = {"wrong": 0, "last_at": now, "right_at": now}
    insert = session.insert(login_attempts).values(who=who, **row)
    await session.execute(insert.on_conflict_do_update(index_elements=["who"], set_=row))


async def purge(session: Session, now: datetime) -> int:
    """Forget counts that say nothing any more, at most `AT_ONCE`. Returns how many went."""
    is_stale = sa.and_(_c.last_at < now - FORGOTTEN_AFTER, _c.right_at.is_(None))
    over = sa.or_(_c.last_at < now - KNOWN_FOR, is_stale)
    old = await session.scalars(sa.select(_c.who).where(over).limit(AT_ONCE))
    return await session.changed(sa.delete(login_attempts).where(_c.who.in_(old))) if old else 0


async def trim(session: Session, most: int) -> None:
    """Forget the oldest counts beyond so many, at most `AT_ONCE`; those of users that logged in come last."""
    beyond = (await session.scalar(sa.select(sa.func.count()).select_from(login_attempts))) - most
    if beyond > 0:
        order = (_c.right_at.is_not(None), _c.last_at)
        old = await session.scalars(sa.select(_c.who).order_by(*order).limit(min(beyond, AT_ONCE)))
        await session.execute(sa.delete(login_attempts).where(_c.who.in_(old)))
