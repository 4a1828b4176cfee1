"""What the figures of the house have reached, they keep."""

import ast
from pathlib import Path

import pytest

from tests.house import figures
from tests.house.figures import Figure, Source

HELD = (
    figures.uses_of_any,
    figures.uses_of_aliases_of_any,
    figures.twice_defined,
    figures.twice_meant,
    figures.types_meant_twice,
    figures.widest_folder,
    figures.calls_by_string,
    figures.tested_by_name,
    figures.modules_above_the_domain_that_reach_into_the_store,
    figures.longest_module,
    figures.longest_function,
)
"""Figures that are what is wanted; add one here when it gets there."""


@pytest.mark.parametrize("measure", HELD, ids=lambda measure: measure.__name__)
def test_a_figure_that_was_reached_is_kept(measure: "figures.Measure") -> None:
    figure = measure()
    assert figure.reached, f"{figure.name} is {figure.value:g}, wanted {figure.wanted}:\n" + "\n".join(figure.examples)


def test_every_wide_folder_has_its_reason_on_the_page() -> None:
    page = (figures.ROOT / "docs" / "explanation" / "architecture.md").read_text()
    for folder in (*figures.FLAT, figures.GENERATED):
        assert folder.is_dir(), f"{folder} is gone: take it out of FLAT"
        assert f"`{folder.name}`" in page, f"the page on the architecture does not say why {folder.name} is wide"


def _measured(
    monkeypatch: pytest.MonkeyPatch, measure: "figures.Measure", *texts: str, under: str = "novakit"
) -> Figure:
    made = [
        Source(figures.ROOT / under / f"module{number}.py", text, ast.parse(text)) for number, text in enumerate(texts)
    ]
    monkeypatch.setattr(figures, "sources", lambda: made)
    return measure()


def test_a_call_by_string_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'async def ask(self):\n    await self.bus.call(target, "build", {})\n'
    assert _measured(monkeypatch, figures.calls_by_string, text).value == 1


def test_a_class_name_defined_twice_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = _measured(monkeypatch, figures.twice_defined, "class Ask: ...\n", "class Ask: ...\nclass Own: ...\n")
    assert figure.value == 1 and "Ask" in figure.examples[0]
    figure = _measured(monkeypatch, figures.twice_defined, "class Ask: ...\n", "class _Ask: ...\n")
    assert figure.value == 1, "an underscore makes no other name of it"
    figure = _measured(monkeypatch, figures.twice_meant, *["class Ask: ...\nclass NotFound: ...\n"] * 2)
    assert figure.value == 1 and not figure.reached, "what is one thing in both is no second meaning"


def test_a_type_with_the_name_of_another_thing_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ("Place = tuple[str, str]\nVersion = tuple[int, int]\n", "class _Place: ...\nVersion = tuple[int, int]\n")
    figure = _measured(monkeypatch, figures.types_meant_twice, *texts)
    assert figure.value == 1 and figure.examples[0].startswith("Place: ")


def test_every_use_of_any_counts_and_so_does_its_import(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "from typing import Any\n" + "a: Any = 1\n" * 8 + 'b: "list[Any]" = []\n'
    assert _measured(monkeypatch, figures.uses_of_any, text).value == 1000


def test_a_row_without_a_type_counts_as_any_by_whatever_name(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Row = sa.RowMapping\n\ndef a(b: Row) -> Row: ...\nc: sa.RowMapping\n"
    assert _measured(monkeypatch, figures.uses_of_any, text).value == 500
    # Beside the two, the name where it is defined and its two uses.
    assert _measured(monkeypatch, figures.uses_of_aliases_of_any, text).value == 1250


def test_uses_of_a_name_that_stands_for_any_count_where_it_is_imported_too(monkeypatch: pytest.MonkeyPatch) -> None:
    defines = "Document = dict[str, Any]\nPage = list[Document]\ndef a(b: Document) -> Page: ...\n"
    uses = "from novakit.module0 import Document\na: Document = {}\nPlain = dict[str, object]\nb: Plain = {}\n"
    # `Any`, the two names where they are defined, their three uses there, and one elsewhere.
    assert _measured(monkeypatch, figures.uses_of_aliases_of_any, defines, uses).value == 1000


def test_marks_for_tools_are_no_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a = 1  # noqa: F401\nb = 2  # as the kernel rounds it\n"
    assert _measured(monkeypatch, figures.comments, text).value == 500


@pytest.mark.parametrize(
    ("under", "text"),
    [
        ("api", "def act():\n    from novakit.store.compute import servers\n"),
        ("api", "from novakit.store import Store\n"),
        ("api", "images.store\n"),
        ("monitoring", "from novakit.store.compute import hosts\n"),
        ("monitoring", "async def count(self):\n    async with self.store.read() as session: ...\n"),
        ("cli", "from novakit.store import identity as table\n"),
        ("cli", "from novakit.store.engine import Row\n"),
        ("cli", "import sqlalchemy as sa\n"),
        ("front", "await store.retrying(work)\n"),
    ],
)
def test_a_module_above_the_domain_that_reaches_into_the_store_is_seen(
    monkeypatch: pytest.MonkeyPatch, under: str, text: str
) -> None:
    measure = figures.modules_above_the_domain_that_reach_into_the_store
    figure = _measured(monkeypatch, measure, text, "import os\n", under=f"novakit/{under}")
    assert figure.value == 1 and f"novakit/{under}/module0.py" in figure.examples[0]


@pytest.mark.parametrize(
    ("under", "text"),
    [
        ("cli", "from novakit.store import Store, migrate\nstore = await Store.open(url)\n"),
        ("monitoring", "self.store.fault\n"),
        ("conductor", "async with self.store.write() as session: ...\n"),
    ],
)
def test_who_opens_or_watches_a_database_does_not_reach_into_it(
    monkeypatch: pytest.MonkeyPatch, under: str, text: str
) -> None:
    measure = figures.modules_above_the_domain_that_reach_into_the_store
    assert _measured(monkeypatch, measure, text, under=f"novakit/{under}").reached


def test_what_may_be_named_of_the_store_above_the_domain_is_named() -> None:
    named = {
        name for one in figures.sources() if one.place.startswith("novakit/") for name in figures._imported(one.tree)
    }
    idle = [
        each for each in figures.OF_THE_WHOLE_DATABASE if not any(f"{one}.".startswith(f"{each}.") for one in named)
    ]
    assert not idle, f"take {', '.join(idle)} off the list: nobody names it"


def test_a_folder_with_too_many_modules_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not _measured(monkeypatch, figures.widest_folder, *["a = 1\n"] * 16).reached


def test_a_module_is_found_by_its_name_or_after_its_folders() -> None:
    assert figures._names(Path("novakit/api/compute/servers/tags.py")) == {"tags", "servers_tags", "server_tags"}


@pytest.mark.parametrize(
    ("test", "text", "is_of"),
    [
        ("functional/placement/test_aggregates.py", "", True),
        ("functional/compute_api/test_aggregates.py", "", False),
        ("unit/filters/test_aggregates.py", "from novakit_filters import aggregates", False),
        ("functional/scheduler/test_aggregates.py", "from novakit.placement import aggregates", True),
        ("functional/scheduler/test_aggregates.py", "from novakit.placement.aggregates import Aggregates", True),
        ("functional/placement/test_traits.py", "from novakit.placement import aggregates", False),
    ],
)
def test_a_test_of_a_name_is_that_of_the_module_that_it_imports_or_whose_package_its_folder_names(
    test: str, text: str, is_of: bool
) -> None:
    module = Source(figures.CORE / "placement" / "aggregates.py", "", ast.parse(""))
    assert figures._is_of(figures._test_file(figures.ROOT / "tests" / test, text), module) is is_of


def test_a_module_without_a_test_of_its_name_counts_as_lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = _measured(monkeypatch, figures.tested_by_name, "a = 1\n", under="novakit/placement")
    assert figure.value == 0 and figure.examples == ["novakit/placement/module0.py"]
