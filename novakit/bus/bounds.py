"""How much one message of a compute host may hold: types are checked by its contract, sizes here, for every call.

Without bounds a host that was taken over makes the conductor keep, compare and write whatever it likes.
The cost: one pass over the plain data of a message, about a millisecond for a report of a thousand guests.
"""

from collections.abc import Mapping, Sequence

from novakit.bus.interface import Sealed

LONGEST = 4 << 20
"""Characters of one text: a console log is the longest that is asked for."""
MOST = 50_000
"""Members of one list or object: guests, ports and things that a host keeps."""
DEEPEST = 16
"""Levels of lists and objects inside each other."""
HIGHEST = 1 << 63
"""No number of a host reaches this far from zero; databases take none that does."""


def check(value: object, name: str, depth: int = 0) -> None:
    """Raise ValueError, with the name of what is too much, for plain data above the bounds."""
    if isinstance(value, str):
        if len(value) > LONGEST:
            raise ValueError(f"{name} has {len(value)} characters; at most {LONGEST} are accepted")
    elif isinstance(value, bool | float | Sealed) or value is None:
        return  # what is sealed is of this very process, which has looked at it
    elif isinstance(value, int):
        if abs(value) >= HIGHEST:
            raise ValueError(f"{name} is a number that is not accepted")
    elif depth >= DEEPEST:
        raise ValueError(f"{name} has more than {DEEPEST} levels")
    elif not isinstance(value, Mapping | Sequence):
        raise ValueError(f"{name} is a {type(value).__name__}, which no message holds")
    elif len(value) > MOST:
        raise ValueError(f"{name} has {len(value)} members; at most {MOST} are accepted")
    elif isinstance(value, Mapping):
        for key, each in value.items():
            check(key, f"a name in {name}", depth + 1)
            check(each, f"{name}.{key[:60]}", depth + 1)
    else:
        for each in value:
            check(each, name, depth + 1)
