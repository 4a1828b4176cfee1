"""Which state of the network each host should have, and which one it has."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import ClassVar

import attrs
import sqlalchemy as sa

from novakit import world
from novakit.store.engine import Session
from novakit.store.network.ports import port_groups, ports
from novakit.store.network.rows import Condition, StoredRow, records
from novakit.store.network.security_group_rules import rules
from novakit.store.schema import metadata

network_hosts = sa.Table(
    "network_hosts",
    metadata,
    sa.Column("host", sa.String(255), primary_key=True),
    sa.Column("wanted", sa.BigInteger, nullable=False),
    sa.Column("applied", sa.BigInteger, nullable=False),
    sa.Column("gateway", sa.Integer, unique=True),
)
"""`gateway` is 1 for the one host that runs routers and DHCP, NULL for every other."""


@attrs.frozen
class StoredHost(StoredRow):
    """A row of `network_hosts`."""

    table: ClassVar[sa.Table] = network_hosts
    host: str
    wanted: int
    applied: int
    gateway: int | None


@attrs.define(kw_only=True)
class Touched:
    """What a transaction changed, in the terms by which hosts are found that must see it."""

    hosts: set[str] = attrs.field(factory=set)
    gateway: bool = False
    """Whether the host that runs routers and DHCP must see it."""
    groups: set[str] = attrs.field(factory=set)
    """Security groups whose rules changed."""
    members: set[str] = attrs.field(factory=set)
    """Security groups whose members or members' addresses changed."""
    networks: set[str] = attrs.field(factory=set)
    """Networks whose subnets or attributes changed."""

    def nothing(self) -> bool:
        """Return whether no host need know."""
        return not (self.hosts or self.gateway or self.groups or self.members or self.networks)


async def touch(session: Session, touched: Touched) -> set[str]:
    """Raise the wanted revision of exactly the hosts that must see a change. Returns which they are."""
    if touched.nothing():
        return set()
    conditions: list[Condition] = []
    hosts = network_hosts.c.host
    if touched.hosts:
        conditions.append(hosts.in_(list(touched.hosts)))
    if touched.gateway:
        conditions.append(network_hosts.c.gateway == 1)
    bound = sa.select(ports.c.host).where(ports.c.host.is_not(None))
    if touched.networks:
        conditions.append(hosts.in_(bound.where(ports.c.network_id.in_(list(touched.networks)))))
    if touched.groups:
        conditions.append(hosts.in_(_in_groups(bound, list(touched.groups))))
    if touched.members:
        trusting = sa.select(rules.c.security_group_id).where(rules.c.remote_group_id.in_(list(touched.members)))
        conditions.append(hosts.in_(_in_groups(bound, trusting)))
    statement = sa.update(network_hosts).where(sa.or_(*conditions)).values(wanted=network_hosts.c.wanted + 1)
    found = set(await session.scalars(statement.returning(hosts)))
    if unknown := touched.hosts - found:
        await appear(session, unknown)
    return found | touched.hosts


Bound = sa.Select[tuple[str | None]]


def _in_groups(bound: Bound, groups: Sequence[str] | sa.Select[tuple[str]]) -> Bound:
    return bound.join(port_groups, port_groups.c.port_id == ports.c.id).where(port_groups.c.group_id.in_(groups))


async def appear(session: Session, hosts: Iterable[str]) -> None:
    """Add hosts that were not known; the first of all runs routers and DHCP until another is chosen."""
    leader = await session.scalar(sa.select(network_hosts.c.host).where(network_hosts.c.gateway == 1))
    # A host that was forgotten and comes back must see a higher revision than any before: count from the clock.
    first = int(world.now().timestamp())
    rows = [{"host": host, "wanted": first, "applied": 0, "gateway": None} for host in sorted(hosts)]
    if leader is None and rows:
        rows[0]["gateway"] = 1
    await session.execute(session.insert(network_hosts).on_conflict_do_nothing(index_elements=["host"]), rows)


async def choose_gateway(session: Session, host: str | None) -> set[str]:
    """Let a host, or whichever is left, run routers and DHCP. Returns the hosts that must see it."""
    former = await session.scalar(sa.select(network_hosts.c.host).where(network_hosts.c.gateway == 1))
    if host is None:
        host = former or await session.scalar(sa.select(sa.func.min(network_hosts.c.host)))
    if host is None or host == former:
        return set()
    higher = {"wanted": network_hosts.c.wanted + 1}
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


async def show(session: Session, host: str) -> StoredHost | None:
    """Fetch one host's revisions."""
    return next(iter(await some(session, [host])), None)


async def some(session: Session, hosts: Collection[str]) -> list[StoredHost]:
    """Fetch the revisions of hosts; the unknown are left out."""
    return await records(session, StoredHost, sa.select(network_hosts).where(network_hosts.c.host.in_(list(hosts))))


async def every(session: Session) -> list[StoredHost]:
    """Fetch the revisions of all hosts."""
    return await records(session, StoredHost, sa.select(network_hosts).order_by(network_hosts.c.host))


_APPLIED = (
    sa.update(network_hosts)
    .where(network_hosts.c.host == sa.bindparam("of_host"), network_hosts.c.applied < sa.bindparam("revision"))
    .values(applied=sa.bindparam("revision"))
)


async def applied(session: Session, revisions: Mapping[str, int]) -> None:
    """Record what hosts have; an older revision than the recorded one changes nothing."""
    if revisions:
        lines = [{"of_host": host, "revision": revision} for host, revision in revisions.items()]
        await session.execute(_APPLIED, lines)


async def overtake(session: Session, host: str, revision: int) -> None:
    """Raise the wanted revision of a host above `revision`, unless it is."""
    c = network_hosts.c
    behind = sa.update(network_hosts).where(c.host == host, c.wanted <= revision)
    await session.execute(behind.values(wanted=revision + 1, applied=revision))


async def forget(session: Session, hosts: Collection[str]) -> None:
    """Remove hosts that will not come back."""
    await session.execute(sa.delete(network_hosts).where(network_hosts.c.host.in_(list(hosts))))
