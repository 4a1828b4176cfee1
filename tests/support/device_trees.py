"""Recorded parts of /sys and /proc, laid out as directories.

They are kept as lists, because real ones have links that lead round in circles, and whatever walks this repository
would walk them too.
"""

import functools
import json
import tempfile
from pathlib import Path

_LISTS = Path(__file__).parents[1] / "data" / "pci"
_LAID_OUT = tempfile.TemporaryDirectory(prefix="novakit-trees-")


@functools.cache
def tree(name: str) -> Path:
    """Give the root of a recorded tree: `path = "content"` is a file, `path -> target` a link, `path/` a directory."""
    root = Path(_LAID_OUT.name, name)
    for line in (_LISTS / f"{name}.tree").read_text().splitlines():
        path, sign, rest = line.split(" ", 2) if " " in line else (line, "", "")
        at = root / path
        (at.parent if sign else at).mkdir(parents=True, exist_ok=True)
        if sign == "->":
            at.symlink_to(rest)
        elif sign == "=":
            at.write_text(json.loads(rest))
    return root
