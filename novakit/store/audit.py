"""What an audit compares the hosts with: everything that may own something, read in one transaction."""

from collections.abc import Iterable, Mapping
from typing import TypedDict

import attrs
import sqlalchemy as sa

from novakit.store import operations
from novakit.store.compute import hosts, refused_hosts, servers, strangers
from novakit.store.compute.refused_hosts import RefusedHostRow
from novakit.store.compute.servers import LivingServer
from novakit.store.compute.strangers import StrangerRow
from novakit.store.engine import Session
from novakit.store.network.networks import networks
from novakit.store.network.ports import ports
from novakit.store.network.routers import routers
from novakit.store.placement import usages
from novakit.store.placement.usages import ConsumerUsage, DriftedInventory
from novakit.store.scheduler import picture as scheduling


class OpenOperation(TypedDict):
    """An operation that has not ended."""

    id: str
    kind: str
    server_id: str


class PortOwner(TypedDict):
    """Whose a port is, and on which host."""

    id: str
    server_id: str | None
    host: str | None
    project_id: str


@attrs.frozen(kw_only=True)
class Picture:
    """The store's side of an audit."""

    hosts: Mapping[str, str]
    """Root provider by name."""
    servers: Mapping[str, LivingServer]
    """Those that are not deleted, by id."""
    once: frozenset[str]
    """Deleted servers among those that still own something, in the store or on a host."""
    operations: tuple[OpenOperation, ...]
    """Those that have not ended."""
    held: Mapping[str, tuple[ConsumerUsage, ...]]
    """By consumer."""
    roots: Mapping[str, str]
    """Root provider by provider."""
    ports: Mapping[str, PortOwner]
    """By id."""
    networks: frozenset[str]
    routers: frozenset[str]
    strangers: Mapping[tuple[str, str], StrangerRow] = attrs.field(factory=dict)
    """Guests that no server is, by host and id."""
    refused: Mapping[str, RefusedHostRow] = attrs.field(factory=dict)
    """Hosts that belong to another deployment."""
    drift: tuple[DriftedInventory, ...]
    """Inventories whose used amount is not the sum of their allocations."""


async def picture(session: Session, guests: Iterable[str] = ()) -> Picture:
    """Read all of it; a dozen statements, whatever the number of servers. `guests` are the ids found on hosts."""
    living = {row["id"]: row for row in await servers.living(session)}
    held: dict[str, list[ConsumerUsage]] = {}
    for row in await usages.of_consumers(session):
        held.setdefault(row["consumer_id"], []).append(row)
    o, p = operations.operations.c, ports.c
    unfinished = await session.all(sa.select(o.id, o.kind, o.server_id).where(operations.OPEN), of=OpenOperation)
    wired = await session.all(sa.select(p.id, p.server_id, p.host, p.project_id), of=PortOwner)
    owners = (row["server_id"] for row in (*wired, *unfinished))
    doubtful = {*held, *guests, *(id for id in owners if id is not None)} - living.keys()
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
