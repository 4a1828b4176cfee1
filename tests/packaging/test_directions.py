"""Who may import whom: read from the syntax trees, so that nothing has to be run or installed."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import attrs
import pytest
from packaging.requirements import Requirement

from tests.support.distributions import EVERY, LIBRARIES, PLUGINS, package, project

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "hookspecs" / "novakit_hookspecs"
CORE = ROOT / "novakit"
NATIVE = {"libvirt", "libvirtaio", "pyroute2"}
IMPORT_NAMES = {"libvirt-python": "libvirt", "attrs": "attr"}


@attrs.frozen
class Import:
    """One imported module, and where."""

    module: str
    path: Path
    line: int
    typing_only: bool

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line} imports {self.module}"


@cache
def _imports(package: Path) -> tuple[Import, ...]:
    found: list[Import] = []
    for path in sorted(package.rglob("*.py")):
        tree = ast.parse(path.read_text(), str(path))
        hidden = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}:{node.lineno}: import by absolute name"
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            found += [Import(name, path, node.lineno, id(node) in hidden) for name in names]
    return tuple(found)


def _foreign(package: Path) -> Iterator[Import]:
    """Give what is neither of the standard library nor of the package itself."""
    for one in _imports(package):
        if one.top not in sys.stdlib_module_names and one.top != package.name:
            yield one


def _fails(wrong: list[Import], rule: str) -> None:
    assert not wrong, f"{rule}:\n" + "\n".join(str(one) for one in wrong)


def test_the_contract_imports_attrs_and_pluggy_alone() -> None:
    suites = CONTRACT / "testing"
    allowed = {"attr", "attrs", "pluggy"}
    wrong = [
        one
        for one in _foreign(CONTRACT)
        if one.top not in allowed
        and not (one.top == "numpy" and one.typing_only)
        and not (suites in one.path.parents and one.top in ("pytest", "numpy"))
    ]
    _fails(wrong, "the contract imports attrs, pluggy and the standard library; its suites pytest and NumPy too")


def test_only_the_suites_of_the_contract_import_the_suites() -> None:
    wrong = [
        one
        for one in _imports(CONTRACT)
        if one.module.startswith("novakit_hookspecs.testing") and CONTRACT / "testing" not in one.path.parents
    ]
    _fails(wrong, "the contract does not import its own test suites")


@pytest.mark.parametrize("member", [*LIBRARIES, *PLUGINS], ids=lambda path: path.parent.name)
def test_a_plugin_or_library_imports_what_it_declares_and_never_the_core(member: Path) -> None:
    project = tomllib.loads(member.read_text())
    declared = {line.split(">")[0].split("<")[0].split("=")[0] for line in project["project"]["dependencies"]}
    allowed = {IMPORT_NAMES.get(name, name.replace("-", "_")) for name in declared} | (
        {"attrs"} if "attrs" in declared else set()
    )
    assert "novakit" not in allowed, f"{member}: a plugin depends on the contract, never on the core"
    wrong = [one for one in _foreign(package(member)) if one.top not in allowed]
    _fails(wrong, f"{package(member).name} imports the contract and its declared dependencies {sorted(allowed)}")


def test_a_library_knows_no_plugin() -> None:
    plugins = {package(member).name for member in PLUGINS}
    wrong = [one for member in LIBRARIES for one in _imports(package(member)) if one.top in plugins]
    _fails(wrong, "libraries are below plugins")


def test_the_core_imports_no_plugin_and_no_native_library() -> None:
    plugins = {package(member).name for member in PLUGINS}
    wrong = [one for one in _imports(CORE) if one.top in plugins | NATIVE]
    _fails(wrong, "the core knows plugins by entry point only")


def test_only_the_store_speaks_sql() -> None:
    speakers = {"aiosqlite", "asyncpg", "alembic", "sqlite3"}
    wrong = [one for one in _imports(CORE) if one.top in speakers and CORE / "store" not in one.path.parents]
    _fails(wrong, "databases are opened in novakit/store")
    building = {
        str(path.relative_to(ROOT))
        for path in CORE.rglob("*.py")
        if CORE / "store" not in path.parents and _builds_statements(path.read_text())
    }
    assert not building, f"build SQL statements in novakit/store, not in {', '.join(sorted(building))}"


SQL_TYPES = frozenset({"Table", "Column", "ColumnElement", "Select", "RowMapping", "exc"})
"""What of SQLAlchemy may be named outside the store, as `sa.NAME`: types and errors."""
STATEMENT_METHODS = frozenset({"execute", "scalar", "scalars", "select_from", "returning", "order_by", "where", "is_"})
"""What is called on tables, columns, statements and connections alone; `where` is NumPy's, too."""


def _builds_statements(text: str) -> bool:
    """Return whether a module uses more of SQLAlchemy than its types and errors, by whatever name it has it."""
    tree = ast.parse(text)
    names, taken = {"sa", "sqlalchemy"}, set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            of_it = [alias for alias in node.names if alias.name.partition(".")[0] == "sqlalchemy"]
            taken |= {alias.name for alias in of_it if "." in alias.name}
            names |= {alias.asname or alias.name for alias in of_it}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "sqlalchemy":
            taken |= {alias.name for alias in node.names}
    if taken - SQL_TYPES:
        return True
    return any(_is_of_sql(node, names) for node in ast.walk(tree) if isinstance(node, ast.Attribute))


def _is_of_sql(node: ast.Attribute, names: set[str]) -> bool:
    receiver = ast.unparse(node.value)
    return (receiver in names and node.attr not in SQL_TYPES) or (node.attr in STATEMENT_METHODS and receiver != "np")


@pytest.mark.parametrize(
    "text",
    [
        "import sqlalchemy as sa\nsa.select(table)",
        "from sqlalchemy import select, text",
        "from sqlalchemy.sql.expression import select",
        "import sqlalchemy.sql",
        "import sqlalchemy as sql\nsql.text(words)",
        "import sqlalchemy\nmake = sqlalchemy.insert",
        "table.update().where(table.c.id == id)",
        "table.c.disabled.is_(False)",
        "await session.execute(statement)",
    ],
)
def test_each_way_to_build_a_statement_is_seen(text: str) -> None:
    assert _builds_statements(text)


def test_types_and_errors_of_sqlalchemy_are_no_statements() -> None:
    assert not _builds_statements("import sqlalchemy as sa\nTABLES: dict[str, sa.Table] = {}\nsa.exc.DBAPIError")
    assert not _builds_statements("import numpy as np\nfrom sqlalchemy import Table\nnp.where(a, b, c)")


def test_one_module_checks_bodies() -> None:
    wrong = [one for one in _imports(CORE) if one.top == "fastjsonschema" and one.path != CORE / "api" / "bodies.py"]
    _fails(wrong, "bodies are checked in novakit/api/bodies.py")


def test_one_module_reads_the_words_and_moments_of_queries() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path in (CORE / "api").rglob("*.py")
        # The words for yes and no are those of bodies, and stand where bodies are read.
        if path not in (CORE / "api" / "queries.py", CORE / "api" / "records.py")
        and "schemas" not in path.parts
        and re.search(r'\.fromisoformat\(|"off"', path.read_text())
    ]
    assert not wrong, f"query strings are read by novakit/api/queries.py, not in {', '.join(wrong)}"


def test_only_the_plugin_host_knows_pluggy_and_stevedore() -> None:
    wrong = [
        one
        for one in _imports(CORE)
        if one.top in ("pluggy", "stevedore") and CORE / "plughost" not in one.path.parents
    ]
    _fails(wrong, "pluggy and stevedore stay in novakit/plughost")


def test_the_domain_does_not_know_its_api() -> None:
    upper = ("novakit.api", "novakit.app", "novakit.cli")
    outer = {CORE / "api", CORE / "cli"}
    wrong = [
        one
        for one in _imports(CORE)
        if one.module.startswith(upper)
        and one.path not in (CORE / "app.py", CORE / "serving.py", CORE / "__main__.py")
        and not outer & set(one.path.parents)
    ]
    _fails(wrong, "the domain is below the API")


def _modules(of: Path) -> dict[str, Path]:
    names = {".".join(path.relative_to(of.parent).with_suffix("").parts): path for path in of.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for name, path in names.items()}


def _arrows(of: Path, room: Callable[[str], str]) -> dict[str, set[str]]:
    """Give for each room of a package the rooms that it imports from, wherever in a file and for whatever purpose."""
    modules = _modules(of)
    of_path = {path: name for name, path in modules.items()}
    found: dict[str, set[str]] = {room(name): set() for name in modules}
    for one in _imports(of):
        target = one.module
        while target and target not in modules:
            target = target.rpartition(".")[0]
        if target and room(target) != (own := room(of_path[one.path])):
            found[own].add(room(target))
    return found


@pytest.mark.parametrize(
    "room",
    [
        pytest.param(lambda name: name, id="modules"),
        pytest.param(lambda name: ".".join(name.split(".")[:2]), id="packages"),
    ],
)
def test_nothing_in_the_core_is_above_itself(room: Callable[[str], str]) -> None:
    left = _arrows(CORE, room)
    left.pop("novakit", None)
    _refuse_circles(left)


@pytest.mark.parametrize("package", [CONTRACT, *map(package, (*LIBRARIES, *PLUGINS))], ids=lambda path: path.name)
def test_no_module_of_the_contract_a_library_or_a_plugin_is_above_itself(package: Path) -> None:
    _refuse_circles(_arrows(package, lambda name: name))


def _refuse_circles(left: dict[str, set[str]]) -> None:
    """Whoever imports stands above what it imports: what is left when the lowest are taken off is a circle."""
    while lowest := [name for name, below in left.items() if not below & left.keys()]:
        left = {name: below for name, below in left.items() if name not in lowest}
    while highest := left.keys() - {each for below in left.values() for each in below}:
        left = {name: below for name, below in left.items() if name not in highest}
    assert not left, "in circles, or between two:\n" + "\n".join(
        f"{name} imports {', '.join(sorted(below & left.keys()))}" for name, below in sorted(left.items())
    )


def test_what_servers_are_does_not_know_who_changes_them() -> None:
    domain = ("placement", "scheduler", "identity", "image", "network", "compute", "store", "bus", "agent")
    wrong = [one for name in domain for one in _imports(CORE / name) if one.module.startswith("novakit.conductor")]
    _fails(wrong, "the conductor is above the domain: only the API and what composes roles import it")


def test_what_a_role_can_be_asked_is_told_without_what_the_role_is_made_of() -> None:
    found = _imports(CORE / "calls")
    contracts, records = {"host", "conductor", "scheduler"}, {"plugins", "counts", "decisions", "traces", "capacity"}
    assert {one.path.stem for one in found} == contracts | records
    # `disk` is of the ground floor: what a host tells of its disk is the record of whoever looks at one.
    ours = ("novakit.bus", "novakit.disk.Room", *(f"novakit.calls.{name}" for name in sorted(records)))
    allowed = (*ours, "novakit_hookspecs", "attrs")
    wrong = [one for one in found if one.top not in sys.stdlib_module_names and not one.module.startswith(allowed)]
    _fails(wrong, "a contract of the bus is records and methods; whoever calls must not load who answers")


def test_the_agent_knows_no_store_and_the_store_no_domain() -> None:
    wrong = [
        one for one in _imports(CORE) if one.module.startswith("novakit.store") and CORE / "agent" in one.path.parents
    ]
    below = ("novakit.store", "novakit.world", "novakit.errors", "novakit.context")
    wrong += [
        one
        for one in _imports(CORE / "store")
        if one.top == "novakit"
        and not one.module.startswith(below)
        and one.module != "novakit"
        and one.module.removeprefix("novakit.").split(".")[0]
        not in ("store", "world", "errors", "context", "durable", "concurrency", "left_out")
    ]
    _fails(wrong, "an agent has no store; the store knows no domain")


def test_one_module_of_each_driver_talks_to_its_native_library() -> None:
    for library in NATIVE:
        homes = {
            one.path
            for member in (*LIBRARIES, *PLUGINS)
            for one in _imports(package(member))
            if one.top == library and not one.typing_only
        }
        assert len(homes) <= 1, f"{library} is imported by {', '.join(str(home.relative_to(ROOT)) for home in homes)}"


LIGHT = ["accelerators", "columns", "devices", "errors", "hosts", "networks", "observers", "scheduling", "servers"]


def _loaded(*modules: str) -> set[str]:
    script = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


def test_the_contract_is_light() -> None:
    loaded = _loaded(*(f"novakit_hookspecs.{name}" for name in (*LIGHT, "virt", "weighing")))
    heavy = {"numpy", "aiohttp", "libvirt", "stevedore", "sqlalchemy", "pytest", "importlib.metadata"}
    assert not loaded & heavy


def test_an_agent_process_loads_no_database() -> None:
    loaded = _loaded("novakit.agent.agent", "novakit.plughost")
    assert not {one for one in loaded if one.partition(".")[0] in ("sqlalchemy", "aiosqlite", "alembic")}
    assert "novakit.store" not in loaded


def test_finding_plugins_imports_none_of_them() -> None:
    script = (
        "import sys\nfrom novakit.plughost import discover\nassert discover()\n"
        "names = ('libvirt', 'pyroute2', 'novakit_simulated', 'novakit_filters', 'novakit_net_ovs')\n"
        "assert not [name for name in names if name in sys.modules]"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.parametrize(
    ("role", "absent"),
    [
        ("scheduler", ["novakit_simulated", "novakit_driver_libvirt"]),
        ("agent", ["novakit_filters", "novakit_weighers"]),
    ],
)
def test_a_role_that_is_off_has_none_of_its_plugins_loaded(role: str, absent: list[str]) -> None:
    script = (
        "import sys\nfrom novakit.plughost import PluginChoice, PluginHost\n"
        f"PluginHost.load(PluginChoice(driver='simulated', network='simulated'), [{role!r}])\n"
        f"assert not [name for name in {absent} if name in sys.modules]"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_a_library_whose_private_modules_are_used_has_an_upper_bound() -> None:
    """What is private may go with any major version; a test that compares answers is no help to who installs it."""
    used = set()
    for path in EVERY:
        needed = {re.sub(r"[-.]", "_", one.name): one for one in map(Requirement, project(path)["dependencies"])}
        for found in _imports(package(path)):
            if re.search(r"\._[a-z]", found.module) and not found.top.startswith("novakit"):
                bounds = {one.operator for one in needed[found.top].specifier}
                assert bounds & {"<", "==", "~="}, f"{found}, and {path} takes any later version of it"
                used.add(found.top)
    assert used == {"oslo_policy"}
