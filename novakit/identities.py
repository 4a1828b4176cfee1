"""Files that say which deployment a directory belongs to: a control plane's state directory, and each host's own."""

import re
from pathlib import Path

from novakit import durable
from novakit.config import files
from novakit.errors import ConfigError
from novakit_hookspecs.fields import UUID_PATTERN

NAME = "deployment"
"""The file, in a state directory and in a host's own directory."""
OWN = "directory"
"""The file in a host's own directory that holds an id of that directory."""
_IDENTITY, _OWN_ID = files.own("the identity of a deployment"), files.own("the id of a host's directory")
_MOST = 4096
"""Bytes; an id and a newline have 37."""


def read(directory: Path) -> str | None:
    """Return the id that a directory has, or None. Raises ConfigError for a file that holds no id."""
    path = directory / NAME
    text = files.read_text(path, _MOST, _IDENTITY)
    if text is None:
        return None
    text = text.strip()
    if not re.fullmatch(UUID_PATTERN, text):
        raise ConfigError(
            f"{path} holds no id of a deployment: it was cut off or overwritten. Restore it from a backup, or remove it"
            " so that it takes the identity of the database."
        )
    return text


def take(directory: Path, id: str) -> None:
    """Give a directory the identity, for good. Raises OSError."""
    durable.write(directory / NAME, f"{id}\n".encode(), mode=0o644)


def read_own(directory: Path) -> str | None:
    """Return the id of a host's own directory, which tells it from another of the same name; None for none.

    Raises ConfigError for a file that holds no id.
    """
    path = directory / OWN
    text = files.read_text(path, _MOST, _OWN_ID)
    if text is None:
        return None
    if not re.fullmatch(UUID_PATTERN, text.strip()):
        raise ConfigError(f"{path} holds no id: it was cut off or overwritten. Restore it from a backup, or remove it.")
    return text.strip()


def make_own(directory: Path, id: str) -> None:
    """Give a host's directory an id of its own. Raises OSError."""
    durable.write(directory / OWN, f"{id}\n".encode(), mode=0o644)
