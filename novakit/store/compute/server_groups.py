"""Server groups: servers that shall stand together or apart; where they stand is read from the placement ledger."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict

import sqlalchemy as sa

from novakit import world
from novakit.store.engine import Session
from novakit.store.placement.tables import allocations, providers
from novakit.store.schema import UTC, metadata, uuid_column

server_groups = sa.Table(
    "server_groups",
    metadata,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    uuid_column("id", nullable=False, unique=True),
    sa.Column("project_id", sa.String(255), nullable=False, index=True),
    sa.Column("user_id", sa.String(255), nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("policy", sa.String(32), nullable=False),
    sa.Column("rules", sa.JSON, nullable=False, default=dict),
    sa.Column("metadata", sa.JSON, nullable=False, default=dict),
    sa.Column("created_at", UTC, nullable=False),
)
"""`rules` holds `max_server_per_host` where it was given."""


class ServerGroupRow(TypedDict):
    """A row of `server_groups`."""

    number: int
    id: str
    project_id: str
    user_id: str
    name: str
    policy: str
    rules: Mapping[str, int]
    metadata: Mapping[str, str]
    created_at: datetime


server_group_members = sa.Table(
    "server_group_members",
    metadata,
    uuid_column("group_id", primary_key=True),
    uuid_column("server_id", primary_key=True, index=True),
)


async def add(session: Session, **values: Any) -> ServerGroupRow:
    """Make a group of project_id, user_id, name, policy, and rules and metadata if any."""
    row = {"id": world.new_id(), "created_at": world.now(), "rules": {}, "metadata": {}, **values}
    await session.execute(sa.insert(server_groups), [row])
    made = await server_group(session, row["id"])
    assert made is not None
    return made


async def change(session: Session, group_id: str, **values: object) -> bool:
    """Change columns of a group. Returns whether there is one."""
    return await session.changed(sa.update(server_groups).where(server_groups.c.id == group_id).values(**values)) > 0


async def server_group(session: Session, group_id: str) -> ServerGroupRow | None:
    """Fetch one group."""
    return await session.first(sa.select(server_groups).where(server_groups.c.id == group_id), of=ServerGroupRow)


async def count(session: Session, project_id: str) -> int:
    """Count a project's groups."""
    c = server_groups.c
    return int(await session.scalar(sa.select(sa.func.count()).where(c.project_id == project_id)))


async def some(
    session: Session, project_id: str | None, *, offset: int = 0, limit: int = 1000
) -> Sequence[ServerGroupRow]:
    """Fetch a project's groups, or everybody's, in the order they were made."""
    statement = sa.select(server_groups).order_by(server_groups.c.number).offset(offset).limit(limit)
    return await session.all(
        statement if project_id is None else statement.where(server_groups.c.project_id == project_id),
        of=ServerGroupRow,
    )


async def remove(session: Session, group_id: str) -> bool:
    """Delete a group; its servers stay where they are. Tell whether there was one."""
    await session.execute(sa.delete(server_group_members).where(server_group_members.c.group_id == group_id))
    return await session.changed(sa.delete(server_groups).where(server_groups.c.id == group_id)) > 0


async def join(session: Session, group_id: str, server_ids: Iterable[str]) -> None:
    """Make servers members of a group; twice is once."""
    rows = [{"group_id": group_id, "server_id": server_id} for server_id in server_ids]
    if rows:
        await session.execute(session.insert(server_group_members).on_conflict_do_nothing(), rows)


async def leave(session: Session, server_ids: Iterable[str]) -> None:
    """End the membership of servers, whatever group they are in."""
    ids = list(server_ids)
    await session.execute(sa.delete(server_group_members).where(server_group_members.c.server_id.in_(ids)))


async def members(session: Session, group_ids: Iterable[str]) -> dict[str, list[str]]:
    """Return server ids by group; groups without members are left out."""
    c = server_group_members.c
    statement = sa.select(c.group_id, c.server_id).where(c.group_id.in_(list(group_ids))).order_by(c.server_id)
    found: dict[str, list[str]] = {}
    for group, server in await session.rows(statement):
        found.setdefault(group, []).append(server)
    return found


async def group_of(session: Session, server_id: str) -> ServerGroupRow | None:
    """Fetch the group that a server is a member of."""
    return await session.first(
        sa.select(server_groups)
        .join(server_group_members, server_group_members.c.group_id == server_groups.c.id)
        .where(server_group_members.c.server_id == server_id),
        of=ServerGroupRow,
    )


async def policies(session: Session, group_ids: Iterable[str], *, lock: bool = False) -> dict[str, ServerGroupRow]:
    """Fetch several groups by id; with `lock`, no other transaction places members of them until this one ends."""
    statement = sa.select(server_groups).where(server_groups.c.id.in_(sorted(group_ids))).order_by(server_groups.c.id)
    rows = await session.lock(statement, of=ServerGroupRow) if lock else await session.all(statement, of=ServerGroupRow)
    return {row["id"]: row for row in rows}


async def places(
    session: Session, group_ids: Iterable[str], provider_ids: Iterable[str] | None = None
) -> Mapping[str, Mapping[str, frozenset[str]]]:
    """Return the members that hold something of a provider, by group and root provider; of all providers or of some."""
    held = (
        sa.select(server_group_members.c.group_id, providers.c.root_id, server_group_members.c.server_id)
        .distinct()
        .join(allocations, allocations.c.consumer_id == server_group_members.c.server_id)
        .join(providers, providers.c.id == allocations.c.provider_id)
        .where(server_group_members.c.group_id.in_(list(group_ids)))
    )
    if provider_ids is not None:
        held = held.where(providers.c.root_id.in_(list(provider_ids)))
    found: dict[str, dict[str, set[str]]] = {}
    rows = await session.rows(held)
    for group, root, server in rows:
        found.setdefault(group, {}).setdefault(root, set()).add(server)
    return {group: {root: frozenset(ids) for root, ids in by.items()} for group, by in found.items()}
