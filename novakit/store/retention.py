"""What the store forgets after a while: deleted servers, finished operations, and the room that they took.

The invariant: no row goes that something refers to.
A deleted server stays while an operation on it is open, while the ledger, a port or a stranger's note has its id, and
while any host that it was on may have its guest still: only the row says that the guest may be removed.
Of a server that lives the latest operation of each kind stays.
"""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from novakit.store import deployment
from novakit.store.compute.left_guests import left_guests
from novakit.store.compute.server_groups import server_group_members
from novakit.store.compute.servers import servers
from novakit.store.compute.strangers import strangers
from novakit.store.engine import Session
from novakit.store.images import deleted_images
from novakit.store.network.ports import ports
from novakit.store.operations import operations
from novakit.store.placement.tables import allocations
from novakit.store.scheduler.numa import numa_claims

AT_ONCE = 200
"""Servers or operations that one transaction forgets: others write in between."""
MOST_IDS = 10_000
"""Ids of deleted images that stay taken for one project, of those that no other project could know."""
MOST_DELETED = 1000
"""Deleted servers of one project that are kept: about 50 MB with the operations on them, and in no quota."""


def _exists(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return sa.exists(sa.select(sa.literal(1)).where(*conditions))


def _unreferred() -> tuple[sa.ColumnElement[bool], ...]:
    c, o = servers.c, operations.c
    referred = (
        _exists(o.server_id == c.id, o.finished_at.is_(None)),
        _exists(allocations.c.consumer_id == c.id),
        _exists(ports.c.server_id == c.id),
        _exists(strangers.c.guest == c.id),
        _exists(left_guests.c.server_id == c.id),
    )
    return tuple(~each for each in referred)


async def purge_servers(session: Session, before: datetime) -> int:
    """Forget servers that were deleted before a moment, at most `AT_ONCE`. Returns how many went."""
    return await _forget(session, AT_ONCE, servers.c.deleted_at < before)


async def bound_servers(session: Session) -> int:
    """Forget the oldest deleted servers of one project that has too many of them, at most `AT_ONCE`.

    A server of which its host has not confirmed that the guest is gone neither counts nor goes: while the host may have
    the guest, only the row says that it may be removed. One that an earlier host has not confirmed counts, and stays.
    Returns how many went.
    """
    c = servers.c
    number, is_over = sa.func.count(), sa.and_(c.deleted_at.is_not(None), c.terminated_at.is_not(None))
    # The first count is read from an index alone, and most of the time it is all that there is to do.
    many = sa.select(c.project_id).where(c.deleted_at.is_not(None)).group_by(c.project_id)
    for project in await session.scalars(many.having(number > MOST_DELETED)):
        mine = sa.and_(c.project_id == project, is_over)
        beyond = await session.scalar(sa.select(number).where(mine)) - MOST_DELETED
        if beyond > 0 and (gone := await _forget(session, min(beyond, AT_ONCE), mine)):
            return gone
    return 0


async def _forget(session: Session, most: int, *which: sa.ColumnElement[bool]) -> int:
    c, o = servers.c, operations.c
    old = sa.select(c.id, c.created_at).where(*which, *_unreferred())
    rows = await session.rows(old.order_by(c.deleted_at).limit(most))
    if not rows:
        return 0
    ids = [id for id, _ in rows]
    # Said in the same transaction: from now on an id of that time that is not known may be that of a purged server.
    await deployment.forgot(session, max(created_at for _, created_at in rows))
    for owned in (o.server_id, server_group_members.c.server_id, numa_claims.c.server_id):
        await session.execute(sa.delete(owned.table).where(owned.in_(ids)))
    return await session.changed(sa.delete(servers).where(c.id.in_(ids)))


async def purge_operations(session: Session, before: datetime) -> int:
    """Forget operations that ended before a moment, at most `AT_ONCE`. Returns how many went."""
    c, later = operations.c, operations.alias("later")
    is_latest = ~_exists(later.c.server_id == c.server_id, later.c.kind == c.kind, later.c.number > c.number)
    old: Sequence[int] = await session.scalars(
        sa.select(c.number).where(c.finished_at < before, ~is_latest).order_by(c.number).limit(AT_ONCE)
    )
    return await session.changed(sa.delete(operations).where(c.number.in_(old))) if old else 0


async def purge_deleted_images(session: Session, before: datetime) -> int:
    """Free the ids of images that were deleted before a moment, at most `AT_ONCE`. Returns how many went.

    An id by which a server names what it was made from stays taken for as long as the server is known.
    """
    c = deleted_images.c
    old = sa.select(c.id).where(c.deleted_at < before, ~_exists(servers.c.image_id == c.id))
    ids = await session.scalars(old.order_by(c.deleted_at).limit(AT_ONCE))
    return await session.changed(sa.delete(deleted_images).where(c.id.in_(ids))) if ids else 0


async def bound_deleted_images(session: Session) -> int:
    """Free the oldest ids of one project that has too many deleted images, at most `AT_ONCE`. Returns how many went.

    Only ids that no other project could know: else whoever gave others an image could free its id by making and
    deleting many, and give it other bytes.
    """
    c, number = deleted_images.c, sa.func.count()
    theirs = sa.and_(c.owner.is_not(None), c.was_open.is_(False))
    many = sa.select(c.owner, number).where(theirs).group_by(c.owner).having(number > MOST_IDS)
    for owner, count in await session.rows(many):
        free = sa.select(c.id).where(theirs, c.owner == owner, ~_exists(servers.c.image_id == c.id))
        ids = await session.scalars(free.order_by(c.deleted_at).limit(min(count - MOST_IDS, AT_ONCE)))
        if ids:
            return await session.changed(sa.delete(deleted_images).where(c.id.in_(ids)))
    return 0
