"""Guests that hosts have and no server of this database is; rows stand for as long as the host reports them."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import sqlalchemy as sa

from novakit.store.engine import Row, Session
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

`keeps` are the ids of ports and networks that it is wired with; name, project and `created_at` are what its host says.
"""


async def of_host(session: Session, host: str) -> dict[str, Row]:
    """Fetch the strangers on a host, by guest."""
    found = await session.all(sa.select(strangers).where(strangers.c.host == host))
    return {row["guest"]: row for row in found}


async def every(session: Session) -> list[Row]:
    """Fetch all strangers, those of a host together."""
    return await session.all(sa.select(strangers).order_by(strangers.c.host, strangers.c.guest))


async def some(session: Session, guest: str) -> list[Row]:
    """Fetch the rows of one guest: one for each host that has it."""
    return await session.all(sa.select(strangers).where(strangers.c.guest == guest).order_by(strangers.c.host))


async def put(session: Session, row: Mapping[str, object]) -> None:
    """Write a stranger in the place of what was known of it, but for when it was first seen."""
    insert = session.insert(strangers)
    new = {name: insert.excluded[name] for name in row if name not in ("host", "guest", "first_seen")}
    await session.execute(insert.on_conflict_do_update(index_elements=["host", "guest"], set_=new), [row])


async def drop(session: Session, host: str, guests: Collection[str]) -> None:
    """Forget strangers: they are gone from their host, or none any more."""
    if guests:
        await session.execute(sa.delete(strangers).where(strangers.c.host == host, strangers.c.guest.in_(list(guests))))


async def kept(session: Session, hosts: Iterable[str]) -> tuple[Mapping[str, Sequence[str]], frozenset[str]]:
    """Return the strangers of each host, and the networks of all strangers anywhere that there are no rows of."""
    c = strangers.c
    found = await session.all(sa.select(c.host, c.guest, c.keeps))
    if not found:
        return {}, frozenset()
    wired = {id for row in found for id in row["keeps"].get("networks", ())}
    known = set(await session.scalars(sa.select(networks.c.id).where(networks.c.id.in_(wired)))) if wired else set()
    return {host: [row["guest"] for row in found if row["host"] == host] for host in hosts}, frozenset(wired - known)
