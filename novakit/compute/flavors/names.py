"""What a flavor's name says, by the convention class + generation `.` family `_` size: m1.nebula_micro."""

import re

import attrs

CLASSES = {
    "m": "general purpose",
    "c": "compute optimised",
    "r": "memory optimised",
    "s": "storage optimised",
    "g": "graphics and accelerators",
    "t": "burstable",
}
SIZES = ("nano", "micro", "tiny", "small", "medium", "large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge")
"""From the smallest to the largest."""

_NAME = re.compile(r"([a-z])(\d+)\.(?:([a-z0-9][a-z0-9-]*)_)?([a-z0-9]+)")


@attrs.frozen(kw_only=True)
class FlavorName:
    """A name that follows the convention."""

    kind: str
    """What the class letter stands for."""
    generation: int
    family: str | None
    """Who it was made for; None in a stock flavor."""
    size: str
    rank: int
    """Place of the size among all sizes, from 0."""


def read(name: str) -> FlavorName:
    """Take a name apart. Raises ValueError saying what it should look like."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(
            f"{name!r} is not CLASS+GENERATION.[FAMILY_]SIZE, such as m1.tiny or m1.nebula_micro; any name is "
            "accepted, this is only the convention."
        )
    letter, generation, family, size = match.groups()
    if letter not in CLASSES:
        raise ValueError(f"{name!r} begins with {letter!r}; classes are {_listed(CLASSES)}.")
    if size not in SIZES:
        raise ValueError(f"{name!r} ends with {size!r}; sizes are {', '.join(SIZES)}.")
    return FlavorName(
        kind=CLASSES[letter], generation=int(generation), family=family, size=size, rank=SIZES.index(size)
    )


def make(letter: str, generation: int, size: str, family: str | None = None) -> str:
    """Put a name together. Raises ValueError for parts that the convention does not know."""
    name = f"{letter}{generation}.{f'{family}_' if family else ''}{size}"
    read(name)
    return name


def _listed(classes: dict[str, str]) -> str:
    return ", ".join(f"{letter} ({kind})" for letter, kind in classes.items())
