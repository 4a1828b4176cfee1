"""Files that people write, read with care: a sentence for each way in which one cannot be used."""

import os
import stat
from pathlib import Path

import attrs

from novakit.config.quoting import located
from novakit.errors import ConfigError

MOST = 1 << 20
"""Bytes; no configuration has more."""


@attrs.frozen
class FileKind:
    """What a file is, and what to do where something else stands in its place."""

    name: str
    instead: str
    """For what is no file."""
    smaller: str
    """For a file that is too large."""
    readable: str = "save it as UTF-8 text"
    """For a file that is no text."""


CONFIGURATION = FileKind("a configuration", "name one, or remove it", "name another file")


def own(name: str) -> FileKind:
    """Return the kind of a file that no option names: it is always looked for in the same place."""
    return FileKind(
        name,
        f"{name} belongs there, so move it away",
        "move it away",
        "it was overwritten, so restore it, or move it away",
    )


def read_text(path: Path, most: int = MOST, kind: FileKind = CONFIGURATION) -> str | None:
    """Return the text of a file, None where there is none. Raises ConfigError saying what is wrong with it."""
    shown = located(path)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        if nowhere := leads_nowhere(path):
            raise ConfigError(f"{nowhere}; correct it.") from error
        return None
    except NotADirectoryError as error:
        raise ConfigError(not_a_directory(path.parent) or f"{shown} cannot be read; correct its name.") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{shown} cannot be read: {_reason(error)}; correct its name or its rights.") from error
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise ConfigError(f"{shown} is {_kind(mode)} and not a file; {kind.instead}.")
    with os.fdopen(handle, "rb") as file:
        try:
            content = file.read(most + 1)
        except OSError as error:
            raise ConfigError(f"{shown} cannot be read: {_reason(error)}; check its disk.") from error
    if len(content) > most:
        raise ConfigError(f"{shown} has more than {most} bytes, which is too large for {kind.name}; {kind.smaller}.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{shown} is not UTF-8 at line {line}; {kind.readable}.") from error


def leads_nowhere(path: Path) -> str | None:
    """Return which link on the way to a path leads to what is not there; None where none does."""
    for place in (path, *path.parents):
        try:
            if place.is_symlink():
                place.stat()
        except FileNotFoundError:
            return f"{located(place)} is a link to {located(place.readlink())}, which does not exist"
        except OSError:
            continue
    return None


def not_a_directory(path: Path) -> str | None:
    """Return what stands where a directory should; None where nothing is wrong with what is there."""
    for place in (path, *path.parents):
        if place.exists() and not place.is_dir():
            what = _kind(place.stat().st_mode)
            return f"{located(place)} is {what} and not a directory; name a directory, or move it away."
    return None


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    if stat.S_ISREG(mode):
        return "a file"
    return "a pipe" if stat.S_ISFIFO(mode) else "a device"
