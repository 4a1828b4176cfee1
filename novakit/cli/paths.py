"""How the command line reads the name of a file or directory."""

from pathlib import Path

from novakit.errors import ConfigError


def absolute(text: str) -> Path:
    """Return what an argument names, as an absolute path.

    A command may hand it to a program that runs in another directory, so a relative name must not get any further.
    """
    return Path(text).absolute()


def resolved(path: Path) -> Path:
    """Return a path without links. Raises ConfigError where its links lead to themselves."""
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:
        raise ConfigError(f"{path} cannot be used: its links go round in a circle; correct them.") from error
