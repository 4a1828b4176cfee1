"""What the store says of its rows: a `TypedDict` beside each table, held to the columns."""

import importlib
import pkgutil
from types import NoneType
from typing import Any, NotRequired, TypedDict, get_args, get_origin, get_type_hints, is_typeddict

import pytest
import sqlalchemy as sa

from novakit import store
from novakit.store import tables
from novakit.store.schema import UTC, metadata
from tests.support import rows

assert tables  # importing it makes the metadata whole

OTHERWISE = {
    "HostMetricsRow": "host_metrics",
    "HostPluginsRow": "host_plugins",
    "LoginAttemptsRow": "login_attempts",
    "ProjectRow": "identity_projects",
    "ProviderRow": "resource_providers",
    "RoleRow": "identity_roles",
    "UserRow": "identity_users",
}
"""Rows whose names are not those of their tables in the singular."""


def _row_types() -> dict[str, type]:
    """Return the types of whole rows by table: each is named after it, `servers` and `ServerRow`."""
    found = {}
    for module in pkgutil.walk_packages(store.__path__, "novakit.store."):
        if ".migrations" in module.name:
            continue
        for name, one in vars(importlib.import_module(module.name)).items():
            if is_typeddict(one) and name.endswith("Row") and one.__module__ == module.name:
                found[OTHERWISE.get(name) or _table_of(name)] = one
    return found


def _table_of(name: str) -> str:
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name.removesuffix("Row"))
    singular = words.removeprefix("_")
    (table,) = [each for each in metadata.tables if each in (f"{singular}s", f"{singular[:-1]}ies")]
    return table


ROW_TYPES = _row_types()


def _kinds(hint: Any) -> tuple[set[Any], bool]:
    """Return what an annotation allows, and whether None is among it."""
    hint = get_args(hint)[0] if get_origin(hint) is NotRequired else hint
    inside = set(get_args(hint)) if NoneType in get_args(hint) else {hint}
    return inside - {NoneType}, NoneType in inside


def _differs(column: sa.Column[Any], hint: Any) -> str:
    """Say how the annotation of a column is not what is read of it; nothing where it is."""
    kinds, optional = _kinds(hint)
    if optional != bool(column.nullable):
        return f"{column} is {'' if column.nullable else 'never '}null, and its annotation {hint}"
    kind = column.type
    if isinstance(kind, sa.JSON):
        return ""  # what rows are read in all tests is held to the annotation by `tests/support/rows.py`
    (one,) = kinds
    named = {type(value) for value in get_args(one)} or {one}  # a `Literal` of texts
    wanted = UTC.impl().python_type if isinstance(kind, UTC) else kind.python_type
    return "" if named == {wanted} else f"{column} is read as {wanted.__name__}, and its annotation is {hint}"


@pytest.mark.parametrize("table", sorted(ROW_TYPES))
def test_the_type_of_a_row_has_the_columns_of_its_table(table: str) -> None:
    hints = get_type_hints(ROW_TYPES[table], include_extras=True)
    columns = metadata.tables[table].c
    assert set(hints) == set(columns.keys())
    assert not [why for column in columns if (why := _differs(column, hints[column.name]))]


def test_a_type_that_is_not_what_its_table_holds_is_seen() -> None:
    things = sa.Table("things", sa.MetaData(), sa.Column("a", sa.Integer), sa.Column("b", UTC, nullable=False))
    assert _differs(things.c.a, int) and _differs(things.c.a, str | None) and not _differs(things.c.a, int | None)
    assert _differs(things.c.b, str)


def test_a_row_that_is_not_of_its_type_is_seen() -> None:
    class Inner(TypedDict):
        size: int
        name: NotRequired[str | None]

    class Outer(TypedDict):
        inner: Inner
        pairs: list[tuple[str, int]]

    good = {"inner": {"size": 1, "more": "is let through"}, "pairs": [["a", 1]]}
    assert rows.faults(good, Outer) == []
    assert rows.faults({**good, "else": 1}, Outer) == ["Outer says nothing of else"]
    assert rows.faults({"inner": good["inner"]}, Outer) == ["Outer has no pairs"]
    for inner in ({}, {"size": "1"}, {"size": True}, {"size": 1, "name": 2}):
        assert rows.faults({**good, "inner": inner}, Outer), inner
    assert rows.faults({**good, "pairs": [["a", "1"]]}, Outer)
