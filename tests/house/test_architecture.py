"""What the page on the architecture says of modules and functions by their names is there."""

import ast
import re

import pytest

from tests.house import figures
from tests.house.figures import Source
from tests.support.distributions import ROOT

PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text()
TWINS = {
    "runs a program": frozenset({"create_subprocess_exec", "create_subprocess_shell", "Popen", "subprocess.run"}),
    "locks a file": frozenset({"flock", "lockf"}),
    "keeps the work on a guest in a row": frozenset({"WeakValueDictionary[str, asyncio.Lock]"}),
    "flushes a file": frozenset({"fsync", "fdatasync"}),
    "looks for a collision of transactions": frozenset({"is_collision"}),
    "turns records into plain data": frozenset({"to_plain"}),
}
"""By what the page calls it, how a module that does it is known: what it calls or hands on, and what a field is.

Of the last one it is the definition.
"""


def section(title: str) -> str:
    """Return what stands below a heading of the page."""
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def rows_of(text: str) -> list[list[str]]:
    """Return the cells of the tables in a text, their headings included."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


SITTING = [row[1:] for row in rows_of(section("One create, in one sitting"))[2:]]


def _defined(module: str) -> set[str]:
    found = set()
    for node in ast.parse((ROOT / module).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            inner = (each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
            found |= {f"{node.name}.{each.name}" for each in inner}
    return found


@pytest.mark.parametrize(("modules", "names"), SITTING, ids=[row[1] for row in SITTING])
def test_what_is_to_be_read_in_one_sitting_is_there(modules: str, names: str) -> None:
    defined = set().union(*(_defined(module) for module in re.findall(r"`([^`]+)`", modules)))
    gone = set(re.findall(r"`([^`]+)`", names)) - defined
    assert not gone, f"{', '.join(sorted(gone))} is not in {modules}: say what is to be read in its place"


def test_the_page_repeats_no_figure_of_the_spine() -> None:
    told = re.findall(r"\d+ functions|\d+ files", section("One create, in one sitting"))
    assert told == ["60 functions", "20 files"], "measured figures age: `make house` prints them"


def test_each_domain_object_is_in_the_module_that_the_page_names() -> None:
    for name, place, _ in rows_of(section("The domain objects"))[2:]:
        named = place.strip("`")
        modules = [named] if named.endswith(".py") else [one.place for one in figures.sources() if named in one.place]
        assert any(name.strip("`") in _defined(module) for module in modules), f"{name} is not in {place}"


def _does(one: Source, what: str) -> bool:
    for node in ast.walk(one.tree):
        if what == "turns records into plain data":
            found = {node.name} if isinstance(node, ast.FunctionDef) else set()
        elif isinstance(node, ast.AnnAssign):
            found = {ast.unparse(node.annotation).strip("'")}
        elif isinstance(node, ast.Call):
            named = [ast.unparse(each) for each in (node.func, *node.args)]
            found = {*named, *(each.rpartition(".")[2] for each in named)}
        else:
            continue
        if found & TWINS[what]:
            return True
    return False


@pytest.mark.parametrize("what", TWINS)
def test_whatever_is_done_in_several_places_has_its_reason_on_the_page(what: str) -> None:
    told = {
        place for row in rows_of(section("The layers")) if row[0] == what for place in re.findall(r"`([^`]+)`", row[1])
    }
    does = {one.place for one in figures.sources() if _does(one, what)}
    assert does == told, f"{', '.join(sorted(does ^ told))}: make it one with what is there, or say why not"


def test_no_function_stands_in_two_modules_of_one_package() -> None:
    """Short ones, as handlers that hand on what they were asked, may be alike."""
    bodies: dict[tuple[str, str], set[str]] = {}
    for one in figures.sources():
        for node in one.tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and len(node.body) > 3:
                told = "\n".join(map(ast.unparse, node.body))
                bodies.setdefault(("/".join(one.place.split("/")[:2]), told), set()).add(f"{one.place} {node.name}")
    twice = [", ".join(sorted(places)) for places in bodies.values() if len(places) > 1]
    assert not twice, f"make one of them: {'; '.join(twice)}"
