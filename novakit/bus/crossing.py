"""Which values go from one side of a process's bus to the other as they are: records that nobody can change.

The idea: on a wire a record is written as plain data, and reading it on the other side checks it. Within one process
the check alone does: each field is looked at by its declared type, and nothing is written, parsed or built anew.
The invariant: a value that fits would have come out of writing and reading as its equal, within `novakit.bus.bounds`.
Whatever does not fit (a list in the place of a tuple, a number as text, a dictionary that somebody may change) takes
the way over plain data, where it becomes what it would on a wire, or is refused in the same words.
The cost: 6 microseconds for the plan of a guest, where writing, parsing and reading it take 35.
"""

import enum
import math
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import attrs

from novakit.bus.bounds import HIGHEST, LONGEST, MOST

Fits = Callable[[object], bool]
"""Says of a value whether it may cross as it is."""


@attrs.frozen
class _Frozen:
    """Any frozen record, to tell others by."""


def never(value: object) -> bool:
    """Take every value over plain data."""
    return False


def is_frozen(kind: type) -> bool:
    """Return whether values of a class are records whose fields cannot be set."""
    return attrs.has(kind) and kind.__setattr__ is _Frozen.__setattr__


@cache
def fitting(kind: object) -> Fits:
    """Return what says of values of a declared type whether they may cross as they are."""
    return _fitting(kind, frozenset())


def _fitting(kind: object, around: frozenset[object]) -> Fits:
    """Do as `fitting` within the records `around`: one that holds its own kind may be deeper than the bounds allow."""
    origin: object = typing.get_origin(kind)
    arguments = typing.get_args(kind)
    if kind in _ATOMS:
        return _ATOMS[kind]
    if origin in (types.UnionType, typing.Union):
        return _any_of([_fitting(each, around) for each in arguments])
    if origin is tuple:
        return _tuple(arguments, around)
    if origin is frozenset and arguments == (str,):
        return lambda value: type(value) is frozenset and len(value) <= MOST and all(map(_is_text, value))
    if origin is not None:
        return _mapping(_fitting(arguments[1], around)) if _is_by_text(origin, arguments) else never
    if not isinstance(kind, type) or kind in around:
        return never
    if issubclass(kind, enum.Enum):
        return lambda value: type(value) is kind
    return _record(kind, around | {kind}) if is_frozen(kind) else never


def _is_by_text(origin: object, arguments: tuple[object, ...]) -> bool:
    return isinstance(origin, type) and issubclass(origin, Mapping) and arguments[0] is str


def _is_text(value: object) -> bool:
    return type(value) is str and len(value) <= LONGEST and (value.isascii() or _has_no_surrogate(value))


def _has_no_surrogate(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_number(value: object) -> bool:
    return type(value) is int and -HIGHEST < value < HIGHEST


def _is_fraction(value: object) -> bool:
    return type(value) is float and math.isfinite(value)


def _is_bool(value: object) -> bool:
    return value is True or value is False


def _is_none(value: object) -> bool:
    return value is None


def _is_bytes(value: object) -> bool:
    return type(value) is bytes and len(value) <= LONGEST


def _is_atom(value: object) -> bool:
    return value is None or _is_text(value) or _is_number(value) or _is_bool(value) or _is_fraction(value)


_ATOMS: Mapping[object, Fits] = {
    str: _is_text,
    int: _is_number,
    float: _is_fraction,
    bool: _is_bool,
    bytes: _is_bytes,
    type(None): _is_none,
    None: _is_none,
    object: _is_atom,
    Any: _is_atom,
}


def _any_of(some: list[Fits]) -> Fits:
    def fits(value: object) -> bool:
        for one in some:  # noqa: SIM110 - the generator of `any` costs more than two looks
            if one(value):
                return True
        return False

    return fits


def _tuple(arguments: tuple[object, ...], around: frozenset[object]) -> Fits:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        one = _fitting(arguments[0], around)
        return lambda value: type(value) is tuple and len(value) <= MOST and all(map(one, value))
    each = [_fitting(argument, around) for argument in arguments]

    def fits(value: object) -> bool:
        return type(value) is tuple and len(value) == len(each) and all(one(part) for one, part in zip(each, value))  # noqa: B905

    return fits


def _mapping(one: Fits) -> Fits:
    def fits(value: object) -> bool:
        # What `frozen_mapping` makes: its own copy, seen through what cannot be written to.
        if type(value) is not types.MappingProxyType or len(value) > MOST:
            return False
        return all(map(_is_text, value)) and all(map(one, value.values()))

    return fits


def _record(kind: type, around: frozenset[object]) -> Fits:
    hints = typing.get_type_hints(kind)
    fields = [(field.name, _fitting(hints[field.name], around)) for field in attrs.fields(kind)]

    def fits(value: object) -> bool:
        if type(value) is not kind:
            return False
        for name, one in fields:  # noqa: SIM110 - as above: most fields are looked at in no time
            if not one(getattr(value, name)):
                return False
        return True

    return fits
