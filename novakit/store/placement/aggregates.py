"""Aggregates of providers: free sets, known by their ids alone."""

from collections.abc import Iterable

import sqlalchemy as sa

from novakit.store.engine import Session
from novakit.store.placement import changes
from novakit.store.placement.tables import provider_aggregates


async def of_provider(session: Session, provider_id: str) -> list[str]:
    """List the aggregates of one provider, sorted."""
    chosen = sa.select(provider_aggregates.c.aggregate_id).where(provider_aggregates.c.provider_id == provider_id)
    return await session.scalars(chosen.order_by(provider_aggregates.c.aggregate_id))


async def replace(session: Session, provider_id: str, wanted: Iterable[str], *, raise_generation: bool) -> None:
    """Let a provider be in exactly these aggregates; the caller has locked the provider.

    Versions of the API before generations guarded aggregates leave the generation alone.
    """
    new, old = set(wanted), set(await of_provider(session, provider_id))
    if old - new:
        chosen = (
            provider_aggregates.c.provider_id == provider_id,
            provider_aggregates.c.aggregate_id.in_(sorted(old - new)),
        )
        await session.execute(sa.delete(provider_aggregates).where(*chosen))
    rows = [{"provider_id": provider_id, "aggregate_id": id} for id in sorted(new - old)]
    if rows:
        await session.execute(sa.insert(provider_aggregates), rows)
    if raise_generation or new != old:
        await changes.touch(session, [provider_id], generation=raise_generation)
