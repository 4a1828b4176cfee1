"""Compute hosts: what their agents reported, and what operators decided about them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypedDict

import sqlalchemy as sa

from novakit import world
from novakit.store.engine import Session
from novakit.store.schema import UTC, metadata, uuid_column

hosts = sa.Table(
    "hosts",
    metadata,
    sa.Column("name", sa.String(255), primary_key=True),
    uuid_column("id", nullable=False, unique=True),
    uuid_column("provider_id", nullable=False, unique=True),
    sa.Column("number", sa.Integer, nullable=False, unique=True),
    sa.Column("enabled", sa.Boolean, nullable=False, default=True),
    sa.Column("disabled_reason", sa.String(255)),
    sa.Column("forced_down", sa.Boolean, nullable=False, default=False),
    sa.Column("facts", sa.JSON, nullable=False),
    sa.Column("changed", sa.BigInteger, nullable=False, default=0, index=True),
    sa.Column("created_at", UTC, nullable=False),
    sa.Column("updated_at", UTC, nullable=False),
    sa.Column("last_seen", UTC, nullable=False),
    sa.Column("directory", sa.String(36), nullable=False, server_default=""),
    sa.Column("room", sa.JSON(none_as_null=True)),
)
"""`id` is the compute service's id, `provider_id` the hypervisor's and the resource provider's.

`facts` is a `HostFacts` record as plain data.
`directory` is the id of the host's own directory that reported last; empty where none has told.
`room` is a `Room` record of the file system that this directory is on; null where the host watches none.
`last_seen` is a mark that changes with each sign of life; how old it is tells `liveness` alone.
`changed` grows with every change a scheduler must see; heartbeats leave it alone.
"""


class ToldFacts(TypedDict, total=False):
    """A `HostFacts` record as plain data; an agent of another version tells less, or more."""

    hypervisor_type: str
    hypervisor_version: int
    hypervisor_hostname: str
    inventory: Mapping[str, Mapping[str, object]]
    traits: list[str]
    cpu_info: Mapping[str, object]
    supported_instances: list[list[str]]
    machine_types: list[str]
    acceleration: str
    why: str
    metrics: Mapping[str, float]
    numa: list[Mapping[str, object]]
    pci: list[Mapping[str, object]]
    host_ip: str | None


class HostRow(TypedDict):
    """A row of `hosts`."""

    name: str
    id: str
    provider_id: str
    number: int
    enabled: bool
    disabled_reason: str | None
    forced_down: bool
    facts: ToldFacts
    changed: int
    created_at: datetime
    updated_at: datetime
    last_seen: datetime
    directory: str
    room: Mapping[str, int] | None


class HostSign(TypedDict):
    """What of a host tells whether it lives."""

    name: str
    last_seen: datetime
    forced_down: bool


_called = sa.func.coalesce(sa.func.nullif(hosts.c.facts["hypervisor_hostname"].as_string(), ""), hosts.c.name)
"""What a host's hypervisor is called."""


async def report(
    session: Session,
    name: str,
    facts: Mapping[str, object],
    directory: str = "",
    room: Mapping[str, object] | None = None,
) -> tuple[HostRow, bool]:
    """Record what an agent says of its host. Returns the row and whether anything that schedulers see is new."""
    now = world.now()
    seen = {"last_seen": now, "directory": directory, "room": room}
    known = await session.first(sa.select(hosts).where(hosts.c.name == name), of=HostRow)
    if known is None:
        count = await session.scalar(sa.select(sa.func.coalesce(sa.func.max(hosts.c.number), 0)))
        row = {
            "name": name,
            "id": world.new_id(),
            "provider_id": world.new_id(),
            "number": count + 1,
            "enabled": True,
            "forced_down": False,
            "facts": facts,
            "changed": await next_change(session),
            "created_at": now,
            "updated_at": now,
            **seen,
        }
        await session.execute(sa.insert(hosts), [row])
    elif known["facts"] != facts:
        await session.execute(
            sa.update(hosts)
            .where(hosts.c.name == name)
            .values(facts=facts, updated_at=now, changed=await next_change(session), **seen)
        )
    else:
        await session.execute(sa.update(hosts).where(hosts.c.name == name).values(seen))
        return known, False
    fresh = await session.first(sa.select(hosts).where(hosts.c.name == name), of=HostRow)
    assert fresh is not None
    return fresh, True


async def next_change(session: Session) -> int:
    """Return the number after the highest change so far; no other transaction gets one until this one ends."""
    await session.serialise("hosts")
    return int(await session.scalar(sa.select(sa.func.coalesce(sa.func.max(hosts.c.changed), 0)))) + 1


async def seen(session: Session, names: Iterable[str], at: datetime) -> None:
    """Record a heartbeat of many hosts at once."""
    # By name, as whoever writes several hosts does: two transactions that each wait for the other's would both fail.
    rows = [{"host_name": name, "at": at} for name in sorted(names)]
    if rows:
        await session.execute(
            sa.update(hosts)
            .where(hosts.c.name == sa.bindparam("host_name"))
            .values(last_seen=sa.bindparam("at", type_=UTC)),
            rows,
        )


async def host(session: Session, name: str) -> HostRow | None:
    """Fetch one host by name."""
    return await session.first(sa.select(hosts).where(hosts.c.name == name), of=HostRow)


async def with_node(session: Session, node: str) -> HostRow | None:
    """Fetch the host whose hypervisor calls itself so."""
    return await session.first(sa.select(hosts).where(_called == node).order_by(hosts.c.number), of=HostRow)


async def others_called(session: Session, name: str, node: str) -> Sequence[str]:
    """List the hosts beside one that have a name, or whose hypervisors have it already; of two, the first host's."""
    columns = hosts.c.name, hosts.c.number, _called.label("called")
    named = sa.or_(hosts.c.name.in_([name, node]), _called == node)
    rows: list[tuple[str, int, str]] = await session.rows(sa.select(*columns).where(named).order_by(hosts.c.number))
    # Two may have it that were asked at the same moment, and neither is to lose it to one that comes later.
    own = next((number for host, number, called in rows if host == name and called == node), None)
    others = [(host, number) for host, number, _ in rows if host != name]
    return [host for host, number in others if host == node or own is None or number < own]


async def some(session: Session, names: Iterable[str]) -> Sequence[HostRow]:
    """Fetch several hosts by name, in no order."""
    return await session.all(sa.select(hosts).where(hosts.c.name.in_(sorted(names))), of=HostRow)


async def every(session: Session) -> Sequence[HostRow]:
    """Fetch all hosts in the order they first appeared."""
    return await session.all(sa.select(hosts).order_by(hosts.c.number), of=HostRow)


async def signs(session: Session) -> list[HostSign]:
    """Fetch the last sign of life of every host."""
    return await session.all(sa.select(hosts.c.name, hosts.c.last_seen, hosts.c.forced_down), of=HostSign)


async def rooms(session: Session) -> Mapping[str, Mapping[str, int]]:
    """Fetch what hosts told of the file systems of their directories, by name; those that told nothing are left out."""
    return dict(await session.rows(sa.select(hosts.c.name, hosts.c.room).where(hosts.c.room.is_not(None))))


async def decide(session: Session, name: str, **values: object) -> bool:
    """Record an operator's decision: `enabled`, `disabled_reason`, `forced_down`. Returns whether the host exists."""
    statement = (
        sa.update(hosts)
        .where(hosts.c.name == name)
        .values(updated_at=world.now(), changed=await next_change(session), **values)
    )
    return await session.changed(statement) > 0
