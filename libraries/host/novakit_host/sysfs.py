"""Small reads of the kernel's files, in which whatever is missing, unreadable or junk is empty."""

from collections.abc import Sequence
from pathlib import Path

_DIGITS = frozenset("0123456789abcdef")


def text(path: Path) -> str:
    """Return a file's text without the white space around it."""
    try:
        return path.read_text(errors="replace").strip()
    except (OSError, ValueError):
        return ""


def link(path: Path) -> str:
    """Return the last part of what a link leads to."""
    try:
        return path.readlink().name
    except OSError:
        return ""


def names(directory: Path) -> Sequence[str]:
    """List a directory, sorted."""
    try:
        return sorted(each.name for each in directory.iterdir())
    except OSError:
        return []


def hexadecimal(path: Path, digits: int) -> str:
    """Read a number that is written as 0x10de, as that many lower-case digits."""
    found = text(path).lower().removeprefix("0x")
    return found if len(found) == digits and _DIGITS.issuperset(found) else ""
