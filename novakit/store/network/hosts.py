"""Which state of the network each host should have, and which one it has."""

from collections.abc import Collection, Iterable
from typing import ClassVar, NamedTuple

import attrs
import sqlalchemy as sa

from novakit import world
from novakit.store.compute.strangers import strangers
from novakit.store.engine import Session
from novakit.store.network.rows import StoredRow, records
from novakit.store.schema import metadata

network_hosts = sa.Table(
    "network_hosts",
    metadata,
    sa.Column("host", sa.String(255), primary_key=True),
    sa.Column("wanted", sa.BigInteger, nullable=False),
    sa.Column("applied", sa.BigInteger, nullable=False),
    sa.Column("gateway", sa.Integer, unique=True),
    sa.Column("vif_type", sa.String(32)),
    sa.Column("port_filter", sa.Boolean),
    sa.Column("shape", sa.String(36), nullable=False, server_default=""),
    sa.Column("shape_of", sa.BigInteger, nullable=False, server_default="0"),
)
"""`gateway` is 1 for the one host that runs routers and DHCP, NULL for every other.

`vif_type` and `port_filter` are what its network driver lets clients be told of ports on it.
`shape` is a name that nothing had before, given with each change of what the host is told but the members of groups.
It says nothing unless `shape_of` is `wanted`: a process of a version that knows no shapes raises `wanted` alone.
"""


@attrs.frozen
class StoredHost(StoredRow):
    """A row of `network_hosts`."""

    table: ClassVar[sa.Table] = network_hosts
    host: str
    wanted: int
    applied: int
    gateway: int | None
    vif_type: str | None
    port_filter: bool | None
    shape: str
    shape_of: int


async def appear(session: Session, hosts: Iterable[str]) -> None:
    """Add hosts that were not known; the first of all runs routers and DHCP until another is chosen.

    One that another transaction has added meanwhile must see what this one changes, too.
    """
    leader = await session.scalar(sa.select(network_hosts.c.host).where(network_hosts.c.gateway == 1))
    # A host that was forgotten and comes back must see a higher revision than any before: count from the clock.
    first = int(world.now().timestamp())
    new = {"wanted": first, "applied": 0, "gateway": None, "shape": world.new_id(), "shape_of": first}
    rows = [{"host": host, **new} for host in sorted(hosts)]
    if leader is None and rows:
        rows[0]["gateway"] = 1
    adding = session.insert(network_hosts)
    revision = network_hosts.c.wanted + 1
    higher = {"wanted": revision, "shape": adding.excluded.shape, "shape_of": revision}
    await session.execute(adding.on_conflict_do_update(index_elements=["host"], set_=higher), rows)


async def choose_gateway(session: Session, host: str | None) -> set[str]:
    """Let a host, or whichever is left, run routers and DHCP. Returns the hosts that must see it."""
    former = await session.scalar(sa.select(network_hosts.c.host).where(network_hosts.c.gateway == 1))
    if host is None:
        host = former or await session.scalar(sa.select(sa.func.min(network_hosts.c.host)))
    if host is None or host == former:
        return set()
    revision = network_hosts.c.wanted + 1
    higher = {"wanted": revision, "shape": world.new_id(), "shape_of": revision}
    if former:
        await session.execute(
            sa.update(network_hosts).where(network_hosts.c.host == former).values(gateway=None, **higher)
        )
    await session.execute(sa.update(network_hosts).where(network_hosts.c.host == host).values(gateway=1, **higher))
    return {host, former} - {None}


async def behind(session: Session) -> list[str]:
    """List the hosts that have not applied what they should."""
    statement = sa.select(network_hosts.c.host).where(network_hosts.c.applied < network_hosts.c.wanted)
    return await session.scalars(statement.order_by(network_hosts.c.host))


_SOME = sa.select(network_hosts).where(network_hosts.c.host.in_(sa.bindparam("hosts", expanding=True)))


async def host(session: Session, host: str) -> StoredHost | None:
    """Fetch what is known of one host."""
    return next(iter(await some(session, [host])), None)


async def some(session: Session, hosts: Collection[str]) -> list[StoredHost]:
    """Fetch what is known of hosts; the unknown are left out."""
    return await records(session, StoredHost, _SOME, {"hosts": list(hosts)}) if hosts else []


_EVERY = sa.select(network_hosts).order_by(network_hosts.c.host)


async def every(session: Session) -> list[StoredHost]:
    """Fetch what is known of all hosts."""
    return await records(session, StoredHost, _EVERY)


class NotingHost(NamedTuple):
    """A host that keeps a note of the networks around its guests."""

    host: str
    is_gateway: bool
    has_strangers: bool


_NOTING = sa.select(
    network_hosts.c.host,
    network_hosts.c.gateway,
    sa.exists(sa.select(strangers.c.guest).where(strangers.c.host == network_hosts.c.host)),
).order_by(network_hosts.c.host)


async def noting(session: Session) -> list[NotingHost]:
    """Fetch all hosts and whether they have strangers, in one statement."""
    return [NotingHost(host, gateway == 1, bool(strange)) for host, gateway, strange in await session.rows(_NOTING)]


async def overtake(session: Session, host: str, revision: int) -> None:
    """Raise the wanted revision of a host above `revision`, unless it is."""
    c = network_hosts.c
    behind = sa.update(network_hosts).where(c.host == host, c.wanted <= revision)
    higher = {"wanted": revision + 1, "shape": world.new_id(), "shape_of": revision + 1}
    await session.execute(behind.values(applied=revision, **higher))


async def forget(session: Session, hosts: Collection[str]) -> None:
    """Remove hosts that will not come back."""
    await session.execute(sa.delete(network_hosts).where(network_hosts.c.host.in_(list(hosts))))


async def set_binding(session: Session, host: str, vif_type: str, port_filter: bool) -> None:
    """Record what clients are told of ports on a host."""
    statement = sa.update(network_hosts).where(network_hosts.c.host == host)
    await session.execute(statement.values(vif_type=vif_type, port_filter=port_filter))
