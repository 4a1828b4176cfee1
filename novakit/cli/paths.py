"""How the command line reads the name of a file or directory."""

from pathlib import Path

from novakit.config import files
from novakit.config.quoting import located
from novakit.errors import ConfigError


def absolute(text: str) -> Path:
    """Return what an argument names, as an absolute path.

    A command may hand it to a program that runs in another directory, so a relative name must not get any further.
    """
    return Path(text).absolute()


def resolved(path: Path) -> Path:
    """Return a path without links. Raises ConfigError where its links lead to themselves, or nowhere.

    What a link leads to may be a disk that is not mounted; a directory made there would be another cloud.
    """
    if nowhere := files.leads_nowhere(path):
        raise ConfigError(f"{nowhere}; mount or make that directory, or correct the link.")
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:
        raise ConfigError(f"{path} cannot be used: its links go round in a circle; correct them.") from error
    except ValueError as error:
        raise ConfigError(f"{located(path)} is the name of no directory: {error}; correct it.") from error


def require_config(path: Path | None) -> None:
    """Refuse a file of options that was named and is not there. Raises ConfigError."""
    if path is not None and not path.exists():
        raise ConfigError(f"--config {located(path)} does not exist; correct the path, or leave it out.")


def existing(state: Path) -> Path:
    """Return a state directory. Raises ConfigError where there is none, or something else in its place."""
    if not state.is_dir():
        if nowhere := files.leads_nowhere(state):
            raise ConfigError(f"{nowhere}; mount or make that directory, or correct the link.")
        wrong = files.not_a_directory(state)
        raise ConfigError(wrong or f"There is no state directory {located(state)}; name the service's with --state.")
    return state
