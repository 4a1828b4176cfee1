"""What an option of nova.conf can be here, and how its values are taken."""

import platform
from collections.abc import Callable
from typing import Any

import attrs

from novakit.config.quoting import quoted

Convert = Callable[[Any], object]
"""Makes the value that the option here takes; raises ValueError with what it takes."""


@attrs.frozen
class Renamed:
    """The same under another name."""

    section: str
    """Empty for the top of the file."""
    key: str
    convert: Convert
    adds: bool = False
    """Whether it may be said twice, under several names: the lists are joined."""


@attrs.frozen
class Needless:
    """What novakit does without being told, or has no use for; leaving it out changes nothing."""

    why: str
    only: tuple[object, ...] = ()
    """Values that this is true of, in whatever words a file has them; other values ask for what novakit does not have.

    Empty means any value."""


@attrs.frozen
class Absent:
    """What novakit does not have: whoever asks for it must know."""

    why: str


Meaning = Renamed | Needless | Absent


def text(value: object) -> str:
    """Take a text."""
    if not isinstance(value, str):
        raise ValueError(f"takes a text, not {quoted(value)}")
    return value


def number(value: object) -> int | float:
    """Take a number, or a text that is one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"takes a number, not {quoted(value)}")
    try:
        return int(value)
    except ValueError:
        pass
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"takes a number, not {quoted(value)}") from None


def decimal(value: object) -> float:
    """Take a number as one with a point."""
    try:
        return float(number(value))
    except OverflowError:
        raise ValueError(f"takes a number up to 1.7e308, not {quoted(value)}") from None


def yes_or_no(value: object) -> bool:
    """Take true or false, and the words for it."""
    known = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    raise ValueError(f"takes true or false, not {quoted(value)}")


def names(value: object) -> list[str]:
    """Take a list, or a text with commas."""
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        raise ValueError(f"takes a list of names, not {quoted(value)}")
    return [one.strip() for one in listed if one.strip()]


def ratio(value: object) -> float:
    """Take how often a thing may be promised."""
    if (times := decimal(value)) == 0.0:
        raise ValueError("0.0 is unset for Nova, so the driver's own default stands")
    return times


def gigabytes(value: object) -> int:
    """Take a number of MiB as one of GiB, the next larger one."""
    return -(-int(number(value)) // 1024)


def machine_type(value: object) -> str:
    """Take a machine type, or one for each architecture: that of the machine which reads this counts."""
    said = names(value)
    if not any("=" in one for one in said):
        return text(value)
    known = {arch.strip(): machine.strip() for arch, _, machine in (one.partition("=") for one in said)}
    here = platform.machine()
    if not known.get(here):
        raise ValueError(f"names no machine type for {here}, which this machine is")
    return known[here]
