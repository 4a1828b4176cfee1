"""Hosts that belong to another deployment and refuse this one; told of, and used for nothing."""

from collections.abc import Mapping

import sqlalchemy as sa

from novakit import world
from novakit.store.engine import Row, Session
from novakit.store.schema import UTC, metadata, uuid_column

refused_hosts = sa.Table(
    "refused_hosts",
    metadata,
    sa.Column("host", sa.String(255), primary_key=True),
    uuid_column("deployment", nullable=False),
    sa.Column("since", UTC, nullable=False),
)


async def put(session: Session, host: str, deployment: str) -> None:
    """Note that a host is of another deployment; the first time counts."""
    row = {"host": host, "deployment": deployment, "since": world.now()}
    insert = session.insert(refused_hosts)
    new = {"deployment": insert.excluded.deployment}
    await session.execute(insert.on_conflict_do_update(index_elements=["host"], set_=new), [row])


async def drop(session: Session, host: str) -> None:
    """Forget that a host was of another deployment; it is of this one now."""
    await session.execute(sa.delete(refused_hosts).where(refused_hosts.c.host == host))


async def every(session: Session) -> Mapping[str, Row]:
    """Fetch all, by host."""
    found = await session.all(sa.select(refused_hosts).order_by(refused_hosts.c.host))
    return {row["host"]: row for row in found}
