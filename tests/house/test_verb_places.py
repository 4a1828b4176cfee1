"""The page on the architecture lists each source file that one verb touches."""

import ast
import re
from collections.abc import Iterator

from novakit.conductor.verbs import VERBS as KINDS
from tests.house.figures import sources
from tests.support.distributions import EVERY, ROOT, package

NAMES_PAUSE = re.compile(r"\bPauses\b|os-pause-server|Power\.PAUSED|\bPAUSED = |kind='(un)?pause'".replace("'", '"'))
NAMES_ITS_STATE = re.compile('"paused"')
"""Other verbs may begin from that state: what they say of it is theirs."""
VERBS = ROOT / "novakit/conductor/verbs"
TOPS = ("novakit/", "hookspecs/", "plugins/", "libraries/")


def _listed() -> set[str]:
    """Return the source files that the page names, a short one lying in the folder of the first of its row."""
    page = (ROOT / "docs/explanation/architecture.md").read_text()
    section = page.split("## What one verb touches\n")[1].split("\n## ")[0]
    found: set[str] = set()
    for row in re.findall(r"^\| (`.+`) \| (\d+) \|", section, re.MULTILINE):
        paths = re.findall(r"`([^`]+)`", row[0])
        assert len(paths) == int(row[1]), row
        found |= {path if path.startswith(TOPS) else f"{paths[0].rpartition('/')[0]}/{path}" for path in paths}
    return found


def test_the_files_that_pause_touches_are_those_that_the_page_lists() -> None:
    listed = _listed()
    naming = {
        str(path.relative_to(ROOT))
        for one in EVERY
        for path in package(one).rglob("*.py")
        if NAMES_PAUSE.search(path.read_text()) or (path.parent != VERBS and NAMES_ITS_STATE.search(path.read_text()))
    }
    assert naming == listed
    assert f"named in {len(listed)} source files" in (ROOT / "docs/explanation/architecture.md").read_text()


def test_nothing_of_the_conductor_but_the_verbs_themselves_names_a_verb() -> None:
    """What is one verb's stands in its module; the service asks one of them for what is due by itself."""
    conductor = ROOT / "novakit/conductor"
    naming = {
        str(path.relative_to(conductor))
        for path in conductor.rglob("*.py")
        if path.parent.name != "verbs" and re.search(r"conductor\.verbs\.\w+ import", path.read_text())
    }
    assert naming == {"service.py"}


PLAIN_WORDS = frozenset({"create", "delete", "lock", "start", "stop"})
"""Kinds of verbs that other things are called by as well."""
OF_ANOTHER = "novakit/api/compute/flavors/extra_specs.py"
"""Where a watchdog may pause a guest."""


def test_the_modules_that_name_a_verb_by_its_kind_are_those_on_the_page() -> None:
    naming = {
        one.place
        for one in sources()
        if one.path.parent != VERBS and one.place.startswith("novakit/") and one.place != OF_ANOTHER
        for node in ast.walk(one.tree)
        if isinstance(node, ast.Constant) and node.value in KINDS.keys() - PLAIN_WORDS
    }
    page = (ROOT / "docs/explanation/architecture.md").read_text()
    told = re.findall("`([^`]+)`", page.split("Four modules ask of operations")[1].split("\n")[0])
    assert naming == set(told), "read it from the verb's record, or say on the page why not"


def test_what_the_page_says_to_read_of_a_create_is_there() -> None:
    section = (ROOT / "docs/explanation/architecture.md").read_text().split("in one sitting\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| [^|]+ \| (`novakit/[^|]+`) \| (`[^|]+`) \|$", section, re.MULTILINE)
    assert len(rows) >= 10
    files = {path for row, _ in rows for path in re.findall(r"`([^`]+)`", row)}
    assert len(files) <= 20, "a sitting's worth"
    for row, names in rows:
        defined = {
            f"{owner.name}.{node.name}" if owner else node.name
            for path in re.findall(r"`([^`]+)`", row)
            for node, owner in _functions(ast.parse((ROOT / path).read_text()))
        }
        missing = [name for name in re.findall(r"`([^`]+)`", names) if name not in defined]
        assert not missing, f"{row} has no {missing}"


def _functions(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, ast.ClassDef | None]]:
    """Give the functions of a module, and those of its classes with their class."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node, None
        elif isinstance(node, ast.ClassDef):
            yield from ((one, node) for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
