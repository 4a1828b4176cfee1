"""The order of the files of tests, for a run on several workers: dear files first, so that none is left for the end.

By itself pytest-xdist hands out the files with the most tests first; the dearest ones, of one or two tests each, would
come last, when the other workers have nothing left.
"""

from collections.abc import Iterable, Sequence
from itertools import zip_longest

import pytest

DEAR = ("slow", "host")
"""Marks of tests that take long."""
CHEAP = "tests/unit/"
"""Where a test takes some milliseconds: what evens out the workers at the end."""


def dear_first(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Put whole files in order: those with a dear test, those of services, the cheap ones.

    Dear files of one folder have the same needs (guests that compute, processes that wait), so folders take turns.
    """
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)
    dear = {
        name for name, tests in files.items() if any(each.get_closest_marker(mark) for each in tests for mark in DEAR)
    }
    rest = sorted((name for name in files if name not in dear), key=lambda name: name.startswith(CHEAP))
    return [item for name in (*_in_turns(name for name in files if name in dear), *rest) for item in files[name]]


def _in_turns(names: Iterable[str]) -> list[str]:
    """Take one name of each top folder in turn."""
    folders: dict[str, list[str]] = {}
    for name in names:
        folders.setdefault("/".join(name.split("/")[:2]), []).append(name)
    return [name for turn in zip_longest(*folders.values()) for name in turn if name is not None]
