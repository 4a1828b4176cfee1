"""What an audit compares the hosts with: everything that may own something, read in one transaction."""

from collections.abc import Iterable, Mapping

import attrs
import sqlalchemy as sa

from novakit.store import operations
from novakit.store.compute import hosts, refused_hosts, servers, strangers
from novakit.store.engine import Row, Session
from novakit.store.network.networks import networks
from novakit.store.network.ports import ports
from novakit.store.network.routers import routers
from novakit.store.placement import usages
from novakit.store.scheduler import picture as scheduling


@attrs.frozen(kw_only=True)
class Picture:
    """The store's side of an audit."""

    hosts: Mapping[str, str]
    """Root provider by name."""
    servers: Mapping[str, Row]
    """Those that are not deleted, by id."""
    once: frozenset[str]
    """Deleted servers among those that still own something, in the store or on a host."""
    operations: tuple[Row, ...]
    """Those that have not ended: id, kind, server_id."""
    held: Mapping[str, tuple[Row, ...]]
    """By consumer: rows of type, provider_id, resource_class, used."""
    roots: Mapping[str, str]
    """Root provider by provider."""
    ports: Mapping[str, Row]
    """By id: server_id, host, project_id."""
    networks: frozenset[str]
    routers: frozenset[str]
    strangers: Mapping[tuple[str, str], Row] = attrs.field(factory=dict)
    """Guests that no server is, by host and id."""
    refused: Mapping[str, Row] = attrs.field(factory=dict)
    """Hosts that belong to another deployment."""
    drift: tuple[Row, ...]
    """Inventories whose used amount is not the sum of their allocations."""


async def picture(session: Session, guests: Iterable[str] = ()) -> Picture:
    """Read all of it; a dozen statements, whatever the number of servers. `guests` are the ids found on hosts."""
    living = {row["id"]: row for row in await servers.living(session)}
    held: dict[str, list[Row]] = {}
    for row in await usages.of_consumers(session):
        held.setdefault(row["consumer_id"], []).append(row)
    o, p = operations.operations.c, ports.c
    unfinished = await session.all(sa.select(o.id, o.kind, o.server_id).where(operations.OPEN))
    wired = await session.all(sa.select(p.id, p.server_id, p.host, p.project_id))
    doubtful = {*held, *guests, *(row["server_id"] for row in (*wired, *unfinished))} - {None, *living}
    return Picture(
        hosts={row["name"]: row["provider_id"] for row in await hosts.every(session)},
        servers=living,
        once=frozenset(row["id"] for row in await servers.some(session, doubtful)) if doubtful else frozenset(),
        operations=tuple(unfinished),
        held={consumer: tuple(rows) for consumer, rows in held.items()},
        roots=await scheduling.trees(session, None),
        ports={row["id"]: row for row in wired},
        networks=frozenset(await session.scalars(sa.select(networks.c.id))),
        routers=frozenset(await session.scalars(sa.select(routers.c.id))),
        strangers={(row["host"], row["guest"]): row for row in await strangers.every(session)},
        refused=await refused_hosts.every(session),
        drift=tuple(await usages.drift(session)),
    )
