"""From a body that fits its schema to the record that a handler reads.

The schema says what may come, each microversion another; the record says what a handler gets of it, in one form: a
number that was sent as digits is an `int`, a word for yes or no a `bool`, a list a `tuple`, and what `Annotated` adds
to a type makes the kept spelling of a value, as of an id. What a type needs is worked out once. A field whose name
clients write otherwise stands in the record's `SENT_AS`; what no field has is passed over, or is kept in the field that
its `KEEPS_THE_REST` names.
"""

import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, TypeVar, cast, get_args, get_origin, get_type_hints

import attrs

from novakit.left_out import LeftOut

T = TypeVar("T")
Conversion = Callable[[object], object]
"""Makes of plain data what a field holds."""
TRUE = frozenset(("true", "1", "on", "yes", "t", "y"))
FALSE = frozenset(("false", "0", "off", "no", "f", "n"))


def boolean(value: object, default: bool = False) -> bool:
    """Read a boolean as clients write it in a body; what is neither true nor false is the default."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    return True if word in TRUE else False if word in FALSE else default


def read(kind: type[T], plain: object) -> T:
    """Make a record of a body, or another type of fields, of what a schema has found right."""
    return cast(T, turn(kind)(plain))


def turn(kind: object) -> Conversion:
    """Return what makes values of one type."""
    if (found := _MADE.get(kind)) is None:
        found = _MADE[kind] = _make(kind)
    return found


def _make(kind: object) -> Conversion:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _respelt(*arguments)
    if origin in (typing.Union, types.UnionType):
        return _either([one for one in arguments if one is not LeftOut])
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(arguments[1])
    if origin is not None and issubclass(origin, Sequence):
        return _list(arguments[0])
    if isinstance(kind, type) and attrs.has(kind):
        return _record(kind)
    return _SIMPLE.get(kind, _as_it_is)


def _as_it_is(plain: object) -> object:
    return plain


def _respelt(kind: object, spell: Conversion) -> Conversion:
    plainly = turn(kind)
    return lambda plain: spell(plainly(plain))


def _text(plain: object) -> object:
    return plain if type(plain) is str else str(plain)


def _whole(plain: object) -> object:
    return plain if type(plain) is int else int(cast(str | float, plain))


def _fraction(plain: object) -> object:
    return plain if type(plain) is float else float(cast(str | int, plain))


_SIMPLE: Mapping[object, Conversion] = {str: _text, int: _whole, float: _fraction, bool: boolean}
_PLAIN: Mapping[object, Sequence[type]] = {
    **{kind: (kind,) for kind in (str, int, bool, type(None))},
    float: (float, int),
}
"""As which types of plain data a simple type is sent, by itself and not as a text."""
_MADE: dict[object, Conversion] = {}


def _as_sent(kind: object) -> frozenset[type]:
    """Return the types of plain data that stay what they are: looking at one costs a third of calling what makes it."""
    origin = get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return frozenset().union(*(_as_sent(each) for each in get_args(kind)))
    return frozenset({kind}) if kind in (str, int, float, bool, type(None)) and isinstance(kind, type) else frozenset()


def sent_as(kind: object) -> Sequence[type]:
    """Return the types of plain data that a type is made of."""
    origin = get_origin(kind)
    if origin is Annotated:
        return sent_as(get_args(kind)[0])
    if origin in (typing.Union, types.UnionType):
        return [one for each in get_args(kind) if each is not LeftOut for one in sent_as(each)]
    if (isinstance(kind, type) and attrs.has(kind)) or (origin is not None and issubclass(origin, Mapping)):
        return (dict,)
    return (list,) if origin is not None else _PLAIN.get(kind, ())


def _either(kinds: Sequence[object]) -> Conversion:
    """Choose by the type that was sent; what none of them is stands for the first that may be written so."""
    turns = {plain: turn(kind) for kind in kinds for plain in sent_as(kind)}
    written = next((turn(kind) for kind in kinds if kind in _SIMPLE), _as_it_is)

    def read_one(plain: object) -> object:
        return turns.get(type(plain), written)(plain)

    return read_one


def _mapping(kind: object) -> Conversion:
    each, as_sent = turn(kind), _as_sent(kind)
    if each is _as_it_is:
        return each

    def read_all(plain: object) -> object:
        sent = cast(Mapping[str, object], plain)
        return {name: value if type(value) in as_sent else each(value) for name, value in sent.items()}

    return read_all


def _list(kind: object) -> Conversion:
    each = turn(kind)

    def read_all(plain: object) -> object:
        return tuple([each(value) for value in cast(Sequence[object], plain)])

    return read_all


def fields(kind: type) -> Mapping[str, tuple[str, object]]:
    """Return name and type of each field of a record, by the name under which it is sent."""
    names: Mapping[str, str] = getattr(kind, "SENT_AS", {})
    hints, rest = get_type_hints(kind, include_extras=True), rest_of(kind)
    own = [field.name for field in attrs.fields(cast(type[attrs.AttrsInstance], kind)) if field.name != rest]
    return {names.get(name, name): (name, hints[name]) for name in own}


def rest_of(kind: type) -> str | None:
    """Return the field of a record that keeps what no other field has."""
    rest: str | None = getattr(kind, "KEEPS_THE_REST", None)
    return rest


def _record(kind: type) -> Conversion:
    # Only when it is used: a record may hold records of its own kind.
    made: dict[str, tuple[str, frozenset[type], Conversion]] = {}
    rest = rest_of(kind)
    keep = _as_it_is if rest is None else turn(get_type_hints(kind)[rest])

    def read_record(plain: object) -> object:
        if not made:
            known = fields(kind)
            made.update({key: (name, _as_sent(hint), turn(hint)) for key, (name, hint) in known.items()})
        values: dict[str, object] = {}
        others: dict[str, object] = {}
        for key, value in cast(Mapping[str, object], plain).items():
            if (found := made.get(key)) is not None:
                name, as_sent, make = found
                values[name] = value if type(value) in as_sent else make(value)
            else:
                others[key] = value
        if rest is not None:
            values[rest] = keep(others)
        return kind(**values)

    return read_record
