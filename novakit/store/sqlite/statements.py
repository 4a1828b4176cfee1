"""Statements that are built once: compiled once and run on SQLite's own connection.

The idea: of the 60 µs that a small statement costs through SQLAlchemy 5 are SQLite's. What it works out each time, the
text, which value stands where, how types are written and read, is the same each time for a statement that is an object
of a module and not built anew.
The invariant: SQLAlchemy says what a statement means: text, defaults, types and names of columns are its compiler's.
What might differ goes to SQLAlchemy itself: a statement in text, one that is seen for the first time, an INSERT that
returns rows, rows returned for many.
The cost: 7 µs for a small statement, once 0.3 ms for which values are given, and a tenth of that for each other length
of its lists.
"""

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import attrs
import sqlalchemy as sa
from sqlalchemy.engine.result import SimpleResultMetaData, _ProcessorsType
from sqlalchemy.sql.compiler import SQLCompiler

Converter = Callable[[object], object]
NamedValues = Mapping[str, object]
R = TypeVar("R", sa.Row[Any], sa.RowMapping)
Dml = sa.Insert | sa.Update | sa.Delete
Preparable = sa.Select[*tuple[object, ...]] | sa.CompoundSelect[*tuple[object, ...]] | Dml

SHAPES = 100
"""Shapes that are remembered of one statement."""
PADDED = 1024
"""Values up to which a list is filled up with its last one to the next power of two, so that there are few shapes."""


class _Slot(NamedTuple):
    """A place for a value in the text of a statement."""

    name: str
    place: int | None
    """Which value of a list it is; None where the value is no list."""
    write: Converter | None


@attrs.frozen
class Prepared:
    """A statement as SQLite is told it."""

    text: str
    slots: Sequence[_Slot]
    fixed: NamedValues
    """Values that stand in the statement itself."""
    lists: Mapping[str, int]
    """How many values each list has in this shape."""
    defaults: Mapping[str, Converter]
    """What is worked out for columns that are left out."""
    columns: SimpleResultMetaData
    readers: _ProcessorsType | None = attrs.field(init=False)
    """What makes a value of each column's type; None where all are what SQLite gives."""

    @readers.default
    def _readers_of_columns(self) -> _ProcessorsType | None:
        return self.columns._effective_processors

    def values(self, line: NamedValues) -> list[object]:
        """Put values in their places. Raises KeyError where one is missing."""
        known: dict[str, Any] = {**self.fixed, **line}
        if self.defaults:
            for name, default in self.defaults.items():
                known[name] = default(None)
        if not self.lists:
            return [known[name] if write is None else write(known[name]) for name, _, write in self.slots]
        for name, count in self.lists.items():
            items = list(known[name])
            known[name] = items + items[-1:] * (count - len(items))
        values = []
        for name, place, write in self.slots:
            value = known[name] if place is None else known[name][place]
            values.append(value if write is None else write(value))
        return values

    def read(self, kind: type[R], rows: Sequence[Sequence[object]]) -> list[R]:
        """Return what SQLite found, in the types of the columns."""
        columns, readers = self.columns, self.readers
        keys = columns._key_to_index
        return [kind(columns, readers, keys, row) for row in rows]


@attrs.frozen
class _CompiledStatement:
    """A statement as it was compiled for values of some names, whatever the length of its lists."""

    compiled: SQLCompiler
    writers: Mapping[str, Converter | None]
    """How the value of each parameter is written."""
    fixed: Mapping[str, Any]
    """Values that stand in the statement itself."""
    defaults: Mapping[str, Converter]
    """What is worked out for columns that are left out."""
    columns: SimpleResultMetaData

    def shaped(self, line: NamedValues, counts: Mapping[str, int]) -> Prepared:
        """Return what it is for SQLite with lists of these lengths."""
        own = {name: len(self.fixed[name] or ()) for name in _lists(self.compiled) if name not in counts}
        lists = {**counts, **own}
        text, slots = _slots(self.compiled, line, lists, self.writers)
        return Prepared(text, slots, self.fixed, lists, self.defaults, self.columns)


@attrs.define
class _Known:
    """A statement that was seen, and what each shape of it is for SQLite; None where SQLAlchemy is to run it."""

    statement: weakref.ref[sa.Executable]
    """Forgets all of this before the number of the statement's object can be another one's."""
    lists: Sequence[str] | None = None
    """The parameters that take lists; None while it was seen but once."""
    forms: dict[tuple[object, ...], _CompiledStatement | None] = attrs.field(factory=dict)
    """By the names of the values that are given: compiling takes ten times as long as writing another list out."""
    shapes: dict[tuple[object, ...], Prepared | None] = attrs.field(factory=dict)


@attrs.define
class Statements:
    """All statements that were seen."""

    dialect: sa.Dialect
    _known: dict[int, _Known] = attrs.field(factory=dict)
    """By the number of the statement's object, for as long as that lives."""

    def prepared(self, statement: sa.Executable, line: NamedValues, *, several: bool) -> Prepared | None:
        """Return what a statement is for SQLite, run with values of the names of `line`; None: SQLAlchemy is to run it.

        `several` says that it is run for more than one row.
        """
        number = id(statement)
        known = self._known.get(number)
        if known is None:
            if isinstance(statement, Preparable):
                # Not at once: one that is built anew each time would be compiled for nothing.
                self._known[number] = _Known(weakref.ref(statement, lambda _: self._known.pop(number, None)))
            return None
        if known.lists is None:
            # With its columns: SQLAlchemy warns of an INSERT that gives no key, on standard error.
            known.lists = _lists(_compiled(statement, self.dialect, column_keys=list(line) or None))
        names = shape = (several, *line)
        counts: Mapping[str, int] = {}
        if known.lists:
            counts = {name: _padded(len(line[name])) for name in known.lists if name in line}  # type: ignore[arg-type]
            shape = (*names, *counts.values())
        if shape not in known.shapes:
            if len(known.shapes) >= SHAPES:
                known.shapes.clear()
                known.forms.clear()
            form = known.forms.get(names) or _form(statement, line, self.dialect, several=several)
            if counts:
                # One without lists has no other shape, and what the compiler knows of it takes 10 KiB.
                known.forms[names] = form
            known.shapes[shape] = None if form is None else form.shaped(line, counts)
        return known.shapes[shape]

    def ready(
        self, statement: sa.Executable, given: NamedValues | Sequence[NamedValues] | None
    ) -> tuple[Prepared, Sequence[object], bool] | None:
        """Return a statement that was seen before, its values, and whether they are those of several rows.

        None where SQLAlchemy is to run it.
        """
        # What is a dict is a mapping, and most are; to ask whether it is any other takes three calls.
        alone = given is None or isinstance(given, (dict, Mapping))
        lines: Sequence[NamedValues] = (given or {},) if alone else given  # type: ignore[assignment]
        if not lines:
            return None
        several = len(lines) > 1
        prepared = self.prepared(statement, lines[0], several=several)
        if prepared is None:
            return None
        try:
            values: Sequence[object] = (
                [prepared.values(line) for line in lines] if several else prepared.values(lines[0])
            )
        except KeyError:
            # SQLAlchemy says which value is missing.
            return None
        return prepared, values, several


def _padded(count: int) -> int:
    """Return how many values a list has once it is filled up; an empty one stays empty."""
    return 1 << (count - 1).bit_length() if 0 < count <= PADDED else count


def _compiled(statement: sa.Executable, dialect: sa.Dialect, **how: Any) -> SQLCompiler:
    assert isinstance(statement, Preparable)
    compiled = statement.compile(dialect=dialect, **how)
    assert isinstance(compiled, SQLCompiler)
    return compiled


def _lists(compiled: SQLCompiler) -> list[str]:
    """Return the names of the parameters that take lists."""
    return [compiled.bind_names[bind] for bind in compiled.post_compile_params]


def _form(
    statement: sa.Executable, line: NamedValues, dialect: sa.Dialect, *, several: bool
) -> _CompiledStatement | None:
    """Compile a statement. Returns None where SQLAlchemy does more with it than is done here."""
    changes = isinstance(statement, Dml)
    returns = isinstance(statement, Dml) and len(statement.exported_columns) > 0
    if (returns and several) or (isinstance(statement, sa.Insert) and (returns or not line)):
        return None
    # As if for several rows: an INSERT of one would ask for its key.
    how = {"column_keys": list(line) or None, "for_executemany": changes and not returns}
    compiled = _compiled(statement, dialect, **how)
    given = {name: bind for name, bind in compiled.binds.items() if name in (compiled.positiontup or ())}
    defaults = _defaults(compiled)
    if (
        compiled.literal_execute_params
        or compiled.escaped_bind_names
        or defaults is None
        or any(bind.callable is not None for bind in given.values())
        or any(bind.required and name not in line for name, bind in given.items())
        or (several and compiled.post_compile_params)
    ):
        return None
    form = _CompiledStatement(
        compiled,
        writers={name: bind.type.dialect_impl(dialect).bind_processor(dialect) for name, bind in given.items()},
        fixed={name: bind.value for name, bind in given.items() if not bind.required},
        defaults=defaults,
        columns=SimpleResultMetaData(
            [entry.keyname for entry in compiled._result_columns],
            _processors=[
                entry.type.dialect_impl(dialect).result_processor(dialect, None) for entry in compiled._result_columns
            ],
        ),
    )
    # A form lives for as long as its statement, by which it is known; if it led back to that, both would live for ever.
    for name in _TO_STATEMENT:
        setattr(compiled, name, None)
    return form


_TO_STATEMENT = ("statement", "compile_state", "dml_compile_state")
"""By what a compiler leads to what it has compiled; lists are written out without any of it."""


def _slots(
    compiled: SQLCompiler, line: NamedValues, counts: Mapping[str, int], writers: Mapping[str, Converter | None]
) -> tuple[str, list[_Slot]]:
    """Return the text and which value stands where in it."""
    if not compiled.post_compile_params:
        return compiled.string, [_Slot(name, None, writers[name]) for name in compiled.positiontup or ()]
    lists = {name: [None] * count for name, count in counts.items()}
    state = compiled.construct_expanded_state({**line, **lists}, escape_names=False)
    of_lists = {
        name: (of_list, place)
        for of_list, names in state.parameter_expansion.items()
        for place, name in enumerate(names)
    }
    slots = []
    for name in state.positiontup or ():
        owner, place = of_lists.get(name, (name, None))
        slots.append(_Slot(owner, place, writers[owner]))
    return state.statement, slots


def _defaults(compiled: SQLCompiler) -> dict[str, Converter] | None:
    """Return what columns get that are left out; None where that is more than a value or a function."""
    found: dict[str, Converter] = {}
    for column, default in (
        *((column, column.default) for column in compiled.insert_prefetch),
        *((column, column.onupdate) for column in compiled.update_prefetch),
    ):
        if column.key not in compiled.binds or not isinstance(default, sa.ColumnDefault):
            return None
        if default.is_callable:
            found[column.key] = default.arg
        elif default.is_scalar:
            found[column.key] = _always(default.arg)
        else:
            return None
    return found


def _always(value: object) -> Converter:
    return lambda _: value
