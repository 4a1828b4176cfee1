"""What servers hold of the NUMA cells of their hosts; valid as long as the placement ledger says they stand there."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from novakit.store.engine import Session
from novakit.store.placement.tables import allocations
from novakit.store.schema import metadata, uuid_column

numa_claims = sa.Table(
    "numa_claims",
    metadata,
    uuid_column("server_id", primary_key=True),
    uuid_column("provider_id", nullable=False, index=True),
    sa.Column("taken", sa.JSON, nullable=False),
)
"""`taken` is a list of `Taken` records as plain data, one for each guest cell.

Nothing deletes a row when a server goes: a row whose server holds nothing of the provider counts as absent.
"""


async def held(session: Session, provider_ids: Iterable[str]) -> dict[str, dict[str, list[Any]]]:
    """Return what is held of providers' cells, by provider and server."""
    standing = sa.exists().where(
        allocations.c.consumer_id == numa_claims.c.server_id, allocations.c.provider_id == numa_claims.c.provider_id
    )
    c = numa_claims.c
    statement = sa.select(c.provider_id, c.server_id, c.taken).where(c.provider_id.in_(list(provider_ids)), standing)
    found: dict[str, dict[str, list[Any]]] = {}
    for provider_id, server_id, taken in await session.rows(statement):
        found.setdefault(provider_id, {})[server_id] = taken
    return found


async def of_servers(session: Session, server_ids: Iterable[str]) -> Mapping[str, list[Any]]:
    """Give, by server, what it was given; servers without any are left out."""
    c = numa_claims.c
    return dict(await session.rows(sa.select(c.server_id, c.taken).where(c.server_id.in_(list(server_ids)))))


async def put(session: Session, rows: Sequence[Mapping[str, object]]) -> None:
    """Record what servers hold now, instead of what they held."""
    if rows:
        # A server that is placed again has its old row until `prune`, so the new plan takes its place.
        insert = session.insert(numa_claims)
        new = {"provider_id": insert.excluded.provider_id, "taken": insert.excluded.taken}
        await session.execute(insert.on_conflict_do_update(index_elements=["server_id"], set_=new), rows)


async def prune(session: Session) -> int:
    """Drop the rows of servers that hold nothing any more. Returns how many went."""
    standing = sa.exists().where(
        allocations.c.consumer_id == numa_claims.c.server_id, allocations.c.provider_id == numa_claims.c.provider_id
    )
    return await session.changed(sa.delete(numa_claims).where(~standing))
