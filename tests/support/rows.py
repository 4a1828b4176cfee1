"""Whether rows are of the types that the store says they are: a `TypedDict` says it to the type checker alone."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache, wraps
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

Check = Callable[[object], bool]
FOUND: list[str] = []
"""What of the rows that this process read was not as its type says; the test under way fails for it."""
FLAVOR = {"id": "1", "name": "m1.tiny", "vcpus": 1, "ram": 64, "disk": 1}
"""What a server remembers of its flavor at the least."""
MOST = 20
"""Rows of one answer that are looked at: the others came through the same statement."""


def looked_at(read: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Have what a method of `Session` returns looked at, row by row."""

    @wraps(read)
    async def looking(*given: Any, of: type, **named: Any) -> Any:
        answer = await read(*given, of=of, **named)
        rows = answer if isinstance(answer, list) else () if answer is None else (answer,)
        for row in rows[:MOST]:
            FOUND.extend(faults(row, of))
        return answer

    return looking


def faults(row: Mapping[str, object], of: type) -> list[str]:
    """Return what of a row is not as its type says."""
    if not is_typeddict(of):
        return [] if _whole(of)(row) else [f"{of} is {row!r:.200}"]
    checks, needed = _fields(of)
    missing = [f"{of.__name__} has no {name}" for name in sorted(needed - row.keys())]
    unknown = [f"{of.__name__} says nothing of {name}" for name in row if name not in checks]
    wrong = [
        f"{of.__name__}.{name} is {value!r:.200}"
        for name, value in row.items()
        if name in checks and not checks[name](value)
    ]
    return missing + unknown + wrong


@cache
def _whole(of: Any) -> Check:
    return _check(of)


@cache
def _fields(of: type) -> tuple[Mapping[str, Check], frozenset[str]]:
    hints = get_type_hints(of, include_extras=True)
    late = {name for name, hint in hints.items() if get_origin(hint) is NotRequired}
    checks = {name: _check(get_args(hint)[0] if name in late else hint) for name, hint in hints.items()}
    return checks, frozenset(hints.keys() - late) if of.__total__ else frozenset()


def _check(hint: Any) -> Check:
    if hint is object or hint is Any:
        return lambda value: True
    if is_typeddict(hint):
        return lambda value: isinstance(value, Mapping) and _is_record(value, hint)
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        ways = [_check(one) for one in inside]
        return lambda value: any(way(value) for way in ways)
    if origin is Literal:
        return lambda value: value in inside
    if origin is not None and issubclass(origin, Mapping):
        named, held = _check(inside[0]), _check(inside[1])
        return lambda value: (
            isinstance(value, Mapping) and all(named(key) and held(each) for key, each in value.items())
        )
    if origin is tuple:  # JSON knows lists alone
        each_of = [_check(one) for one in inside]
        return lambda value: (
            isinstance(value, list | tuple)
            and len(value) == len(each_of)
            and all(check(each) for check, each in zip(each_of, value, strict=True))
        )
    if origin is not None and issubclass(origin, Sequence):
        member = _check(inside[0])
        return lambda value: isinstance(value, list | tuple) and all(member(each) for each in value)
    if hint is float:
        return lambda value: type(value) in (int, float)
    if hint is NoneType:
        return lambda value: value is None
    if hint is int:  # a bool is none here
        return lambda value: type(value) is int
    return lambda value: isinstance(value, hint)


def _is_record(value: Mapping[str, object], of: type) -> bool:
    """Say whether plain data has the fields that are told of it; it may have more."""
    checks, needed = _fields(of)
    return needed <= value.keys() and all(checks[name](each) for name, each in value.items() if name in checks)
