"""Hosts whose reports are not taken: of another deployment, or from a directory that lacks guests; only told of."""

from collections.abc import Mapping
from datetime import datetime
from typing import TypedDict

import sqlalchemy as sa

from novakit import world
from novakit.store.engine import Session
from novakit.store.schema import UTC, metadata, uuid_column

refused_hosts = sa.Table(
    "refused_hosts",
    metadata,
    sa.Column("host", sa.String(255), primary_key=True),
    uuid_column("deployment", nullable=False),
    sa.Column("since", UTC, nullable=False),
    sa.Column("why", sa.Text, nullable=False, server_default=""),
)
"""`why` is empty for a host of another deployment."""


class RefusedHostRow(TypedDict):
    """A row of `refused_hosts`."""

    host: str
    deployment: str
    since: datetime
    why: str


async def put(session: Session, host: str, deployment: str, why: str = "") -> None:
    """Note that a host is refused; the first time counts."""
    row = {"host": host, "deployment": deployment, "since": world.now(), "why": why}
    insert = session.insert(refused_hosts)
    new = {"deployment": insert.excluded.deployment, "why": insert.excluded.why}
    await session.execute(insert.on_conflict_do_update(index_elements=["host"], set_=new), [row])


async def drop(session: Session, host: str) -> None:
    """Forget that a host was refused; its reports are taken now."""
    await session.execute(sa.delete(refused_hosts).where(refused_hosts.c.host == host))


async def every(session: Session) -> Mapping[str, RefusedHostRow]:
    """Fetch all, by host."""
    found = await session.all(sa.select(refused_hosts).order_by(refused_hosts.c.host), of=RefusedHostRow)
    return {row["host"]: row for row in found}


async def refused_host(session: Session, host: str) -> RefusedHostRow | None:
    """Fetch one by host."""
    return await session.first(sa.select(refused_hosts).where(refused_hosts.c.host == host), of=RefusedHostRow)
