"""Who goes past the contracts of the bus: read from the syntax trees.

Nobody outside `novakit/bus` has a use for the methods of a participant, so every mention of one of their names is a
find, called or not, whatever the object is named: a list of names for a bus would miss the next one. What has a method
of the same name for another reason is listed below, with where.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support.distributions import ROOT

INSIDE = ROOT / "novakit" / "bus"
METHODS = frozenset({"call", "call_each", "publish", "serve", "listen"})
OTHERS: Mapping[tuple[str, str], str] = {
    ("step", "call"): "novakit/scheduler/pipeline",
    ("driver", "call"): "novakit/scheduler/pipeline",
    ("weigher", "call"): "novakit/scheduler/pipeline",
    ("durable", "publish"): "novakit",
    ("door", "listen"): "novakit",
    ("topic", "listen"): "novakit/scheduler/service.py",
    ("args", "listen"): "novakit/cli",
    ("self.call", "call"): "novakit/api",
    ("one.call", "call"): "novakit/monitoring/families.py",
}
"""Receivers of such methods that are no bus, and the only places where they are that; a whole attribute is a field."""
FROM_TEXT = frozenset({"getattr", "attrgetter", "methodcaller"})


def past_contracts(tree: ast.AST, place: str) -> Iterator[str]:
    """Yield each use of the bus in a module that names its target, method or topic itself, as `place:line code`."""
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found = node.attr in METHODS and not _is_another(node, id(node) in called, place)
        else:
            found = isinstance(node, ast.Call) and _takes_by_text(node)
        if found:
            yield f"{place}:{getattr(node, 'lineno', 0)} {ast.unparse(node)}"


def _is_another(node: ast.Attribute, is_called: bool, place: str) -> bool:
    receiver = ast.unparse(node.value)
    if receiver.startswith("topics.") and receiver.count(".") == 1:
        return node.attr in ("publish", "listen")
    # A field is read, and never called.
    where = OTHERS.get((receiver, node.attr)) or (None if is_called else OTHERS.get((ast.unparse(node), node.attr)))
    return where is not None and Path(place).is_relative_to(where)


def _takes_by_text(node: ast.Call) -> bool:
    """Return whether a method of the bus is taken from an object by its name as a text."""
    maker = ast.unparse(node.func).rpartition(".")[2]
    texts = {each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)}
    return maker in FROM_TEXT and bool(texts & METHODS)
