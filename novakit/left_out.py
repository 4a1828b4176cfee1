"""What was left out of a request, told from null."""

import enum
from typing import Final, Literal, TypeVar

import attrs

T = TypeVar("T")


class LeftOut(enum.Enum):
    """What stands for an attribute that a client did not send; it is false, and no null that was sent."""

    LEFT_OUT = "left out"

    def __bool__(self) -> Literal[False]:
        return False


LEFT_OUT: Final = LeftOut.LEFT_OUT


def either(value: T | LeftOut, default: T) -> T:
    """Return what was sent, or the default where nothing was."""
    return default if isinstance(value, LeftOut) else value


def sent(values: attrs.AttrsInstance) -> dict[str, object]:
    """Return the attributes of a record of values that a client did send."""
    found = attrs.asdict(values, recurse=False)
    return {name: value for name, value in found.items() if value is not LEFT_OUT}
