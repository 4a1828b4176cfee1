"""Guests that may be on hosts that their servers have left, or were deleted from, without the hosts' confirmation.

The invariant: while a row stands, the deleted server that it names is not forgotten: only its row says that the guest
may be removed once the host is back. A row goes when the host has confirmed that the guest is not there.
"""

from collections.abc import Collection

import sqlalchemy as sa

from novakit import world
from novakit.store.compute.servers import servers
from novakit.store.engine import Session
from novakit.store.schema import UTC, metadata, uuid_column

left_guests = sa.Table(
    "left_guests",
    metadata,
    sa.Column("host", sa.String(255), primary_key=True),
    uuid_column("server_id", primary_key=True),
    sa.Column("since", UTC, nullable=False),
    sa.Index("ix_left_guests_server_id", "server_id"),
)


async def put(session: Session, host: str, server_id: str) -> None:
    """Note that a host may have a guest of a server that is not to run there; the first time counts."""
    row = {"host": host, "server_id": server_id, "since": world.now()}
    insert = session.insert(left_guests).on_conflict_do_nothing(index_elements=["host", "server_id"])
    await session.execute(insert, [row])


async def of_host(session: Session, host: str) -> Collection[str]:
    """Name the servers of which a host may have a guest that it is not to have."""
    return frozenset(await session.scalars(sa.select(left_guests.c.server_id).where(left_guests.c.host == host)))


async def of_server(session: Session, server_id: str) -> Collection[str]:
    """Name the hosts that may have a guest of a server that is not to run there."""
    return frozenset(await session.scalars(sa.select(left_guests.c.host).where(left_guests.c.server_id == server_id)))


async def drop(session: Session, host: str, server_ids: Collection[str]) -> None:
    """Note that a host does not have the guests, and that those of deleted servers are gone for good."""
    c, s = left_guests.c, servers.c
    await session.execute(sa.delete(left_guests).where(c.host == host, c.server_id.in_(list(server_ids))))
    elsewhere = sa.exists(sa.select(sa.literal(1)).where(c.server_id == s.id))
    ended = (s.id.in_(list(server_ids)), s.deleted_at.is_not(None), s.terminated_at.is_(None), ~elsewhere)
    await session.execute(sa.update(servers).where(*ended).values(terminated_at=world.now()))


async def drop_host(session: Session, host: str) -> None:
    """Forget what a host may have: nobody waits for it any more."""
    await session.execute(sa.delete(left_guests).where(left_guests.c.host == host))
