"""What the tables of the network service share: their standard columns and the plain ways to reach a row."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from novakit import world
from novakit.store.engine import Row, Session
from novakit.store.schema import UTC, metadata, uuid_column

counters = sa.Table(
    "network_counters",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)
"""Numbers that are handed out once: the segments of networks."""


def standard_columns() -> list[sa.Column[Any]]:
    """Make the columns that every resource of the network API has."""
    return [
        uuid_column("id", primary_key=True),
        sa.Column("project_id", sa.String(64), nullable=False, default="", index=True),
        sa.Column("name", sa.String(255), nullable=False, default=""),
        sa.Column("description", sa.String(255), nullable=False, default=""),
        sa.Column("tags", sa.JSON, nullable=False, default=list),
        sa.Column("revision", sa.Integer, nullable=False, default=0),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("updated_at", UTC, nullable=False),
    ]


def fresh(**values: Any) -> dict[str, Any]:
    """Make a row with the standard columns filled."""
    now = world.now()
    standard = {"project_id": "", "name": "", "description": "", "tags": [], "revision": 0}
    return {"id": values.pop("id", None) or world.new_id(), "created_at": now, "updated_at": now, **standard, **values}


def matching(table: sa.Table, wanted: Mapping[str, Any]) -> list[sa.ColumnElement[bool]]:
    """Make the conditions that columns equal values; a list, tuple or set means any of them."""
    conditions: list[sa.ColumnElement[bool]] = []
    for name, value in wanted.items():
        column = table.c[name]
        if isinstance(value, list | tuple | set | frozenset):
            conditions.append(column.in_(list(value)))
        else:
            conditions.append(column.is_(None) if value is None else column == value)
    return conditions


async def find(session: Session, table: sa.Table, **wanted: Any) -> list[Row]:
    """Fetch the rows whose columns have the values, the oldest first."""
    statement = sa.select(table).where(*matching(table, wanted))
    if "created_at" in table.c:
        statement = statement.order_by(table.c.created_at, table.c.id)
    return await session.all(statement)


async def some(session: Session, table: sa.Table, conditions: Sequence[sa.ColumnElement[bool]]) -> list[Row]:
    """Fetch the rows that meet all conditions, the oldest first."""
    return await session.all(sa.select(table).where(*conditions).order_by(table.c.created_at, table.c.id))


async def one(session: Session, table: sa.Table, **wanted: Any) -> Row | None:
    """Fetch the first row whose columns have the values."""
    return await session.first(sa.select(table).where(*matching(table, wanted)).limit(1))


async def lock(session: Session, table: sa.Table, **wanted: Any) -> list[Row]:
    """Fetch rows and keep other writers off them until the end of the transaction."""
    return await session.lock(sa.select(table).where(*matching(table, wanted)).order_by(*table.primary_key.columns))


async def count(session: Session, table: sa.Table, **wanted: Any) -> int:
    """Count the rows whose columns have the values."""
    return int(await session.scalar(sa.select(sa.func.count()).select_from(table).where(*matching(table, wanted))))


async def add(session: Session, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same columns."""
    if rows:
        await session.execute(sa.insert(table), list(rows))


async def change(session: Session, table: sa.Table, key: str, **values: Any) -> None:
    """Change one resource by id; its revision and time of change follow."""
    await session.execute(
        sa.update(table)
        .where(table.c.id == key)
        .values(revision=table.c.revision + 1, updated_at=world.now(), **values)
    )


async def change_many(session: Session, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Change many rows by `id`, all of them in the same columns."""
    if not rows:
        return
    names = [name for name in rows[0] if name != "id"]
    await session.execute(
        sa.update(table)
        .where(table.c.id == sa.bindparam("key_id"))
        .values({name: sa.bindparam(f"new_{name}", type_=table.c[name].type) for name in names}),
        [{"key_id": row["id"], **{f"new_{name}": row[name] for name in names}} for row in rows],
    )


async def remove(session: Session, table: sa.Table, **wanted: Any) -> int:
    """Delete the rows whose columns have the values. Returns how many there were."""
    return await session.changed(sa.delete(table).where(*matching(table, wanted)))


async def next_number(session: Session, name: str, *, taken: sa.Column[Any], highest: int) -> int:
    """Hand out the next number from 1 to `highest` that no row has, going round; writers wait for each other."""
    await session.execute(session.insert(counters).values(name=name, value=0).on_conflict_do_nothing())
    statement = sa.update(counters).where(counters.c.name == name).values(value=counters.c.value + 1)
    while True:
        number = int(await session.scalar(statement.returning(counters.c.value))) % highest or highest
        if not await session.scalar(sa.select(taken).where(taken == number)):
            return number


def ids(rows: Iterable[Row]) -> list[str]:
    """List the ids of rows."""
    return [row["id"] for row in rows]
