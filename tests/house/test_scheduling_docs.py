"""The pages on filters, weighers, host facts and the how-to agree with the code."""

import inspect
import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from novakit import config
from novakit_filters import novakit_filters
from novakit_hookspecs import columns, scheduling
from novakit_simulated import topology_file
from novakit_weighers import novakit_weighers
from tests.house import examples

DOCS = Path(__file__).parents[2] / "docs"


def rows(page: str) -> dict[str, str]:
    """Give the table rows that begin with a name, by that name."""
    text = (DOCS / "reference" / page).read_text()
    return {match[1]: match[0] for match in re.finditer(r"^\| `(\w+)` \|.*$", text, re.MULTILINE)}


@pytest.mark.parametrize(("page", "offer"), [("filters.md", novakit_filters), ("weighers.md", novakit_weighers)])
def test_each_record_has_its_row_with_its_other_names(page: str, offer: Any) -> None:
    told = rows(page)
    for spec in offer():
        row = told.pop(spec.name)
        assert all(alias in row for alias in spec.aliases), spec.name
        assert ("| on |" in row or "| always |" in row) == spec.default, spec.name
        assert ("| always |" in row) == getattr(spec, "always", False), spec.name
    assert not told


def test_each_weighers_multiplier_and_its_override_are_told() -> None:
    told = rows("weighers.md")
    for spec in novakit_weighers():
        assert f"| {spec.multiplier:g} |" in told[spec.name]
        assert f"`{spec.aggregate_key or spec.name + '_weight_multiplier'}`" in told[spec.name]


def test_each_fact_has_its_row() -> None:
    told = rows("columns.md")
    assert set(told) == set(columns.FACTS)
    for fact in columns.FACTS.values():
        assert fact.meaning in told[fact.name] and f"| {fact.dtype} |" in told[fact.name]


def test_each_field_of_requests_and_reasons_has_its_row_with_its_type() -> None:
    page = (DOCS / "reference" / "requests.md").read_text()
    records = (scheduling.Ask, scheduling.ImageAsk, scheduling.GroupAsk, scheduling.Reason)
    for record, section in zip(records, page.split("\n## `")[1:], strict=True):
        assert section.startswith(record.__name__)
        told = re.findall(r"^\| `(\w+)` \| ([^|]+) \| [^|]+ \|$", section, re.MULTILINE)
        assert told == [(field.name, written(field.type)) for field in attrs.fields(record)]


def written(annotation: Any) -> str:
    """Write a type as the reference does: without modules, `or` between alternatives."""
    return re.sub(r"\b(?:\w+\.)+", "", inspect.formatannotation(annotation)).replace(" | ", " or ")


def test_each_monitor_is_told_with_what_it_measures() -> None:
    table = (DOCS / "reference" / "columns.md").read_text().partition("| unit | measurement")[2]
    assert all(f"| `{name}` |" in table for name in config.MONITORS)


def test_the_configuration_on_measurements_is_accepted(tmp_path: Path) -> None:
    page = (DOCS / "how-to" / "weigh-by-measurements.md").read_text()
    *blocks, topology = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    for block in blocks:
        (tmp_path / "novakit.toml").write_text(block)
        assert config.read(tmp_path / "novakit.toml")
    (tmp_path / "hosts.toml").write_text(topology)
    told = {host: topology_file.read(str(tmp_path / "hosts.toml"), host).metrics for host in ("compute-1", "compute-2")}
    assert told == {
        "compute-1": {"power_usage_watts": 400.0},
        "compute-2": {"power_usage_watts": 120.0, "cpu.percent": 60.0},
    }


def test_the_filter_of_the_how_to_passes_its_own_tests(tmp_path: Path) -> None:
    passes(DOCS / "how-to" / "write-a-filter.md", tmp_path)


def test_the_filter_of_the_aggregates_passes_its_own_test(tmp_path: Path) -> None:
    passes(DOCS / "reference" / "columns.md", tmp_path)


def passes(file: Path, tmp_path: Path) -> None:
    """Write the files that a page shows, and run its tests."""
    page = file.read_text()
    examples.run(dict(re.findall(r"```python\n# (\S+\.py)\n(.*?)```", page, re.DOTALL)), tmp_path)
