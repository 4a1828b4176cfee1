"""The pages that show vendors a whole plugin: what they print is put into files, and its suite passes there."""

import re
import types
from pathlib import Path

import pytest

from novakit.plughost import GROUPS, Plugin
from novakit.plughost.harvest import hookimpls, offers
from novakit_hookspecs import virt
from tests.house import examples, records
from tests.support.distributions import ROOT

PAGES = ("write-a-virt-driver", "write-a-network-plugin", "write-an-accelerator-provider")


def files(page: str) -> dict[str, str]:
    """Give the files that a page prints, by the name in their first line."""
    text = (ROOT / "docs" / "how-to" / f"{page}.md").read_text()
    blocks = re.findall(r"```(?:python|toml)\n# (\S+)\n(.*?)```", text, re.DOTALL)
    return dict(blocks)


@pytest.mark.parametrize("page", PAGES)
def test_the_plugin_of_a_page_passes_the_suite_of_that_page(page: str, tmp_path: Path) -> None:
    examples.run(files(page), tmp_path)


@pytest.mark.parametrize("page", PAGES)
def test_the_plugin_of_a_page_is_offered_under_the_name_of_its_entry_point(page: str) -> None:
    printed = files(page)
    [(group, name, module)] = re.findall(
        r'entry-points\."novakit\.(\w+)"\]\n(\w+) = "(\w+)"', printed["pyproject.toml"]
    )
    made = types.ModuleType(module)
    exec(compile(printed[f"{module}.py"], page, "exec"), vars(made))
    plugin = Plugin(group=GROUPS[group], name=name)
    assert [offer.spec.name for offer in offers(plugin, hookimpls(plugin, made))] == [name]


def test_the_page_on_virt_drivers_names_every_facet() -> None:
    page = (ROOT / "docs" / "how-to" / "write-a-virt-driver.md").read_text()
    facets = [name for name, kind in vars(virt).items() if getattr(kind, "_is_runtime_protocol", False)]
    assert "Pauses" in facets
    assert not [name for name in facets if f"`{name}`" not in page], "add them to the table of section 4"


def test_the_page_of_the_records_is_as_the_contract_says() -> None:
    assert records.PAGE.read_text() == records.page(), "run python -m tests.house.records"


def test_every_field_of_a_record_says_what_it_means() -> None:
    silent = [
        f"{record.module}.{record.name}.{field.name}"
        for _, modules in records.SECTIONS
        for module in modules
        for record in records.records(module)
        for field in record.fields
        if not field.meaning
    ]
    assert not silent, "write a docstring below each field"
