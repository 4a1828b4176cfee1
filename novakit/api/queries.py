"""Parameters of a query, for all services: one that is accepted is obeyed, or answered 400."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import overload

from novakit import errors
from novakit.api.bodies import additional
from novakit.api.records import FALSE, TRUE

MOST_DIGITS = 18
"""Digits of a number that every database can hold."""
LARGEST_COLUMN = (1 << 31) - 1
"""The largest number of most columns; nothing is found by a larger one, and PostgreSQL fails to look for it."""


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
        raise errors.BadRequest(f"{name} must be one of {', '.join(known)}.")
    return value


@overload
def number(query: Mapping[str, str], name: str, default: int) -> int: ...
@overload
def number(query: Mapping[str, str], name: str, default: None = None) -> int | None: ...
def number(query: Mapping[str, str], name: str, default: int | None = None) -> int | None:
    """Read a number, 0 or more. Raises BadRequest for anything else."""
    value = query.get(name)
    if value is None:
        return default
    if not (value.isascii() and value.isdigit()) or len(value) > MOST_DIGITS:
        raise errors.BadRequest(
            f"Invalid input for query parameter {name}: {value[:80]!r} must be an integer that is not negative."
        )
    return int(value)


def moment(value: str, complaint: str) -> datetime:
    """Read an ISO 8601 time, in UTC unless it says otherwise. Raises BadRequest with the complaint."""
    try:
        # A plus sign that a client did not encode arrives as a space.
        when = datetime.fromisoformat(value.strip().replace(" 00:00", "+00:00"))
        return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise errors.BadRequest(f"{complaint} It must be a time such as 2030-01-31T12:00:00Z.") from error


def order(
    keys: Sequence[str], directions: Sequence[str], sortable: Collection[str], default: str
) -> list[tuple[str, bool]]:
    """Read by what to sort, each key with whether it goes down; a key without a direction goes by `default`.

    Raises BadRequest for a key that is not sortable, for an unknown direction, and for one key too many.
    """
    if len(keys) > len(sortable):
        raise errors.BadRequest("Sort by each attribute once.")
    ways = [directions[place] if place < len(directions) else default for place in range(len(keys))]
    if not set(keys) <= set(sortable) or not set(ways) <= {"asc", "desc"}:
        raise errors.BadRequest(f"Sort by one of {', '.join(sortable)}, each asc or desc.")
    return [(key, way == "desc") for key, way in zip(keys, ways, strict=True)]


def refuse_unknown(query: Collection[str], known: Collection[str]) -> None:
    """Refuse parameters that nothing would obey. Raises BadRequest, naming them."""
    if extra := sorted(set(query) - set(known)):
        raise additional(extra)
