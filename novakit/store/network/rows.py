"""What the tables of the network service share: their standard columns and the plain ways to reach a row.

Beside each table stands a record whose fields are its columns, in their order: rows come out of the database and go
into it as records, so a misspelt column is found by the type checker. Building one costs about 2 microseconds, which is
why rows are read as tuples and not as mappings.
Statements are built once for each set of columns that rows are asked for by.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import ClassVar, TypedDict, TypeVar

import attrs
import sqlalchemy as sa

from novakit import world
from novakit.store.engine import Session, Values
from novakit.store.schema import UTC, metadata, shared, uuid_column

counters = sa.Table(
    "network_counters",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)
"""Numbers that are handed out once: the segments of networks."""

Condition = sa.ColumnElement[bool]


@attrs.frozen
class StoredRow:
    """One row of a table; the fields are the columns."""

    table: ClassVar[sa.Table]


@attrs.frozen
class StoredResource(StoredRow):
    """A row of a table that has the standard columns."""

    id: str
    project_id: str
    name: str
    description: str
    tags: list[str]
    revision: int
    created_at: datetime
    updated_at: datetime


class Fresh(TypedDict):
    """The standard columns of a row that is about to be written."""

    id: str
    project_id: str
    name: str
    description: str
    tags: list[str]
    revision: int
    created_at: datetime
    updated_at: datetime


R = TypeVar("R", bound=StoredRow)


def standard_columns() -> list[sa.schema.SchemaItem]:
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


def fresh(
    *, id: str | None = None, project_id: str = "", name: str = "", description: str = "", tags: Iterable[str] = ()
) -> Fresh:
    """Fill the standard columns of a new row."""
    now = world.now()
    return {
        "id": id or world.new_id(),
        "project_id": project_id,
        "name": name,
        "description": description,
        "tags": list(tags),
        "revision": 0,
        "created_at": now,
        "updated_at": now,
    }


def matching(table: sa.Table, wanted: Mapping[str, object]) -> list[Condition]:
    """Make the conditions that columns equal values; a list, tuple or set means any of them."""
    conditions: list[Condition] = []
    for name, value in wanted.items():
        column = table.c[name]
        if isinstance(value, list | tuple | set | frozenset):
            conditions.append(column.in_(list(value)))
        else:
            conditions.append(column.is_(None) if value is None else column == value)
    return conditions


def owned_by(table: sa.Table, project_id: str | None) -> list[Condition]:
    """Make the condition that keeps to what a project owns; None keeps everything."""
    return [] if project_id is None else [table.c.project_id == project_id]


def made(kind: type[R], row: Iterable[object]) -> R:
    """Make a record of a row that has all columns in their order."""
    make: Callable[..., R] = kind
    return make(*row)


_Shape = tuple[tuple[str, str], ...]
"""Columns that rows are asked for by, and for each whether it is to be one `value`, `any` of some, or `null`."""


def _shape(wanted: Mapping[str, object]) -> tuple[_Shape, Values]:
    """Return by what rows are asked for, and the values, as parameters of the statement for it."""
    shape: list[tuple[str, str]] = []
    values: dict[str, object] = {}
    for name, value in wanted.items():
        if isinstance(value, list | tuple | set | frozenset):
            shape.append((name, "any"))
            values[f"is_{name}"] = list(value)
        elif value is None:
            shape.append((name, "null"))
        else:
            shape.append((name, "value"))
            values[f"is_{name}"] = value
    return tuple(shape), values


def _conditions(table: sa.Table, shape: _Shape) -> list[Condition]:
    found: list[Condition] = []
    for name, how in shape:
        column = table.c[name]
        value = sa.bindparam(f"is_{name}", type_=column.type, expanding=how == "any")
        found.append(column.is_(None) if how == "null" else column.in_(value) if how == "any" else column == value)
    return found


@cache
def _select(table: sa.Table, shape: _Shape, order: str) -> sa.Select[tuple[object, ...]]:
    statement = sa.select(table).where(*_conditions(table, shape))
    if order == "first":
        return statement.limit(1)
    return statement.order_by(*(_by_age(table) if order == "age" else table.primary_key.columns))


@cache
def _delete(table: sa.Table, shape: _Shape) -> sa.Delete:
    return sa.delete(table).where(*_conditions(table, shape))


def _by_age(table: sa.Table) -> list[sa.Column[object]]:
    return [table.c.created_at, table.c.id] if "created_at" in table.c else list(table.primary_key.columns)


async def records(
    session: Session, kind: type[R], statement: sa.Select[tuple[object, ...]], values: Values | None = None
) -> list[R]:
    """Fetch what a statement over all columns of a record's table finds."""
    make: Callable[..., R] = kind
    return [make(*row) for row in await session.rows(statement, values)]


async def find(session: Session, kind: type[R], **wanted: object) -> list[R]:
    """Fetch the rows whose columns have the values, the oldest first."""
    shape, values = _shape(wanted)
    return await records(session, kind, _select(kind.table, shape, "age"), values)


async def shown(session: Session, kind: type[R], conditions: Sequence[Condition]) -> list[R]:
    """Fetch the rows that meet all conditions, the oldest first, to show them: nobody may change their lists."""
    columns = (shared(column) for column in kind.table.c)
    return await records(session, kind, sa.select(*columns).where(*conditions).order_by(*_by_age(kind.table)))


async def one(session: Session, kind: type[R], **wanted: object) -> R | None:
    """Fetch the first row whose columns have the values."""
    shape, values = _shape(wanted)
    return next(iter(await records(session, kind, _select(kind.table, shape, "first"), values)), None)


async def lock(session: Session, kind: type[R], **wanted: object) -> list[R]:
    """Fetch rows and keep other writers off them until the end of the transaction."""
    shape, values = _shape(wanted)
    statement = _select(kind.table, shape, "key")
    return [made(kind, row.values()) for row in await session.lock(statement, values, of=sa.RowMapping)]


async def count(session: Session, kind: type[StoredRow], **wanted: object) -> int:
    """Count the rows whose columns have the values."""
    statement = sa.select(sa.func.count()).select_from(kind.table).where(*matching(kind.table, wanted))
    return int(await session.scalar(statement))


async def add(session: Session, rows: Sequence[StoredRow]) -> None:
    """Insert rows of one table."""
    if rows:
        names = [field.name for field in attrs.fields(type(rows[0]))]
        await session.execute(_insert(rows[0].table), [{name: getattr(row, name) for name in names} for row in rows])


@cache
def _insert(table: sa.Table) -> sa.Insert:
    return sa.insert(table)


async def change(session: Session, kind: type[StoredResource], key: str, **values: object) -> None:
    """Change one resource by id; its revision and time of change follow."""
    table = kind.table
    new = {"revision": table.c.revision + 1, "updated_at": world.now(), **values}
    await session.execute(sa.update(table).where(table.c.id == key).values(new))


async def change_many(session: Session, kind: type[StoredResource], rows: Sequence[Mapping[str, object]]) -> None:
    """Change many rows by `id`, all of them in the same columns."""
    if not rows:
        return
    names = tuple(name for name in rows[0] if name != "id")
    lines = [{"key_id": row["id"], **{f"new_{name}": row[name] for name in names}} for row in rows]
    await session.execute(_update(kind.table, names), lines)


@cache
def _update(table: sa.Table, names: tuple[str, ...]) -> sa.Update:
    values = {name: sa.bindparam(f"new_{name}", type_=table.c[name].type) for name in names}
    return sa.update(table).where(table.c.id == sa.bindparam("key_id")).values(values)


async def remove(session: Session, kind: type[StoredRow], **wanted: object) -> int:
    """Delete the rows whose columns have the values. Returns how many there were."""
    shape, values = _shape(wanted)
    return await session.changed(_delete(kind.table, shape), values)


def ids(rows: Iterable[StoredResource]) -> list[str]:
    """List the ids of rows."""
    return [row.id for row in rows]
