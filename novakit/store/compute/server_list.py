"""Lists of servers: filters, order and pages, as one query."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs
import orjson
import sqlalchemy as sa

from novakit import errors
from novakit.store.compute.servers import ServerRow, servers
from novakit.store.engine import Session
from novakit.store.moments import second_of
from novakit.store.schema import shared


@attrs.frozen(kw_only=True)
class ServerQuery:
    """Which servers, in which order, how many; what is None does not matter."""

    project_id: str | None = None
    user_id: str | None = None
    deleted: bool | None = False
    """None lists both those that are deleted and those that are not."""
    ids: Sequence[str] | None = None
    equal: Mapping[str, object] = attrs.field(factory=dict)
    """By column: the value it must have."""
    like: Mapping[str, Sequence[str]] = attrs.field(factory=dict)
    """By column: patterns of LIKE with `\\` as the escape, one of which must match, whatever the case."""
    seconds: Mapping[str, datetime] = attrs.field(factory=dict)
    """By column: the second in which it must lie; clients read times without their fractions."""
    image_properties: Mapping[str, str] = attrs.field(factory=dict)
    flavor_id: str | None = None
    vm_states: Sequence[str] | None = None
    task_states: Sequence[str] | None = None
    locked: bool | None = None
    tags: Sequence[str] = ()
    """All of these."""
    tags_any: Sequence[str] = ()
    not_tags: Sequence[str] = ()
    """Not all of these."""
    not_tags_any: Sequence[str] = ()
    """None of these."""
    changes_since: datetime | None = None
    changes_before: datetime | None = None
    """Includes the whole second, so that the `updated` that a client was shown finds its server."""
    sort: Sequence[tuple[str, bool]] = (("created_at", True),)
    """Columns in order of weight, and whether each goes down."""
    limit: int = 1000
    marker: str | None = None


async def listed(
    session: Session, wanted: ServerQuery, columns: Sequence[str], without: Collection[str] = ()
) -> Sequence[sa.Row[Any]]:
    """Fetch some columns of one page. Raises BadRequest for a marker that is not there.

    Columns of `without` are None: user data alone may be 64 KiB a server. What is read of JSON may not be changed.
    """
    down = wanted.sort[-1][1]
    # Two transactions of PostgreSQL may count the same number at once; a page would then end between equals.
    order = [*wanted.sort, ("number", down), ("id", down)]
    what = (sa.null().label(name) if name in without else shared(servers.c[name]) for name in columns)
    statement = sa.select(*what).where(*_conditions(wanted, session))
    if wanted.marker is not None:
        at = await session.first(sa.select(servers).where(servers.c.id == wanted.marker), of=ServerRow)
        if at is None or (wanted.project_id is not None and at["project_id"] != wanted.project_id):
            raise errors.BadRequest(f"marker [{wanted.marker}] not found")
        statement = statement.where(_behind(at, order))
    statement = statement.order_by(*(_ordered(servers.c[name], down) for name, down in order))
    return await session.rows(statement.limit(wanted.limit))


def _ordered(column: sa.Column[Any], down: bool) -> sa.ColumnElement[Any]:
    if not column.nullable:  # of PostgreSQL's indexes none begins with nulls, were they possible or not
        return column.desc() if down else column.asc()
    return column.desc().nulls_last() if down else column.asc().nulls_first()


def _behind(at: ServerRow, order: Sequence[tuple[str, bool]]) -> sa.ColumnElement[bool]:
    """Return what comes after the marker: behind it in the first column that differs."""
    cases = []
    values: Mapping[str, object] = at
    same: list[sa.ColumnElement[bool]] = []
    for name, down in order:
        column, value = servers.c[name], values[name]
        if not down:
            after = column.is_not(None) if value is None else column > value
        else:
            after = sa.false() if value is None else sa.or_(column < value, column.is_(None))
        cases.append(sa.and_(*same, after))
        same.append(column.is_(None) if value is None else column == value)
    return sa.or_(*cases)


def _conditions(wanted: ServerQuery, session: Session) -> list[sa.ColumnElement[bool]]:
    c = servers.c
    found: list[sa.ColumnElement[bool]] = []
    if wanted.deleted is not None:
        found.append(c.deleted_at.is_not(None) if wanted.deleted else c.deleted_at.is_(None))
    if wanted.project_id is not None:
        found.append(c.project_id == wanted.project_id)
    if wanted.user_id is not None:
        found.append(c.user_id == wanted.user_id)
    if wanted.ids is not None:
        found.append(session.among(c.id, wanted.ids))
    found += [c[name] == value for name, value in wanted.equal.items()]
    for name, second in wanted.seconds.items():
        begin, end = second_of(second)
        found += [c[name] >= begin, c[name] < end]
    for name, patterns in wanted.like.items():
        found.append(sa.or_(*(sa.func.lower(c[name]).like(each, escape="\\") for each in patterns)))
    found += [c.image_properties[name].as_string() == value for name, value in wanted.image_properties.items()]
    if wanted.flavor_id is not None:
        found.append(c.flavor["id"].as_string() == wanted.flavor_id)
    if wanted.vm_states is not None:
        found.append(c.vm_state.in_(list(wanted.vm_states)))
    if wanted.task_states is not None:
        found.append(c.task_state.in_(list(wanted.task_states)))
    if wanted.locked is not None:
        found.append(c.locked_by.is_not(None) if wanted.locked else c.locked_by.is_(None))
    if wanted.changes_since is not None:
        found.append(c.updated_at >= wanted.changes_since)
    if wanted.changes_before is not None:
        found.append(c.updated_at < second_of(wanted.changes_before)[1])
    return found + _tag_conditions(wanted)


def _tag_conditions(wanted: ServerQuery) -> list[sa.ColumnElement[bool]]:
    """Look for tags in the JSON text: quoted, and at the begin of an item, where no other tag can look the same."""
    text = sa.cast(servers.c.tags, sa.Text)

    def has(tag: str) -> sa.ColumnElement[bool]:
        quoted = orjson.dumps(tag).decode()
        return sa.or_(*(sa.func.replace(text, before + quoted, "") != text for before in ("[", ",")))

    found: list[sa.ColumnElement[bool]] = [has(tag) for tag in wanted.tags]
    if wanted.tags_any:
        found.append(sa.or_(*(has(tag) for tag in wanted.tags_any)))
    if wanted.not_tags:
        found.append(sa.not_(sa.and_(*(has(tag) for tag in wanted.not_tags))))
    if wanted.not_tags_any:
        found.append(sa.not_(sa.or_(*(has(tag) for tag in wanted.not_tags_any))))
    return found
