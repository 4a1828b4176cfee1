"""The figures of the house, measured from its own files: `make house` prints them beside those that are wanted."""

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import attrs

from tests.house.bus_uses import INSIDE, past_contracts
from tests.support.distributions import EVERY, ROOT, package

CORE = ROOT / "novakit"
GENERATED = CORE / "store" / "migrations" / "versions"
FLAT = {
    CORE / "conductor" / "verbs": "a module for each verb, found by its name",
    ROOT / "hookspecs" / "novakit_hookspecs": "plugins import its modules by name",
    ROOT
    / "plugins"
    / "drivers"
    / "libvirt"
    / "novakit_driver_libvirt": "one guest's XML, a module for each part of it",
}
"""Folders that may be wider than `WIDEST`, each with its reason, which the page on the architecture gives, too."""
WIDEST = 15
LONGEST_MODULE = 451
LONGEST_FUNCTION = 60


@attrs.frozen
class Figure:
    """One measured figure, and what is wanted of it."""

    name: str
    value: float
    wanted: str
    reached: bool | None
    """None where no number is wanted."""
    examples: Sequence[str] = ()
    """What stands in the way, the worst first."""


@attrs.frozen
class Source:
    """One module with its text and syntax tree."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        return self.text.count("\n")

    @property
    def place(self) -> str:
        return str(self.path.relative_to(ROOT))


@cache
def sources() -> Sequence[Source]:
    """Read every module of every distribution, those that migrations were written into aside."""
    paths = [path for one in EVERY for path in sorted(package(one).rglob("*.py")) if GENERATED not in path.parents]
    return [Source(path, text := path.read_text(), ast.parse(text)) for path in paths]


def _core() -> list[Source]:
    return [one for one in sources() if CORE in one.path.parents]


def _tokens(one: Source) -> Iterable[tokenize.TokenInfo]:
    return tokenize.generate_tokens(io.StringIO(one.text).readline)


def _per_thousand(count: int, of: Sequence[Source]) -> float:
    return round(1000 * count / sum(one.lines for one in of), 1)


def comments() -> Figure:
    """Count the comments of the core that are words for a reader, not marks for a tool."""
    marks = re.compile(r"#\s*(noqa|type:|pragma|ruff:)")
    found = sum(
        token.type == tokenize.COMMENT and not marks.match(token.string) for one in _core() for token in _tokens(one)
    )
    return Figure("comments per 1,000 lines of the core", _per_thousand(found, _core()), "no number", None)


NAMES_OF_ANY = frozenset({"Any", "RowMapping"})
"""`Any`, and what of a library is a mapping of it: SQLAlchemy's row, of whose columns nothing is known."""


def _uses_of_any(one: Source) -> int:
    return len(re.findall(rf"\b({'|'.join(sorted(NAMES_OF_ANY))})\b", one.text))


def uses_of_any() -> Figure:
    """Count how often a name of `Any` stands in the code, in imports, annotations that are texts and comments, too."""
    by_place = {one.place: _uses_of_any(one) for one in sources()}
    return _of_any("`Any` per 1,000 lines", by_place)


def uses_of_aliases_of_any() -> Figure:
    """Count `Any` with the uses of what a module names so that it stands for it: `Document = dict[str, Any]`.

    Names are taken for aliases where a module of ours defines them or imports them from one that does.
    """
    aliases = {_module(one): _aliases(one, NAMES_OF_ANY) for one in sources()}
    by_place = {}
    for one in sources():
        imported = {
            alias.asname or alias.name
            for node in ast.walk(one.tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
            if alias.name in aliases.get(node.module or "", ())
        }
        mine = aliases[_module(one)] | imported
        uses = sum(isinstance(node, ast.Name) and node.id in mine for node in ast.walk(one.tree))
        by_place[one.place] = _uses_of_any(one) + uses
    return _of_any("the same with names that stand for it", by_place)


def _module(one: Source) -> str:
    """Return the name that a module is imported by."""
    parts = Path(one.place).with_suffix("").parts
    start = next(place for place, part in enumerate(parts) if part.startswith("novakit"))
    return ".".join(part for part in parts[start:] if part != "__init__")


def _aliases(one: Source, known: Collection[str]) -> set[str]:
    """Return the names at the top of a module that are types made of what is known."""
    found: set[str] = set()
    for node in one.tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, parts = node.targets[0].id, list(ast.walk(node.value))
            made = {each.id for each in parts if isinstance(each, ast.Name)}
            made |= {each.attr for each in parts if isinstance(each, ast.Attribute)}
            if re.fullmatch(r"_?[A-Z]\w*[a-z]\w*", name) and made & {*known, *found}:
                found.add(name)
    return found


def _of_any(name: str, by_place: Mapping[str, int]) -> Figure:
    value = _per_thousand(sum(by_place.values()), sources())
    worst = sorted(by_place, key=lambda place: -by_place[place])[:5]
    return Figure(name, value, "under 6", value < 6, [f"{by_place[one]} {one}" for one in worst])


SAME_THING = frozenset({"ListsHoldings", "NotFound"})
"""Class names of two modules that mean the same in both; the glossary says why there are two."""


def _twice() -> tuple[Mapping[str, Sequence[str]], int]:
    """Return the class names that more than one module defines with their modules, and how many names there are.

    An underscore makes no other name of one: who reads `_Claim` beside `Claim` takes them for the same thing.
    """
    places: dict[str, list[str]] = {}
    for one in sources():
        for node in one.tree.body:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name.lstrip("_"), []).append(one.place)
    return {name: where for name, where in sorted(places.items()) if len(where) > 1}, len(places)


def twice_defined() -> Figure:
    """Count the class names that more than one module defines."""
    found, names = _twice()
    told = [f"{name}: {', '.join(where)}" for name, where in found.items()]
    return Figure(f"class names defined twice, of {names}", len(found), "under 10", len(found) < 10, told)


def twice_meant() -> Figure:
    """Count those of them that mean another thing in each module, as the glossary does not say that it is the same."""
    told = [f"{name}: {', '.join(where)}" for name, where in _twice()[0].items() if name not in SAME_THING]
    return Figure("of them with another meaning", len(told), "none", not told, told)


def types_meant_twice() -> Figure:
    """Count the names that a module gives to a type, as in `Place = tuple[str, str]`, and another to something else."""
    meanings: dict[str, dict[str, str]] = {}
    for one in sources():
        for node in one.tree.body:
            if isinstance(node, ast.ClassDef):
                meanings.setdefault(node.name.lstrip("_"), {})[one.place] = "class"
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name, value = node.targets[0].id, ast.unparse(node.value)
                if re.fullmatch(r"_?[A-Z][a-z]\w*", name) and not value.startswith("TypeVar("):
                    meanings.setdefault(name.lstrip("_"), {})[one.place] = value
    told = [
        f"{name}: {', '.join(where)}"
        for name, where in sorted(meanings.items())
        if len(set(where.values())) > 1  # as several modules may need the same type
    ]
    return Figure("names of types with another meaning", len(told), "none", not told, told)


def widest_folder() -> Figure:
    """Count the modules of the widest folder, those that have a reason to be wide aside."""
    widths = Counter(one.path.parent for one in sources() if one.path.name != "__init__.py")
    told = [
        f"{count} {folder.relative_to(ROOT)}"
        for folder, count in widths.most_common()
        if count > WIDEST and folder not in FLAT
    ]
    widest = max(count for folder, count in widths.items() if folder not in FLAT)
    return Figure("widest folder", widest, f"{WIDEST}", widest <= WIDEST, told)


ABOVE_THE_DOMAIN = ("api", "cli", "front", "monitoring", "policy", "app", "control", "doctor", "serving", "__main__")
"""Packages and modules of the core that ask the domain what the database holds."""
OF_THE_WHOLE_DATABASE = {
    "novakit.store.Store": "opened at the start, closed at the end, and handed to the domain in between",
    "novakit.store.migrate": "its schema, which the start brings up to date and `doctor` and `admin` look at",
    "novakit.store.opening": "why it cannot be opened, for an operator",
    "novakit.store.faults": "what its errors mean, for clients and operators",
    "novakit.store.engine.StoreTally": "how much it was asked, for /metrics",
    "novakit.store.tables.SCHEDULER_WRITES": "which tables a process that is a scheduler alone may write",
    "novakit.store.deployment.Deployment": "whose it is",
    "novakit.store.compute.liveness.Liveness": "followed from start to end, and handed to the domain",
}
"""What of the store is named above the domain, outside the API, and why; nothing that gives a session or a table."""


def modules_above_the_domain_that_reach_into_the_store() -> Figure:
    """Count the modules above the domain that name tables, sessions or rows, or open a transaction.

    The API does not name the store at all, nor take it from a domain object.
    """
    above = [one for one in sources() if CORE in one.path.parents and _room(one.path) in ABOVE_THE_DOMAIN]
    told = [f"{one.place}: {', '.join(found)}" for one in above if (found := sorted(_reaches(one)))]
    return Figure(
        f"modules above the domain that reach into the store, of {len(above)}", len(told), "none", not told, told
    )


def _room(path: Path) -> str:
    """Return the package of the core that a module is in, or its own name where it is in none."""
    return path.relative_to(CORE).parts[0].removesuffix(".py")


def _reaches(one: Source) -> Iterable[str]:
    """Name what of the store a module above the domain should not know."""
    is_api = _room(one.path) == "api"
    for name in _imported(one.tree):
        is_allowed = not is_api and any(f"{name}.".startswith(f"{each}.") for each in OF_THE_WHOLE_DATABASE)
        if name.startswith(("novakit.store", "sqlalchemy")) and not is_allowed:
            yield name
    for node in ast.walk(one.tree):
        if isinstance(node, ast.Attribute):
            if is_api and node.attr == "store":
                yield ast.unparse(node)
            if node.attr in ("read", "write", "retrying") and ast.unparse(node.value).endswith("store"):
                yield ast.unparse(node)


def _imported(tree: ast.Module) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@attrs.frozen
class TestFile:
    """A file of tests: what it is named, in which folders it is, and what it imports."""

    __test__ = False

    name: str
    folders: frozenset[str]
    imports: frozenset[str]


FOLDERS_OF_TESTS = {"compute_api": "compute", "api_compute": "compute"}
"""Folders of tests by the package of their modules, where that is not their name."""


@cache
def tests() -> Sequence[TestFile]:
    """Read what every file of tests is about."""
    return [_test_file(path, path.read_text()) for path in sorted((ROOT / "tests").rglob("test_*.py"))]


def _test_file(path: Path, text: str) -> TestFile:
    # The first folders say which kind of test it is: unit, functional, host.
    folders = path.relative_to(ROOT / "tests").parts[1:-1]
    return TestFile(
        path.stem.removeprefix("test_"),
        frozenset(FOLDERS_OF_TESTS.get(one, one) for one in folders),
        frozenset(_imported(ast.parse(text))),
    )


def tested_by_name() -> Figure:
    """Say which share of the modules has a test file that bears its name, alone or after its folder's.

    A name alone is not enough, as several packages have a module `aggregates`: the test imports the module, or lies in
    a folder with the name of a package that the module is in, as tests through the API do.
    """
    modules = [one for one in sources() if one.path.name not in ("__init__.py", "__main__.py")]
    lacking = [one.place for one in modules if not any(_is_of(test, one) for test in tests())]
    share = round(100 * (1 - len(lacking) / len(modules)))
    return Figure("modules with a test of their name, %", share, "over 60", share > 60, lacking)


def _is_of(test: TestFile, one: Source) -> bool:
    if test.name not in _names(one.path):
        return False
    module = _module(one)
    packages = {part.removeprefix("novakit_") for part in module.split(".")[:-1]}
    return bool(test.folders & packages) or any(f"{name}.".startswith(f"{module}.") for name in test.imports)


def _names(path: Path) -> set[str]:
    """Name the tests that may be a module's: `tags`, `server_tags`, `servers_tags`."""
    folder = path.parent.name.removeprefix("novakit_")
    return {path.stem, f"{folder}_{path.stem}", f"{folder.removesuffix('s')}_{path.stem}"}


def calls_by_string() -> Figure:
    """Count the uses of the bus that go past the contracts, naming a target, a method or a topic."""
    told = [use for one in _core() if INSIDE not in one.path.parents for use in past_contracts(one.tree, one.place)]
    return Figure("bus calls by string", len(told), "none", not told, told)


def longest_module() -> Figure:
    """Count the lines of the longest module."""
    ordered = sorted(sources(), key=lambda one: -one.lines)
    told = [f"{one.lines} {one.place}" for one in ordered[:5]]
    value = ordered[0].lines
    return Figure("longest module, lines", value, f"{LONGEST_MODULE}", value <= LONGEST_MODULE, told)


def longest_function() -> Figure:
    """Count the lines of the longest function."""
    found = [
        ((node.end_lineno or 0) - node.lineno + 1, f"{one.place}:{node.lineno} {node.name}")
        for one in sources()
        for node in ast.walk(one.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    found.sort(reverse=True)
    told = [f"{lines} {place}" for lines, place in found[:5]]
    value = found[0][0]
    return Figure("longest function, lines", value, f"{LONGEST_FUNCTION}", value <= LONGEST_FUNCTION, told)


Measure = Callable[[], Figure]
FIGURES: Sequence[Measure] = (
    comments,
    uses_of_any,
    uses_of_aliases_of_any,
    twice_defined,
    twice_meant,
    types_meant_twice,
    tested_by_name,
    widest_folder,
    modules_above_the_domain_that_reach_into_the_store,
    calls_by_string,
    longest_module,
    longest_function,
)


def main(show: int = 5) -> None:
    """Print the figures as a table, and below it what stands in the way of those that are not reached."""
    figures = [measure() for measure in FIGURES]
    width = max(len(one.name) for one in figures)
    print(f"{'':{width}}  {'now':>6}  wanted")
    for one in figures:
        mark = {True: "reached", False: "", None: ""}[one.reached]
        print(f"{one.name:{width}}  {one.value:>6g}  {one.wanted:10} {mark}".rstrip())
    for one in figures:
        if one.reached is False:
            print(f"\n{one.name}:")
            print("\n".join(f"  {told}" for told in one.examples[:show]))
            if len(one.examples) > show:
                print(f"  and {len(one.examples) - show} more")


if __name__ == "__main__":
    main()
