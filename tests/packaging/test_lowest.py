"""The lowest versions that are declared work: every lower bound is one that somebody may have installed."""

import re
from pathlib import Path
from typing import Protocol

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.support.distributions import EVERY, project

pytestmark = pytest.mark.slow
CHOSEN = ("image", "identity", "policy", "plughost", "test_logs.py")
"""Unit tests of the parts that lean most on other people's libraries."""


class Environment(Protocol):
    def run(self, *arguments: str) -> str: ...

    def test(self, *names: str) -> str: ...


def bounds(path: Path) -> dict[str, Version]:
    """Give the lowest version of each dependency that a distribution declares."""
    found = {}
    for line in project(path)["dependencies"]:
        wanted = Requirement(line)
        lowest = [Version(one.version) for one in wanted.specifier if one.operator in (">=", "==")]
        assert lowest, f"{path} declares no lower bound of {wanted.name}"
        found[plain(wanted.name)] = max(lowest)
    return found


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_lowest_declared_versions_work(lowest: Environment) -> None:
    script = "import importlib.metadata as m; print(*(f'{d.name}=={d.version}' for d in m.distributions()))"
    installed = {
        plain(name): Version(version)
        for name, _, version in (w.partition("==") for w in lowest.run("-c", script).split())
    }
    declared: dict[str, Version] = {}
    for path in EVERY:
        for name, version in bounds(path).items():
            declared[name] = max(version, declared.get(name, version))
    # A bound may be below what another dependency needs of the same library, and then it is not the one to be had.
    exact = {name for name, version in declared.items() if installed[name] == version}
    assert {"sqlalchemy", "aiosqlite", "oslo-utils", "oslo-policy", "aiohttp", "numpy", "alembic"} <= exact
    lowest.run("-c", "import novakit.app, novakit.control, novakit.cli.serve, novakit_net_ovs, novakit_driver_qemu")
    assert "passed" in lowest.test(*(f"unit/{name}" for name in CHOSEN))
