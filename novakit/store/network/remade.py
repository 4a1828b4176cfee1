"""Rows made again from what somebody noted of them, maybe with an older or a newer novakit."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

import attrs
import sqlalchemy as sa

from novakit import world
from novakit.store.network.rows import StoredRow
from novakit.store.schema import UTC

R = TypeVar("R", bound=StoredRow)
NotedRow = Mapping[str, Any]
"""Columns by name; moments in ISO 8601."""
_UNNOTED = object()


def again(kind: type[R], noted: NotedRow, **other: object) -> R:
    """Make a row again from what was noted of it, and from `other` where it is to differ.

    What was not noted has the column's default; columns that there are no more are passed over.
    Raises ValueError for a moment that is none.
    """
    values: dict[str, object] = {}
    for field in attrs.fields(kind):
        column = kind.table.c[field.name]
        value = other[field.name] if field.name in other else noted.get(field.name, _UNNOTED)
        if value is _UNNOTED:
            value = _default(column)
        elif isinstance(column.type, UTC) and isinstance(value, str):
            value = datetime.fromisoformat(value)
        values[field.name] = value
    return kind(**values)


def _default(column: sa.Column[object]) -> object:
    if isinstance(column.type, UTC):
        return world.now()
    if isinstance(column.type, sa.JSON):
        return []
    return column.default.arg if isinstance(column.default, sa.ColumnDefault) and column.default.is_scalar else None
