"""Each distribution alone, from its wheel: its tests pass with the lowest versions of all that it declares.

Every lower bound is one that somebody may have installed.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.support.distributions import CORE, EVERY, ROOT, project

pytestmark = pytest.mark.slow
UNIT = ROOT / "tests" / "unit"
FOLDER_OF = {
    "novakit-hookspecs": "hookspecs",
    "novakit-fit": "fit",
    "novakit-host": "host",
    "novakit-micro-image": "micro_image",
    "novakit-net-linux": "net_linux",
    "novakit-filters": "filters",
    "novakit-weighers": "weighers",
    "novakit-simulated": "simulated",
    "novakit-driver-libvirt": "driver_libvirt",
    "novakit-driver-qemu": "driver_qemu",
    "novakit-net-ovs": "net_ovs",
}
"""Where the tests lie that need this distribution alone; every other folder holds tests of the core."""
BESIDE = {
    "novakit": ("functional/guests/cloud.py", "functional/roles/intruder.py"),
    "novakit-hookspecs": ("conformance/broken_scheduling.py", "conformance/test_broken_scheduling.py"),
    "novakit-simulated": (
        "conformance/broken",
        "conformance/test_broken.py",
        "conformance/test_simulated.py",
        "conformance/test_simulated_network.py",
        "conformance/test_virt_assertions.py",
    ),
}
"""What a distribution's tests need besides, or have elsewhere."""


class Environment(Protocol):
    def run(self, *arguments: str) -> str: ...

    def test(self, *names: str) -> str: ...


def test_every_distribution_has_tests_of_its_own() -> None:
    for path in EVERY:
        name = project(path)["name"]
        assert any((UNIT / folder).rglob("test_*.py") for folder in _folders(name)), f"{name} has no test of its own"
    assert {project(path)["name"] for path in EVERY if path != CORE} == set(FOLDER_OF)


def _folders(name: str) -> list[str]:
    if name in FOLDER_OF:
        return [FOLDER_OF[name]]
    here = {one.name for one in UNIT.iterdir() if any(one.glob("*.py")) or one.suffix == ".py"}
    return sorted(here - set(FOLDER_OF.values()))


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


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("path", EVERY, ids=lambda path: project(path)["name"])
def test_a_wheel_alone_passes_its_tests_with_the_lowest_versions(
    lowest: Callable[[Path], Environment], path: Path
) -> None:
    alone, name = lowest(path), project(path)["name"]
    script = "import importlib.metadata as m; print(*(f'{d.name}=={d.version}' for d in m.distributions()))"
    installed = {
        plain(found): Version(version)
        for found, _, version in (one.partition("==") for one in alone.run("-c", script).split())
    }
    untested = {found for found, version in bounds(path).items() if installed[found] != version}
    assert not untested, "another dependency needs more of these: declare the versions that were tested"
    beside = BESIDE.get(name, ())
    assert "passed" in alone.test(*(f"unit/{folder}" for folder in _folders(name)), *beside)
