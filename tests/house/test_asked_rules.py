"""A rule that code names is in a policy table: where it is not, each request that asks it fails."""

import ast
from collections.abc import Iterator

import pytest

from novakit.api.services import SERVICES
from tests.house import figures
from tests.house.figures import Source

ASKS = frozenset({"allows", "authorize", "may", "_ask", "server_of"})
"""Who is given the name of a rule."""
PREFIXES = ("os_compute_api:", "identity:", "placement:", "compute:servers:", "network:attach_")
KNOWN = frozenset(name for service in SERVICES for name in service.policies)


def named(one: Source) -> Iterator[tuple[str, int]]:
    """Give the rules that a module names in full, with their lines."""
    parts = {id(part) for node in ast.walk(one.tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    asked = {id(said) for node in ast.walk(one.tree) if isinstance(node, ast.Call) for said in _given(node)}
    for node in ast.walk(one.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            is_name = node.value.startswith(PREFIXES) and " " not in node.value and node.value not in PREFIXES
            if is_name or id(node) in asked:
                yield node.value, node.lineno


def _given(call: ast.Call) -> list[ast.expr]:
    called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return call.args if called in ASKS else []


@pytest.mark.parametrize("folder", ["api", "compute", "conductor", "identity", "image", "network", "placement"])
def test_every_rule_that_code_names_is_in_a_table(folder: str) -> None:
    modules = [one for one in figures.sources() if one.path.is_relative_to(figures.CORE / folder)]
    found = [(f"{one.place}:{line}", name) for one in modules for name, line in named(one)]
    assert not [(place, name) for place, name in found if name not in KNOWN]


def test_names_that_are_asked_are_seen() -> None:
    source = 'call.authorize("os_compute_api:nothing")\nRULE = "identity:nothing"\nf"identity:{name}"\nmay("create_x")'
    tree = ast.parse(source)
    one = Source(path=figures.CORE / "x.py", text=source, tree=tree)
    assert {name for name, _ in named(one)} == {"os_compute_api:nothing", "identity:nothing", "create_x"}
