"""The core knows plugins by entry point: no name of one stands in it, and what must be known of one it says itself."""

import ast
import re
import tomllib
from collections.abc import Iterator

import pytest

from tests.house.figures import CORE, GENERATED, Source, sources
from tests.support.distributions import PLUGINS

SINGLE = ("drivers", "networks", "schedulers", "accelerators")
"""Groups whose plugins are named one by one; names of filters and weighers are words such as `ram`."""


def _names() -> tuple[set[str], set[str]]:
    """Name the plugins of the groups, and the distributions of all plugins, as their project files say."""
    names: set[str] = set()
    distributions: set[str] = set()
    for member in PLUGINS:
        project = tomllib.loads(member.read_text())["project"]
        distributions.add(project["name"])
        for group in SINGLE:
            names |= project.get("entry-points", {}).get(f"novakit.{group}", {}).keys()
    return names, distributions


def _literals(source: Source) -> Iterator[ast.Constant]:
    """Give the strings that the code works with: those that stand alone describe what is above them."""
    told = {id(node.value) for node in ast.walk(source.tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node


def _named(source: Source, pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{source.place}:{node.lineno} {node.value!r}" for node in _literals(source) if pattern.search(str(node.value))
    ]


def _pattern() -> re.Pattern[str]:
    names, distributions = _names()
    assert len(names) >= 4 and len(distributions) >= 6, "the project files name the plugins"
    return re.compile(rf"(?<![\w-])({'|'.join(sorted(names | distributions))})(?![\w-])")


def test_no_plugin_is_named_in_the_core() -> None:
    pattern = _pattern()
    wrong = [
        line
        for source in sources()
        if CORE in source.path.parents and GENERATED not in source.path.parents
        for line in _named(source, pattern)
    ]
    assert not wrong, "a plugin says of itself what the core must know:\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('driver = "libvirt"', 1),
        ('raise Error("say --driver qemu")', 1),
        ('KEY = f"drivers:simulated"', 1),
        ('OWN = {"novakit-filters"}', 1),
        ('"""The libvirt driver."""', 0),
        ('tool = "qemu-img"', 0),
    ],
)
def test_a_name_is_found_wherever_the_code_works_with_it(text: str, found: int) -> None:
    assert len(_named(Source(CORE / "x.py", text, ast.parse(text)), _pattern())) == found
