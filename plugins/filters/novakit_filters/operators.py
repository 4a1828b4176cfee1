"""The comparison language of extra specs: `>= 4`, `s== x86_64`, `<in> avx`, `<or> a <or> b`, `<all-in> a b`."""

import operator
from collections.abc import Callable
from typing import Any

_NUMERIC: dict[str, Callable[[float, float], bool]] = {
    # Nova's extra_specs_ops gave `=` this meaning for amounts, and flavors rely on it.
    "=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
}
_TEXT: dict[str, Callable[[str, str], bool]] = {
    "s==": operator.eq,
    "s!=": operator.ne,
    "s<": operator.lt,
    "s<=": operator.le,
    "s>": operator.gt,
    "s>=": operator.ge,
}
_MAX_WORDS = 200
"""Words of one comparison; an extra spec has 255 characters, so no honest one comes near."""


def matches(value: object, wanted: str) -> bool:
    """Return whether a host's value satisfies what an extra spec wants.

    Without an operator the two are compared as text; `=` means at least, as it always has.
    A value that cannot be compared satisfies nothing.
    """
    words = wanted.split()
    if len(words) > _MAX_WORDS:
        return False
    if not words:
        return _text(value) == wanted
    first, rest = words[0], words[1:]
    if first in _NUMERIC:
        return len(rest) > 0 and _compare_numbers(_NUMERIC[first], value, rest[0])
    if first in _TEXT:
        return len(rest) > 0 and _TEXT[first](_text(value), rest[0])
    if first == "<or>":
        return _text(value) in _alternatives(words)
    if first == "<in>":
        return len(rest) > 0 and _contains(value, rest[0])
    if first == "<all-in>":
        return len(rest) > 0 and all(_contains(value, word) for word in rest)
    if first == "<range-in>":
        return len(rest) == 4 and _in_range(value, rest)
    return _text(value) == wanted


def is_plain(wanted: str) -> bool:
    """Return whether an extra spec is a value rather than a comparison."""
    first = wanted.split(maxsplit=1)[:1]
    return not first or first[0] not in {*_NUMERIC, *_TEXT, "<or>", "<in>", "<all-in>", "<range-in>"}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _compare_numbers(compare: Callable[[float, float], bool], value: Any, wanted: str) -> bool:
    try:
        return compare(float(value), float(wanted))
    except (TypeError, ValueError):
        return False


def _alternatives(words: list[str]) -> list[str]:
    """Return the words after each `<or>`; what stands between two of them is one alternative."""
    return [words[index + 1] for index, word in enumerate(words[:-1]) if word == "<or>"]


def _contains(value: object, word: str) -> bool:
    if isinstance(value, list | tuple | set | frozenset):
        return word in {_text(one) for one in value}
    return word in _text(value)


def _in_range(value: object, words: list[str]) -> bool:
    """Take `[ 10 20 ]`, where a round bracket leaves its end out."""
    opening, low, high, closing = words
    if opening not in "[(" or closing not in "])":
        return False
    above = operator.ge if opening == "[" else operator.gt
    below = operator.le if closing == "]" else operator.lt
    return _compare_numbers(above, value, low) and _compare_numbers(below, value, high)
