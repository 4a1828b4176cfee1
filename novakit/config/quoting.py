"""How a wrong value is shown in a sentence: whole where it is short, and never with characters that nobody sees."""

import re
from pathlib import Path

from novakit_hookspecs.urls import without_secrets

MOST_SHOWN = 80
"""Characters of a value that are quoted: a sentence is for reading, and a wrong value may be a megabyte."""
LONGEST_PATH = 4096
"""Bytes that Linux takes of a path, path_resolution(7)."""


def quoted(value: object) -> str:
    """Return a value as Python writes it, cut to a readable length, and what may be secret in a URL hidden."""
    if isinstance(value, str) and "//" in value:
        value = without_secrets(value)
    text = repr(value[: MOST_SHOWN * 2] if isinstance(value, str | list) else value)
    if not isinstance(value, str) and "//" in text:
        text = without_secrets(text)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def named(text: str) -> str:
    """Return a name as it is where anybody can read it, else as `quoted` does."""
    return text if re.fullmatch(r"[\w.:/-]+", text) and len(text) <= MOST_SHOWN else quoted(text)


def located(path: Path) -> str:
    """Return a path as `named` does, but whole: its end says which file it is, and readers go there."""
    text = str(path)[:LONGEST_PATH]
    return text if re.fullmatch(r"[\w.:/-]+", text) else repr(text)


def printable(text: str) -> str:
    """Return text that a terminal shows and does not obey."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
