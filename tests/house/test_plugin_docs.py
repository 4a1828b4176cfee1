"""What the pages about plugins show is run: code loads, configuration is accepted, no option is left out."""

import re
import tomllib
import types
from pathlib import Path

import attrs
import pytest

from novakit import config
from novakit.plughost import GROUPS, Plugin, PluginChoice, PluginHost, build
from novakit.plughost.build import fill
from novakit.plughost.harvest import hookimpls, offers
from novakit_simulated.options import AcceleratorOptions, SimulatedNetworkOptions, VirtOptions

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE = (DOCS / "reference" / "plugins.md").read_text()
HOW_TO = (DOCS / "how-to" / "write-a-plugin.md").read_text()


def _blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def test_the_configuration_in_the_reference_is_accepted(tmp_path: Path) -> None:
    [block] = _blocks(REFERENCE, "toml")
    (tmp_path / "novakit.toml").write_text(block)
    fields = config.read(tmp_path / "novakit.toml")
    choice = PluginChoice.read(fields["plugins"], driver="simulated")
    assert choice.required == {"accelerators:acme"}
    host = PluginHost.survey(attrs.evolve(choice, required=frozenset()), ["agent"])
    options = fill(host.driver("simulated"), fields["options"]["drivers.simulated"])
    assert options == VirtOptions(vcpus=32, memory_mb=131072)


@pytest.mark.parametrize(
    ("section", "kind"),
    [
        ("drivers.simulated", VirtOptions),
        ("networks.simulated", SimulatedNetworkOptions),
        ("accelerators.simulated", AcceleratorOptions),
    ],
)
def test_every_option_of_the_simulated_plugins_is_in_the_reference(section: str, kind: type) -> None:
    table = REFERENCE.split(f"| `[{section}]` |")[1].split("\n\n")[0]
    named = set(re.findall(r"`(\w+)`", "\n".join(line.split("|")[1] for line in table.splitlines()[2:])))
    assert named == {field.name for field in attrs.fields(kind)}


def test_the_vendors_project_and_code_of_the_how_to_load_and_build() -> None:
    [project] = [tomllib.loads(block) for block in _blocks(HOW_TO, "toml")]
    [(group, points)] = project["project"]["entry-points"].items()
    code = next(block for block in _blocks(HOW_TO, "python") if "@hookimpl" in block)
    module = types.ModuleType(*points.values())
    exec(compile(code, "write-a-plugin.md", "exec"), vars(module))
    plugin = Plugin(group=GROUPS[group.partition(".")[2]], name="acme")
    [offer] = offers(plugin, hookimpls(plugin, module))
    assert build(offer)
