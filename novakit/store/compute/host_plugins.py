"""With which drivers the agents of hosts were started, as they told last."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypedDict

import sqlalchemy as sa

from novakit import world
from novakit.store.engine import Session
from novakit.store.schema import UTC, metadata

host_plugins = sa.Table(
    "host_plugins",
    metadata,
    sa.Column("host", sa.String(255), primary_key=True),
    sa.Column("driver", sa.String(255), nullable=False),
    sa.Column("network", sa.String(255), nullable=False),
    sa.Column("plugins", sa.JSON, nullable=False),
    sa.Column("since", UTC, nullable=False),
)
"""`plugins` are `PluginRow` records as plain data; `since` is when the host first told so."""


class HostPluginsRow(TypedDict):
    """A row of `host_plugins`."""

    host: str
    driver: str
    network: str
    plugins: list[Mapping[str, object]]
    since: datetime


async def put(session: Session, host: str, values: Mapping[str, object]) -> None:
    """Write what a host runs in the place of what it ran before."""
    insert = session.insert(host_plugins)
    new = {**values, "since": world.now()}
    upsert = insert.on_conflict_do_update(index_elements=["host"], set_={name: insert.excluded[name] for name in new})
    await session.execute(upsert, [{"host": host, **new}])


async def every(session: Session) -> Sequence[HostPluginsRow]:
    """Fetch what each host runs, in the order of their names."""
    return await session.all(sa.select(host_plugins).order_by(host_plugins.c.host), of=HostPluginsRow)
