"""Rules of the house that no tool of its own holds."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

import pytest

from tests.support.distributions import EVERY, package, project

ROOT = Path(__file__).parents[2]
CORE = ROOT / "novakit"
SEAMS = {
    "time": {"time", "monotonic", "sleep", "time_ns", "monotonic_ns"},
    "datetime.datetime": {"now", "utcnow", "today"},
    "uuid": {"uuid1", "uuid4"},
    "random": {"random", "randint", "choice", "choices", "shuffle", "sample", "uniform", "randrange"},
    "asyncio": {"create_task", "ensure_future"},
}
TYPES = {"feature", "fix", "deprecation", "breaking", "doc", "vendor", "packaging", "contrib"}


def _names_of_imports(tree: ast.Module) -> dict[str, str]:
    """Say what each name of a module stands for: `datetime` -> `datetime.datetime`."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update({alias.asname or alias.name: alias.name for alias in node.names})
        elif isinstance(node, ast.ImportFrom):
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return names


def _bare(path: Path) -> Iterator[str]:
    """Give each use of a clock, of chance, of ids or of tasks that goes past the seams."""
    tree = ast.parse(path.read_text())
    names = _names_of_imports(tree)
    forbidden = {f"{module}.{name}" for module, members in SEAMS.items() for name in members}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            head, _, rest = ast.unparse(node).partition(".")
            full = f"{names.get(head, head)}.{rest}"
        elif isinstance(node, ast.Name):
            full = names.get(node.id, "")
        else:
            continue
        if full in forbidden:
            yield f"{path.relative_to(ROOT)}:{node.lineno} uses {full}"


def test_time_chance_ids_and_tasks_come_through_the_seams() -> None:
    found = [use for path in sorted(CORE.rglob("*.py")) if path != CORE / "world.py" for use in _bare(path)]
    assert not found, "use novakit.world instead:\n" + "\n".join(found)


def test_the_check_for_bare_seams_sees_each_of_them(tmp_path: Path) -> None:
    module = ROOT / "tests" / "data" / "bare_seams.py.txt"
    assert {use.rpartition(" ")[2] for use in _bare(module)} == {
        "time.time",
        "datetime.datetime.now",
        "uuid.uuid4",
        "random.choice",
        "asyncio.create_task",
    }


def _looked_into(text: str) -> list[int]:
    """List the lines that read a body and do not hand it on at once, so that it is looked into before its schema."""
    tree = ast.parse(text)
    handed = {id(one) for node in ast.walk(tree) if isinstance(node, ast.Call) for one in node.args}
    reads = re.compile(r"await (\w+\.json|(\w+\.)?json_body)\(.*\)")
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Await) and reads.fullmatch(ast.unparse(node)) and id(node) not in handed
    ]


def test_a_body_goes_to_its_schema_before_a_handler_sees_it() -> None:
    checker = CORE / "api" / "bodies.py"
    paths = [path for path in sorted((CORE / "api").rglob("*.py")) if path != checker]
    found = [f"{path.relative_to(ROOT)}:{line}" for path in paths for line in _looked_into(path.read_text())]
    assert not found, "say in a schema what the body must be (novakit/api/bodies.py): " + ", ".join(found)
    knows = [path for path in sorted(CORE.rglob("*.py")) if "fastjsonschema" in path.read_text()]
    assert knows == [checker], "there is one checker of bodies"


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("body = await call.json()", [1]),
        ("body = (await call.json()).get('x')", [1]),
        ("body = await bodies.json_body(call)", [1]),
        ("new = _read(await call.json()).user", []),
        ("new = await FORM.read(call)", []),
    ],
)
def test_the_check_for_bodies_sees_each_that_is_looked_into(line: str, lines: list[int]) -> None:
    assert _looked_into(line) == lines


def _assigned_twice(text: str) -> list[str]:
    """List the names that a module gives a value more than once at its top, where the second changes what the first
    users of the name mean."""
    names: list[str] = []
    for node in ast.parse(text).body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if _has_value(node) else []
        names += [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]


def _has_value(node: ast.stmt) -> TypeGuard[ast.AnnAssign]:
    return isinstance(node, ast.AnnAssign) and node.value is not None


def test_no_module_gives_a_name_two_values() -> None:
    assert _assigned_twice("A = 5.0\nB: int = 1\nA, C = 255, 2\nB: int = 3") == ["A", "B"], "both are seen"
    places = [*CORE.rglob("*.py"), *(path for folder in EVERY for path in package(folder).rglob("*.py"))]
    twice = {str(path.relative_to(ROOT)): found for path in places if (found := _assigned_twice(path.read_text()))}
    assert twice == {}


def test_changelog_fragments_are_rightly_named() -> None:
    known = {project(path)["name"] for path in EVERY}
    fragments = [path for path in (ROOT / "docs" / "changes").rglob("*") if path.is_file()]
    assert fragments
    for path in fragments:
        distribution, name = path.relative_to(ROOT / "docs" / "changes").parts
        assert distribution in known, f"{path}: no distribution is called {distribution}"
        match = re.fullmatch(r"[a-z0-9][a-z0-9-]*\.([a-z]+)\.md", name)
        assert match and match[1] in TYPES, f"{path}: name it SLUG.TYPE.md with a type of {', '.join(sorted(TYPES))}"
        assert path.read_text().strip().endswith("."), f"{path}: write a sentence"


def test_every_dependency_of_the_core_has_its_reason() -> None:
    core = project(ROOT / "pyproject.toml")
    reasons = (ROOT / "docs" / "explanation" / "dependencies.md").read_text()
    for line in [*core["dependencies"], *core["optional-dependencies"]["postgresql"]]:
        name = re.split(r"[\[>=<]", line)[0]
        if not name.startswith("novakit"):
            assert f"`{name}`" in reasons, f"docs/explanation/dependencies.md gives no reason for {name}"


@pytest.mark.parametrize("word", ["TODO", "FIXME", "XXX", "NotImplementedError"])
def test_nothing_is_left_for_later(word: str) -> None:
    places = [package(path) for path in EVERY]
    found = [str(path) for place in places for path in place.rglob("*.py") if word in path.read_text()]
    assert not found


def test_the_command_line_hands_on_absolute_paths_alone() -> None:
    """Programs that a command runs may have directories of their own, where a relative name leads elsewhere."""
    for path in sorted((CORE / "cli").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".add_argument"):
                given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                names_a_file = given.get("metavar") in ("'DIR'", "'FILE'") or given.get("type", "").endswith("Path")
                if names_a_file:
                    assert given.get("type") == "paths.absolute", f"{path.name}:{node.lineno}: type=paths.absolute"
