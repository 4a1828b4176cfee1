"""Checks of single values in request bodies: each gives the value in its proper form or says what is wrong."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Check = Callable[[Any], Any]
UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
TRUE, FALSE = {"true", "1", "yes", "on", "t", "y"}, {"false", "0", "no", "off", "f", "n"}


class Wrong(Exception):
    """A value is not what the attribute takes; the message says why."""


def shown(value: Any) -> str:
    """Quote a value in an error, cut to a readable length."""
    text = str(value)
    return f"'{text[:80]}…'" if len(text) > 80 else f"'{text}'"


def text(longest: int = 255) -> Check:
    """Take a text of a greatest length."""

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise Wrong(f"{shown(value)} is not a valid string.")
        if len(value) > longest:
            raise Wrong(f"{shown(value)} exceeds maximum length of {longest}.")
        if "\0" in value or (not value.isprintable() and any(ord(char) in range(0xD800, 0xE000) for char in value)):
            raise Wrong(f"{shown(value)} contains a character that is not text.")
        return value

    return check


def boolean(value: Any) -> bool:
    """Take true or false, also as their usual words."""
    if isinstance(value, bool):
        return value
    word = str(value).lower() if isinstance(value, str | int) else ""
    if word in TRUE | FALSE:
        return word in TRUE
    raise Wrong(f"{shown(value)} cannot be converted to boolean.")


def integer(lowest: int, highest: int) -> Check:
    """Take a whole number of a range, also as text."""

    def check(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"-?\d{1,12}", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise Wrong(f"{shown(value)} is not an integer.")
        if not lowest <= value <= highest:
            raise Wrong(f"{shown(value)} is not in valid range: {lowest} to {highest}.")
        return value

    return check


def uuid(value: Any) -> str:
    """Take the id of something."""
    if not isinstance(value, str) or not UUID.fullmatch(value):
        raise Wrong(f"{shown(value)} is not a valid UUID.")
    return value


def one_of(*choices: Any) -> Check:
    """Take one of a few values."""

    def check(value: Any) -> Any:
        if isinstance(value, list | dict) or value not in choices:
            raise Wrong(f"{shown(value)} is not in {list(choices)}.")
        return value

    return check


def dns_label(value: Any) -> str:
    """Take a host name, or nothing."""
    if value == "" or (isinstance(value, str) and HOST_NAME.fullmatch(value)):
        return str(value)
    raise Wrong(f"{shown(value)} is not a host name: letters, digits and hyphens, 63 at most.")


def nullable(inner: Check) -> Check:
    """Take null besides."""
    return lambda value: None if value is None else inner(value)


def several(inner: Check, most: int = 200) -> Check:
    """Take a list."""

    def check(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise Wrong(f"{shown(value)} is not a list.")
        if len(value) > most:
            raise Wrong(f"a list of {len(value)} is too long; {most} is the most.")
        return [inner(item) for item in value]

    return check


def record(keys: Mapping[str, Check], needed: Sequence[str] = ()) -> Check:
    """Take an object with known keys."""

    def check(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Wrong(f"{shown(value)} is not an object.")
        if unknown := sorted(set(value) - set(keys)):
            raise Wrong(f"unexpected keys {unknown[:5]}; known are {sorted(keys)}.")
        if lacking := [name for name in needed if name not in value]:
            raise Wrong(f"keys {lacking} are missing.")
        return {name: keys[name](item) for name, item in value.items()}

    return check


def anything_small(value: Any) -> dict[str, Any]:
    """Take a small object of any content."""
    if not isinstance(value, dict) or len(str(value)) > 4096 or "\\u0000" in str(value) or "\0" in str(value):
        raise Wrong(f"{shown(value)} is not a small object.")
    return value
