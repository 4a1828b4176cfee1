"""The page on the architecture says of each package what it may import, and that is what it imports."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import pytest

from tests.house import figures
from tests.house.figures import Source
from tests.house.test_architecture import PAGE, rows_of, section
from tests.support.distributions import LIBRARIES, PLUGINS, package

CONTRACT = "novakit_hookspecs"
FOLDERS = {package(path).name: str(path.parent.relative_to(figures.ROOT)) for path in (*LIBRARIES, *PLUGINS)}
"""By the name of a library's or plugin's package, its folder, which is how the page calls it."""
ELSEWHERE = frozenset({"attrs", "pluggy", "what they declare"})
"""Code of others that the column names; test_directions holds to that."""


@attrs.frozen
class Layer:
    """A row of the table: which packages, and what the column lists."""

    rooms: frozenset[str]
    listed: tuple[str, ...]


def _called(text: str) -> frozenset[str]:
    """Return the rooms that a cell names: `novakit/bus/` is `bus`, `context.py` is `context`, `plugins/*` are many."""
    names = (each.removeprefix("novakit/").removesuffix(".py").rstrip("/") for each in re.findall(r"`([^`]+)`", text))
    plugins = {folder for folder in FOLDERS.values() if folder.startswith("plugins/")}
    return frozenset(room for name in names for room in (plugins if name == "plugins/*" else {name}))


LAYERS = [
    Layer(_called(re.sub(r"\(.*\)", "", who)), tuple(each.strip() for each in may.split(",") if each.strip() != "-"))
    for who, _, may in rows_of(section("The layers").split("\n\nA role that is off")[0])[2:]
]


def _named(line: str) -> frozenset[str]:
    found = re.search(rf"^{line} is (.*)\.$", PAGE, re.MULTILINE)
    assert found, f"the page does not say what {line!r} is"
    return _called(found[1])


GROUPS: Mapping[str, frozenset[str]] = {
    "the contract": frozenset({CONTRACT}),
    "the ground": _named("The ground"),
    "the domain": _named("The domain"),
    "libraries": frozenset(folder for folder in FOLDERS.values() if folder.startswith("libraries/")),
    "everything": frozenset().union(*(one.rooms for one in LAYERS)),
}


def _meant(listed: str) -> frozenset[str]:
    return GROUPS.get(listed) or (frozenset() if listed in ELSEWHERE else _called(listed))


def _room(module: str) -> str | None:
    """Return the package of ours that an imported name is of; None for code of others and for `novakit` itself."""
    top, _, rest = module.partition(".")
    if top == "novakit":
        name = rest.partition(".")[0]
        core = figures.CORE / name
        return name if name not in ("", "__init__") and (core.is_dir() or core.with_suffix(".py").exists()) else None
    return top if top == CONTRACT else FOLDERS.get(top)


def _imported(one: Source) -> Iterator[str]:
    for node in ast.walk(one.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _own(path: Path) -> str | None:
    parts = path.with_suffix("").parts
    start = next(place for place, part in enumerate(parts) if part.startswith("novakit") and part != figures.ROOT.name)
    return _room(".".join(parts[start:]))


def _arrows() -> dict[str, dict[str, str]]:
    """Give by package what it imports of ours, each with a module that does."""
    found: dict[str, dict[str, str]] = {}
    for one in figures.sources():
        if (own := _own(one.path.relative_to(figures.ROOT))) is None:
            continue
        below = found.setdefault(own, {})
        for room in map(_room, _imported(one)):
            if room is not None and room != own:
                below.setdefault(room, one.place)
    return found


ARROWS = _arrows()


def test_each_package_stands_in_one_row() -> None:
    rows = [room for one in LAYERS for room in one.rooms]
    assert sorted(rows) == sorted(ARROWS), sorted(set(rows) ^ set(ARROWS))


@pytest.mark.parametrize("layer", LAYERS, ids=lambda one: " ".join(sorted(one.rooms)))
def test_a_package_imports_what_the_page_lists_and_all_that_is_listed(layer: Layer) -> None:
    allowed = frozenset().union(*map(_meant, layer.listed))
    wrong = [
        f"{place} imports {room}"
        for own in sorted(layer.rooms)
        for room, place in ARROWS[own].items()
        if room not in allowed
    ]
    assert not wrong, "the table of layers lists no such import:\n" + "\n".join(wrong)
    imported = {room for own in layer.rooms for room in ARROWS[own]}
    idle = [each for each in layer.listed if each not in ELSEWHERE and not _meant(each) & imported]
    assert not idle, f"listed, and imported by nobody of the row: {', '.join(idle)}"
