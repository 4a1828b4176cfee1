"""Guests that hosts have and no server of this database is; rows stand for as long as the host reports them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypedDict

import sqlalchemy as sa

from novakit.store.engine import Session
from novakit.store.network.networks import networks
from novakit.store.schema import UTC, metadata, uuid_column

strangers = sa.Table(
    "strangers",
    metadata,
    sa.Column("host", sa.String(255), primary_key=True),
    uuid_column("guest", primary_key=True),
    uuid_column("claim_id", nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("power", sa.String(16), nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("keeps", sa.JSON, nullable=False),
    sa.Column("held", sa.JSON),
    sa.Column("created_at", sa.String(40)),
    sa.Column("first_seen", UTC, nullable=False),
)
"""`claim_id` is the consumer that holds in the ledger what the guest takes of its host, `held` how much that is by
resource class; null where nobody knows, or it does not fit.

`keeps` are the ids of ports and networks that it is wired with, and how far its note reaches; name, project and
`created_at` are what its host says.
"""


class StrangerKeeps(TypedDict, total=False):
    """What stays on hosts because of a stranger, and who goes by it: `EVERYWHERE`, `LOST` or `HERE`."""

    ports: list[str]
    networks: list[str]
    addresses: Mapping[str, list[str]]
    """Those of its ports, by subnet."""
    around: list[str]
    """What the network driver of its host keeps there beside them."""
    reach: str


class StrangerRow(TypedDict):
    """A row of `strangers`."""

    host: str
    guest: str
    claim_id: str
    name: str
    project_id: str
    power: str
    why: str
    keeps: StrangerKeeps
    held: Mapping[str, int] | None
    created_at: str | None
    first_seen: datetime


EVERYWHERE, LOST, HERE = "everywhere", "lost", "here"
"""How far a note reaches: sealed by this database; not sealed, in a database that took the place of a lost one; and not
sealed at all, so that nobody beyond its host goes by it."""
MOST_NETWORKS = 256
"""Networks on which other hosts keep DHCP and routers at the word of one host, by notes that are not sealed."""
PORTION = 5000
"""Networks that are asked for at once; SQLite takes 32,766 parameters in a statement."""


async def of_host(session: Session, host: str) -> dict[str, StrangerRow]:
    """Fetch the strangers on a host, by guest."""
    found = await session.all(sa.select(strangers).where(strangers.c.host == host), of=StrangerRow)
    return {row["guest"]: row for row in found}


_COUNTS = sa.select(strangers.c.host, sa.func.count().label("count")).group_by(strangers.c.host)


async def counts(session: Session) -> dict[str, int]:
    """Count the strangers of each host that has any."""
    return dict(await session.rows(_COUNTS))


async def every(session: Session) -> list[StrangerRow]:
    """Fetch all strangers, those of a host together."""
    return await session.all(sa.select(strangers).order_by(strangers.c.host, strangers.c.guest), of=StrangerRow)


async def some(session: Session, guest: str) -> list[StrangerRow]:
    """Fetch the rows of one guest: one for each host that has it."""
    return await session.all(
        sa.select(strangers).where(strangers.c.guest == guest).order_by(strangers.c.host), of=StrangerRow
    )


async def put(session: Session, row: Mapping[str, object]) -> None:
    """Write a stranger in the place of what was known of it, but for when it was first seen."""
    insert = session.insert(strangers)
    new = {name: insert.excluded[name] for name in row if name not in ("host", "guest", "first_seen")}
    await session.execute(insert.on_conflict_do_update(index_elements=["host", "guest"], set_=new), [row])


async def drop(session: Session, host: str, guests: Collection[str]) -> None:
    """Forget strangers: they are gone from their host, or none any more."""
    if guests:
        await session.execute(sa.delete(strangers).where(strangers.c.host == host, strangers.c.guest.in_(list(guests))))


_KEEPS = sa.select(strangers.c.host, strangers.c.guest, strangers.c.keeps).order_by(strangers.c.host, strangers.c.guest)


async def kept(
    session: Session, hosts: Iterable[str]
) -> tuple[Mapping[str, Sequence[str]], Mapping[str, frozenset[str]]]:
    """Return the strangers of each host, and by host the networks that stay there and that there are no rows of.

    These are the networks of its own strangers, and those of all others whose notes reach further than their hosts.
    """
    found: list[tuple[str, str, StrangerKeeps]] = await session.rows(_KEEPS)
    if not found:
        return {}, {}
    own: dict[str, set[str]] = {}
    told: dict[str, set[str]] = {}
    everywhere: set[str] = set()
    for host, _, keeps in found:
        wired, reach = keeps.get("networks", ()), keeps.get("reach")
        own.setdefault(host, set()).update(wired)
        if reach == EVERYWHERE:
            everywhere.update(wired)
        elif reach == LOST:
            told.setdefault(host, set()).update(wired)
    for some in told.values():
        everywhere.update(sorted(some)[:MOST_NETWORKS])
    named = list(everywhere.union(*own.values()))
    known: set[str] = set()
    for at in range(0, len(named), PORTION):
        part = named[at : at + PORTION]
        known.update(await session.scalars(sa.select(networks.c.id).where(networks.c.id.in_(part))))
    guests: dict[str, list[str]] = {}
    for host, guest, _ in found:
        guests.setdefault(host, []).append(guest)
    return guests, {host: frozenset((own.get(host, set()) | everywhere) - known) for host in hosts}
