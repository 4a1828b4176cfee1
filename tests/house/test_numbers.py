"""A number that a module gives a name says what it counts and why it is so large: a reader cannot see that from it."""

import ast

import pytest

from tests.house import figures

KNOWN = {"MIB", "GIB", "MINIMUM", "MAXIMUM"}
"""Names that say all there is to say."""


def _is_number(value: ast.expr) -> bool:
    match value:
        case ast.Constant(value=bool()):
            return False
        case ast.Constant(value=number):
            return isinstance(number, int | float)
        case ast.UnaryOp(operand=inner):
            return _is_number(inner)
        case ast.BinOp(left=left, right=right):
            return _is_number(left) and _is_number(right)
        case ast.Tuple(elts=[_, *_] as some):
            return all(map(_is_number, some))
        case ast.Call(func=ast.Name(id="timedelta")):
            return True
    return False


def _names(target: ast.expr) -> list[str]:
    parts = target.elts if isinstance(target, ast.Tuple) else [target]
    return [part.id.lstrip("_") for part in parts if isinstance(part, ast.Name)]


def _bare(one: figures.Source) -> list[str]:
    """Return the constants of a module that are numbers and have neither a docstring nor a comment."""
    lines, found = one.text.splitlines(), []
    for node, after in zip(one.tree.body, [*one.tree.body[1:], None], strict=True):
        if not isinstance(node, ast.Assign) or not _is_number(node.value):
            continue
        names = _names(node.targets[0])
        told = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        told = told or lines[node.lineno - 2].lstrip().startswith("#") or "  # " in lines[node.lineno - 1]
        if names and all(map(str.isupper, names)) and not KNOWN.issuperset(names) and not told:
            found.append(f"{one.place}:{node.lineno} {', '.join(names)}")
    return found


def test_each_number_says_what_it_counts_and_why_it_is_so_large() -> None:
    found = [each for one in figures.sources() for each in _bare(one)]
    assert not found, f"write a docstring below each: {'; '.join(found)}"


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("LIMIT = 64 << 20\n", True),
        ("A, B = 1, 2\n", True),
        ('LIMIT = 64 << 20\n"""Bytes of one message."""\n', False),
        ("# Bytes of one message.\nLIMIT = 64 << 20\n", False),
        ("NAME = 'text'\n", False),
        ("GIB = 1 << 30\n", False),
    ],
)
def test_a_bare_number_is_found_and_another_is_not(text: str, bare: bool) -> None:
    one = figures.Source(figures.ROOT / "module.py", text, ast.parse(text))
    assert bool(_bare(one)) is bare
