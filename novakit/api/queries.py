"""Parameters of a query, for all services: one that is accepted is obeyed, or answered 400."""

from collections.abc import Collection, Mapping

from novakit import errors
from novakit.api.bodies import additional

TRUE = frozenset(("true", "1", "on", "yes", "t", "y"))
FALSE = frozenset(("false", "0", "off", "no", "f", "n"))
MOST_DIGITS = 18
"""Digits of a number that every database can hold."""


def boolean(value: bool | str | int | None, default: bool = False) -> bool:
    """Read a boolean as clients write it in a body; what is neither true nor false is the default."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    return True if word in TRUE else False if word in FALSE else default


def strict_boolean(value: str, name: str) -> bool:
    """Read a boolean of a query string. Raises BadRequest for anything else."""
    word = value.strip().lower()
    if word not in TRUE | FALSE:
        raise errors.BadRequest(f"Invalid value '{value[:80]}' for {name}; it must be true or false.")
    return word in TRUE


def choice(query: Mapping[str, str], name: str, known: Collection[str]) -> str | None:
    """Read one of a few words; None when it is not given. Raises BadRequest for another word."""
    value = query.get(name)
    if value is not None and value not in known:
        raise errors.BadRequest(f"{name} is one of {', '.join(known)}.")
    return value


def number(query: Mapping[str, str], name: str, default: int | None = None) -> int | None:
    """Read a number, 0 or more. Raises BadRequest for anything else."""
    value = query.get(name)
    if value is None:
        return default
    if not (value.isascii() and value.isdigit()) or len(value) > MOST_DIGITS:
        raise errors.BadRequest(f"{name} must be an integer that is not negative.")
    return int(value)


def refuse_unknown(query: Collection[str], known: Collection[str]) -> None:
    """Refuse parameters that nothing would obey. Raises BadRequest, naming them."""
    if extra := sorted(set(query) - set(known)):
        raise additional(extra)
