"""What hosts measured of themselves last, apart from their facts: it changes with every report and matters to few."""

from collections.abc import Mapping
from datetime import datetime
from typing import TypedDict

import sqlalchemy as sa

from novakit import world
from novakit.store.engine import Session
from novakit.store.schema import UTC, metadata

host_metrics = sa.Table(
    "host_metrics",
    metadata,
    sa.Column("host", sa.ForeignKey("hosts.name", ondelete="CASCADE"), primary_key=True),
    sa.Column("metrics", sa.JSON, nullable=False),
    sa.Column("received_at", UTC, nullable=False),
    sa.Column("changed", sa.BigInteger, nullable=False, index=True),
)
"""`metrics` is a mapping from names, as columns have them, to numbers; `changed` grows with every report."""


class HostMetricsRow(TypedDict):
    """A row of `host_metrics`."""

    host: str
    metrics: Mapping[str, float]
    received_at: datetime
    changed: int


async def put(session: Session, metrics: Mapping[str, Mapping[str, float]]) -> None:
    """Record what hosts measured now, by host, instead of what they measured before, in one statement."""
    if not metrics:
        return
    await session.serialise("host_metrics")
    last = await session.scalar(sa.select(sa.func.coalesce(sa.func.max(host_metrics.c.changed), 0)))
    common: dict[str, object] = {"received_at": world.now(), "changed": int(last) + 1}
    insert = session.insert(host_metrics)
    new = {name: insert.excluded[name] for name in ("metrics", *common)}
    await session.execute(
        insert.on_conflict_do_update(index_elements=["host"], set_=new),
        [{"host": host, "metrics": dict(found), **common} for host, found in sorted(metrics.items())],
    )


async def since(session: Session, seen: int) -> list[HostMetricsRow]:
    """Fetch host, metrics, received_at and changed of all that measured after the change `seen`."""
    return await session.all(sa.select(host_metrics).where(host_metrics.c.changed > seen), of=HostMetricsRow)
