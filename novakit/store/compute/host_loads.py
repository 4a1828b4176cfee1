"""What servers take of the hosts they are on."""

from collections.abc import Iterable
from typing import TypedDict

import sqlalchemy as sa

from novakit.store.compute.servers import servers
from novakit.store.engine import Session

_HERE = sa.and_(servers.c.host.is_not(None), servers.c.deleted_at.is_(None))


class LoadOfHost(TypedDict):
    """What the servers of a host add up to."""

    host: str
    servers: int
    vcpus: int
    ram: int
    """MiB."""
    disk: int
    """GiB, of root disks and of ephemeral ones."""
    busy: int
    """Servers in a transition."""


class HostedServer(TypedDict):
    """A server and where it is."""

    host: str
    id: str
    name: str


async def sums(session: Session) -> list[LoadOfHost]:
    """Sum up the servers of each host that has any."""
    c = servers.c
    busy = sa.case((c.task_state.is_not(None), 1), else_=0)
    # Of a server that was adopted, the flavor need not say anything of an ephemeral disk.
    disk = c.flavor["disk"].as_integer() + sa.func.coalesce(c.flavor["ephemeral"].as_integer(), 0)
    return await session.all(
        sa.select(
            c.host,
            sa.func.count().label("servers"),
            sa.func.sum(c.vcpus).label("vcpus"),
            sa.func.sum(c.memory_mb).label("ram"),
            sa.func.sum(disk).label("disk"),
            sa.func.sum(busy).label("busy"),
        )
        .where(_HERE)
        .group_by(c.host),
        of=LoadOfHost,
    )


async def names(session: Session, hosts: Iterable[str]) -> list[HostedServer]:
    """Fetch the servers of some hosts, oldest first."""
    c = servers.c
    return await session.all(
        sa.select(c.host, c.id, c.name).where(c.host.in_(list(hosts)), c.deleted_at.is_(None)).order_by(c.number),
        of=HostedServer,
    )


async def outside_zone(session: Session, host: str, zone: str, default_zone: str) -> int:
    """Count the servers of a host that were placed in another availability zone than `zone`."""
    c = servers.c
    placed = sa.func.coalesce(c.availability_zone, default_zone)
    statement = sa.select(sa.func.count()).where(c.host == host, c.deleted_at.is_(None), placed != zone)
    return int(await session.scalar(statement))
