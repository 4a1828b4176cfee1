"""What the store forgets after a while: deleted servers, finished operations, and the room that they took.

Invariant: no row goes that something refers to.
A deleted server stays while an operation on it is open, while the ledger, a port or a stranger's note has its id, and
while its host has not reported since the deletion: that host may have the guest still, and only the row says that the
guest may be removed.
Of a server that lives the latest operation of each kind stays.
"""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from novakit.store import deployment
from novakit.store.compute.hosts import hosts
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


def _exists(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return sa.exists(sa.select(sa.literal(1)).where(*conditions))


async def purge_servers(session: Session, before: datetime) -> int:
    """Forget servers that were deleted before a moment, at most `AT_ONCE`. Returns how many went."""
    c, o = servers.c, operations.c
    referred = (
        _exists(o.server_id == c.id, o.finished_at.is_(None)),
        _exists(allocations.c.consumer_id == c.id),
        _exists(ports.c.server_id == c.id),
        _exists(strangers.c.guest == c.id),
        _exists(hosts.c.name == c.host, hosts.c.last_seen <= c.deleted_at),
    )
    old = sa.select(c.id, c.created_at).where(c.deleted_at < before, *(~each for each in referred))
    rows = await session.all(old.order_by(c.deleted_at).limit(AT_ONCE))
    if not rows:
        return 0
    ids = [row["id"] for row in rows]
    # Said in the same transaction: from now on an id of that time that is not known may be that of a purged server.
    await deployment.forgot(session, max(row["created_at"] for row in rows))
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
