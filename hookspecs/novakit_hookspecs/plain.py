"""Records as plain data and back, so that they cross a process border unchanged.

What a type needs is worked out once: a host's topology has thousands of fields, and goes over the bus often.
"""

import enum
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from itertools import takewhile
from operator import attrgetter
from typing import Any, TypeVar

import attrs

T = TypeVar("T")
_TypeHint = Any
"""What may stand as a field's type: a class, a union, a generic alias. Type checkers have no common type for it."""
_ValueConversion = Callable[[Any], Any]
"""Turns a value whose type is known by its `_Kind` only, while the program runs."""

_ATOMS: frozenset[type] = frozenset({str, int, float, bool, type(None)})
_WORDS: Mapping[type, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
    dict: "an object",
    list: "a list",
}
"""What errors call a value: plain data comes as JSON and TOML, whose writers know no Python."""


def to_plain(value: object) -> Any:
    """Turn a record into dicts, lists, strings, numbers; bytes become Latin-1 text."""
    kind: _TypeHint = type(value)
    return value if kind in _ATOMS else _writer(kind)(value)


def to_record(plain: object, kind: type[T], *, tolerant: bool = False) -> T:
    """Build a record of `kind` from plain data. Raises TypeError or ValueError when it does not fit.

    A field that the record does not have is refused, or passed over with `tolerant`: the other side may be newer.
    """
    wanted: _TypeHint = kind
    return typing.cast(T, _reader(wanted, tolerant)(plain))


@cache
def _writer(kind: _TypeHint) -> _ValueConversion:
    """Choose how values of one class are written."""
    if attrs.has(kind):
        return _record_writer(tuple(field.name for field in attrs.fields(kind)))
    if issubclass(kind, enum.Enum):
        return lambda value: value.value
    if issubclass(kind, bytes):
        return lambda value: value.decode("latin-1")
    if issubclass(kind, Mapping):
        return lambda value: {key: to_plain(each) for key, each in value.items()} if value else {}
    if issubclass(kind, tuple | list):
        return _plain_list
    if issubclass(kind, set | frozenset):
        return lambda value: sorted(to_plain(each) for each in value)
    return lambda value: value


def _plain_list(values: Collection[object]) -> list[object]:
    if not values:  # as most are
        return []
    plain = []
    for each in values:
        kind: _TypeHint = type(each)
        plain.append(each if kind in _ATOMS else _writer(kind)(each))
    return plain


def _record_writer(names: tuple[str, ...]) -> _ValueConversion:
    if len(names) < 2:  # of which `attrgetter` makes no tuple
        return lambda value: {name: to_plain(getattr(value, name)) for name in names}
    values_of = attrgetter(*names)

    def write(value: object) -> dict[str, object]:
        values = values_of(value)
        plain = dict(zip(names, values, strict=True))
        for name, each in zip(names, values, strict=True):
            kind: _TypeHint = type(each)
            if kind not in _ATOMS:
                plain[name] = _writer(kind)(each)
        return plain

    return write


@cache
def _reader(kind: _TypeHint, tolerant: bool) -> _ValueConversion:
    """Choose how plain data becomes a value of one type."""
    origin: _TypeHint = typing.get_origin(kind)
    if origin is None:
        return _simple_reader(kind, tolerant)
    arguments = typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _union_reader(arguments, tolerant)
    return _not_null(kind, _collection_reader(origin, arguments, tolerant))


def _not_null(kind: _TypeHint, read: _ValueConversion) -> _ValueConversion:
    def read_some(plain: object) -> object:
        if plain is None:
            raise TypeError(f"expected {_called(kind)}, not null")
        return read(plain)

    return read_some


def _collection_reader(origin: _TypeHint, arguments: tuple[_TypeHint, ...], tolerant: bool) -> _ValueConversion:
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        each_one = [_reader(one, tolerant) for one in arguments]
        return lambda plain: tuple([read(each) for each, read in zip(plain, each_one, strict=True)])
    first, bare = _reader(arguments[0], tolerant), _bare(arguments[0])
    if issubclass(origin, Mapping):
        second, bare_too = _reader(arguments[1], tolerant), _bare(arguments[1])
        return lambda plain: {
            key if type(key) in bare else first(key): each if type(each) in bare_too else second(each)
            for key, each in _object(plain).items()
        }
    return lambda plain: origin([each if type(each) in bare else first(each) for each in _list(plain)])


def _bare(kind: _TypeHint) -> frozenset[type]:
    """Return the classes whose values are a value of this type as they are: most are, and need no reader."""
    if kind is Any or kind is object:
        return _ATOMS
    origin: _TypeHint = typing.get_origin(kind)
    if origin not in (types.UnionType, typing.Union):
        return frozenset({kind}) if kind in _ATOMS else frozenset()
    found: set[type] = set()
    kinds = typing.get_args(kind)
    # Of several kinds the first that fits is taken, which a number or a text may be for one that is no atom.
    for each in takewhile(lambda each: each in _ATOMS, kinds):
        if not (each is int and float in found):
            found.add(each)
    return frozenset(found | ({type(None)} & {*kinds}))


def _called(kind: _TypeHint) -> str:
    """Return what an error calls a type."""
    origin: _TypeHint = typing.get_origin(kind) or kind
    if origin in _WORDS:
        return _WORDS[origin]
    if issubclass(origin, Mapping):
        return _WORDS[dict]
    return _WORDS[list] if issubclass(origin, Collection) else str(origin.__name__)


def _object(plain: object) -> Mapping[object, object]:
    if not isinstance(plain, Mapping):
        raise TypeError(f"expected an object, not {_called(type(plain))}")
    return plain


def _list(plain: object) -> Iterable[object]:
    # Text can be iterated over, too, and would become a list of its letters.
    if not isinstance(plain, list | tuple | set | frozenset):
        raise TypeError(f"expected a list, not {_called(type(plain))}")
    return plain


def _simple_reader(kind: _TypeHint, tolerant: bool) -> _ValueConversion:
    if kind is Any or kind is object:
        return lambda plain: plain
    if attrs.has(kind):
        return _record_reader(kind, tolerant)
    if issubclass(kind, enum.Enum):
        return lambda plain: kind(plain)
    if kind is bytes:
        return _bytes

    def read(plain: object) -> object:
        # True counts as a number in Python, and as none for whoever reads a number of a record.
        if isinstance(plain, kind) and not (kind is not bool and type(plain) is bool):
            return plain
        if kind is float and type(plain) is int:
            return float(plain)
        raise TypeError(f"expected {_called(kind)}, not {_called(type(plain))}")

    return read


def _bytes(plain: object) -> bytes:
    if not isinstance(plain, str):
        raise TypeError(f"expected a text, not {_called(type(plain))}")
    return plain.encode("latin-1")


def _record_reader(kind: _TypeHint, tolerant: bool) -> _ValueConversion:
    fields: dict[str, _ValueConversion] = {}
    bare: dict[str, frozenset[type]] = {}
    required = frozenset(field.name for field in attrs.fields(kind) if field.init and field.default is attrs.NOTHING)

    def read(plain: object) -> object:
        if type(plain) is not dict and not isinstance(plain, Mapping):
            raise TypeError(f"expected an object for {kind.__name__}, not {_called(type(plain))}")
        if not fields:  # only now, as a record may hold records of its own kind
            hints = typing.get_type_hints(kind)
            bare.update({field.name: _bare(hints[field.name]) for field in attrs.fields(kind)})
            fields.update({field.name: _reader(hints[field.name], tolerant) for field in attrs.fields(kind)})
        if not plain.keys() <= fields.keys():
            if not tolerant:
                unknown = plain.keys() - fields.keys()
                raise TypeError(f"{kind.__name__} has no {', '.join(sorted(map(str, unknown)))}")
            plain = {name: value for name, value in plain.items() if name in fields}
        if not plain.keys() >= required:
            raise TypeError(f"{kind.__name__} needs {', '.join(sorted(required - plain.keys()))}")
        try:
            return kind(
                **{name: value if type(value) in bare[name] else fields[name](value) for name, value in plain.items()}
            )
        except (TypeError, ValueError) as error:
            raise _named(kind, fields, plain) or error from None

    return read


def _named(kind: _TypeHint, fields: Mapping[str, _ValueConversion], plain: Mapping[str, object]) -> TypeError | None:
    """Return an error that names the wrong field; None where each field alone is right."""
    for name, value in plain.items():
        try:
            fields[name](value)
        except (TypeError, ValueError) as error:
            return TypeError(f"{kind.__name__}.{name}: {error}")
    return None


def _union_reader(kinds: tuple[_TypeHint, ...], tolerant: bool) -> _ValueConversion:
    optional = type(None) in kinds
    some = [kind for kind in kinds if kind is not type(None)]
    readers = [_reader(kind, False) for kind in some]
    if tolerant:  # a kind that fits without a field left over comes before one that passes over some
        readers += [_reader(kind, True) for kind in some]

    def read(plain: object) -> object:
        if plain is None and optional:
            return None
        problems = []
        for each in readers:
            try:
                return each(plain)
            except (TypeError, ValueError) as error:
                problems.append(str(error))
        raise TypeError("; ".join(problems))

    return read
