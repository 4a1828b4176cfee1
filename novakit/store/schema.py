"""What every table module shares: the metadata, the column types, and what the two databases say each in its way."""

from collections.abc import Callable, Iterable
from datetime import UTC as _UTC
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def make_partial(everything: sa.MetaData) -> None:
    """Let indexes be partial on PostgreSQL as they are on SQLite.

    SQLAlchemy imports its side of a database where a table is made with a word for it, which without PostgreSQL costs
    each start 15 ms and two megabytes.
    """
    for index in (index for table in everything.tables.values() for index in table.indexes):
        if (where := index.dialect_kwargs.get("sqlite_where")) is not None:
            index.dialect_kwargs["postgresql_where"] = where


@sa.event.listens_for(metadata, "before_create")
def _before_create(everything: sa.MetaData, connection: sa.Connection, **_: object) -> None:
    if connection.dialect.name == "postgresql":
        make_partial(everything)


class UTC(sa.types.TypeDecorator[datetime]):
    """A moment: aware of its zone in Python, plain UTC with microseconds in the database."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.astimezone(_UTC).replace(tzinfo=None)

    def bind_processor(self, dialect: sa.Dialect) -> Callable[[datetime | None], Any] | None:
        """Write SQLite's text in one call: a server has twenty moments, and SQLAlchemy's three calls for each show."""
        return _text if dialect.name == "sqlite" else super().bind_processor(dialect)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=_UTC)

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], datetime | None] | None:
        """Read SQLite's text in one call: a list of 1,000 servers has 7,000 moments, and three calls each show."""
        if dialect.name != "sqlite":
            return super().result_processor(dialect, coltype)
        return _moment


def _text(moment: datetime | None) -> str | None:
    global _last
    if moment is None:
        return None
    # Half of them are the very moment that was written before: rows are made and changed at one, and many at once.
    known, text = _last
    if known is not moment:
        # Without its last six characters, which say that it is UTC.
        text = (moment if moment.tzinfo is _UTC else moment.astimezone(_UTC)).isoformat(" ", "microseconds")[:-6]
        # As one object: what another thread wrote in between is whole, too.
        _last = moment, text
    return text


_last: tuple[datetime | None, str] = (None, "")
"""The moment that was written last, and its text."""


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(f"{text}+00:00")


LONGEST_SHARED = 4096
"""Characters of JSON above which what was read of it is not kept: who fills a column must not fill the memory, too."""


class SharedJSON(sa.types.TypeDecorator[Any]):
    """JSON of which many rows have few texts, the short ones each read once; nobody may change what is read."""

    impl = sa.JSON
    cache_ok = True

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """Read a text that was read lately from memory; PostgreSQL's driver gives no text, but what was read of it."""
        return _read if dialect.name == "sqlite" else super().result_processor(dialect, coltype)


def shared(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Read a column for a list that is only shown: what is read of JSON may not be changed."""
    return sa.type_coerce(column, SharedJSON()) if isinstance(column.type, sa.JSON) else column


def _read(text: str | None) -> Any:
    if text is None:
        return None
    return _shared(text) if len(text) <= LONGEST_SHARED else orjson.loads(text)


@lru_cache(maxsize=512)
def _shared(text: str) -> Any:
    return orjson.loads(text)


class JsonRows(FunctionElement[object]):
    """The values of columns in all rows, as one list of lists: a small question inside of another statement.

    None stands for no rows on PostgreSQL. The order is that in which rows are found: whoever needs one sorts.
    """

    name = "json_rows"
    type = SharedJSON()
    inherit_cache = True


@compiles(JsonRows)
def _json_rows(element: JsonRows, compiler: SQLCompiler, **how: object) -> str:
    return f"json_group_array(json_array({compiler.process(element.clauses, **how)}))"


@compiles(JsonRows, "postgresql")
def _json_rows_of_postgresql(element: JsonRows, compiler: SQLCompiler, **how: object) -> str:
    return f"json_agg(json_build_array({compiler.process(element.clauses, **how)}))"


class Returned(FunctionElement[object]):
    """A question inside of RETURNING, where SQLAlchemy leaves out, for SQLite, which tables columns are of.

    Without it the question for the ports of a host says `host = host`, which is true of all of them.
    """

    name = "returned"
    inherit_cache = True

    def __init__(self, question: sa.ScalarSelect[object]) -> None:
        super().__init__(question)
        self.type = question.type


@compiles(Returned)
def _returned(element: Returned, compiler: SQLCompiler, **how: object) -> str:
    return compiler.process(element.clauses, **{**how, "include_table": True})


class _Sorted(SharedJSON):
    """A list of JSON in the order of its members; none for null."""

    cache_ok = True

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """Sort what is read; PostgreSQL's driver gives no text, but what was read of it."""
        return _read_sorted if dialect.name == "sqlite" else lambda value: sorted(value or ())


def _read_sorted(text: str | None) -> Any:
    if text is None:
        return []
    return _sorted(text) if len(text) <= LONGEST_SHARED else sorted(orjson.loads(text))


@lru_cache(maxsize=512)
def _sorted(text: str) -> Any:
    return sorted(orjson.loads(text))


class SortedRows(JsonRows):
    """The same in the order of the values; of one column a list of its values, and an empty list for no rows."""

    type = _Sorted()
    inherit_cache = True


@compiles(SortedRows)
def _sorted_rows(element: SortedRows, compiler: SQLCompiler, **how: object) -> str:
    several, values = len(element.clauses) > 1, compiler.process(element.clauses, **how)
    return f"json_group_array({f'json_array({values})' if several else values})"


@compiles(SortedRows, "postgresql")
def _sorted_rows_of_postgresql(element: SortedRows, compiler: SQLCompiler, **how: object) -> str:
    several, values = len(element.clauses) > 1, compiler.process(element.clauses, **how)
    return f"json_agg({f'json_build_array({values})' if several else values})"


def uuid_column(name: str, *rest: sa.schema.SchemaItem, **options: Any) -> sa.Column[object]:
    """Make a column for a UUID in text form."""
    return sa.Column(name, sa.String(36), *rest, **options)


def insert(dialect: str, table: sa.Table) -> Any:
    """Make an INSERT that knows `on_conflict_do_nothing` and `on_conflict_do_update`."""
    if dialect == "postgresql":
        # Imported here, as on SQLite nobody needs it; see `make_partial`.
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    return sqlite.insert(table)


def several(dialect: str, values: Iterable[str]) -> object:
    """Return many texts as the one value of a parameter, for `among`."""
    return list(values) if dialect == "postgresql" else orjson.dumps(list(values)).decode()


def among(dialect: str, column: sa.ColumnElement[str], values: sa.BindParameter[object]) -> sa.ColumnElement[bool]:
    """Make the condition that a column of text has one of `several` values, which are one parameter."""
    if dialect == "postgresql":
        return column == sa.any_(sa.type_coerce(values, sa.ARRAY(sa.String)))
    given = sa.func.json_each(values).table_valued("value")
    return column.in_(sa.select(given.c.value))
