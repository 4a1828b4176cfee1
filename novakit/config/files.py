"""Files that people write, read with care: a sentence for each way in which one cannot be used."""

import os
import stat
from pathlib import Path

from novakit.errors import ConfigError

MOST = 1 << 20
"""Bytes; no configuration has more."""


def read_text(path: Path, most: int = MOST) -> str | None:
    """Return the text of a file, None where there is none. Raises ConfigError saying what is wrong with it."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise ConfigError(f"{path} is a link to {path.readlink()}, which does not exist; correct it.") from error
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{str(path)!r} cannot be read: {_reason(error)}; correct its name or its rights.") from error
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise ConfigError(f"{path} is {_kind(mode)} and not a file; name one, or remove it.")
    with os.fdopen(handle, "rb") as file:
        try:
            content = file.read(most + 1)
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {_reason(error)}; check its disk.") from error
    if len(content) > most:
        raise ConfigError(
            f"{path} has more than {most} bytes, which is too large for a configuration; name another file."
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path} is not UTF-8 at line {line}; save it as UTF-8 text.") from error


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    return "a pipe" if stat.S_ISFIFO(mode) else "a device"
