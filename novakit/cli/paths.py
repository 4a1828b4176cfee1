"""How the command line reads the name of a file or directory."""

from pathlib import Path


def absolute(text: str) -> Path:
    """Return what an argument names, as an absolute path.

    A command may hand it to a program that runs in another directory, so a relative name must not get any further.
    """
    return Path(text).absolute()
