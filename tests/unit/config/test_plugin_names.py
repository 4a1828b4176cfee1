"""What an installed plugin says of nova.conf is read from its package, without importing it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from novakit.config import nova, plugin_names
from novakit.config.meanings import Absent, Needless, Renamed

SAID = """
[DEFAULT]
acme_ratio = { option = "ratio", takes = "ratio" }
my_ip = { option = "ours" }
[acme]
mode = { option = "kind", words = { fast = "quick" } }
beds = { option = "beds", takes = "number", words = { none = "0" } }
slow = { needless = "nothing is slow", only = ["0", "false", "never"] }
disk = { absent = "there are no disks" }
timeout = { like = "DEFAULT.vif_plugging_timeout" }
[acme_screen]
"*" = { needless = "there are no screens" }
"""


def install(folder: Path, name: str, said: str) -> None:
    """Lay a distribution out whose package breaks when it is imported."""
    (folder / f"{name}_plugin").mkdir()
    (folder / f"{name}_plugin" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (folder / f"{name}_plugin" / plugin_names.FILE).write_text(said)
    about = folder / f"{name}_plugin-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-plugin\nVersion: 1\n")
    (about / "entry_points.txt").write_text(f"[novakit.drivers]\n{name} = {name}_plugin.inner\n")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    plugin_names._installed.cache_clear()
    yield tmp_path
    plugin_names._installed.cache_clear()


def test_what_a_plugin_says_is_what_an_option_means(folder: Path) -> None:
    install(folder, "acme", SAID)
    ratio = nova.meaning("DEFAULT", "acme_ratio")
    assert isinstance(ratio, Renamed)
    assert (ratio.section, ratio.key, ratio.convert("2")) == ("drivers.acme", "ratio", 2.0)
    mode = nova.meaning("acme", "mode")
    assert isinstance(mode, Renamed) and [mode.convert(one) for one in ("fast", "odd")] == ["quick", "odd"]
    beds = nova.meaning("acme", "beds")
    assert isinstance(beds, Renamed) and [beds.convert(one) for one in ("none", "7")] == [0, 7]
    assert nova.meaning("acme", "slow") == Needless("nothing is slow", only=(0, False, "never"))
    assert nova.meaning("acme", "disk") == Absent("there are no disks")
    assert nova.meaning("acme", "timeout") == nova.OPTIONS["DEFAULT", "vif_plugging_timeout"]
    assert nova.meaning("acme_screen", "whatever") == Needless("there are no screens")
    assert nova.meaning("acme", "other") is None
    assert "acme_plugin" not in sys.modules


def test_what_is_the_cores_own_no_plugin_takes(folder: Path) -> None:
    install(folder, "acme", SAID)
    assert nova.meaning("DEFAULT", "my_ip") == nova.OPTIONS["DEFAULT", "my_ip"]


@pytest.mark.parametrize(
    "said",
    [
        "[",
        "top = 1",
        "[acme]\nmode = 1",
        '[acme]\nmode = { option = "x", takes = "y" }',
        '[acme]\nmode = { odd = "x" }',
        "[acme]\nmode = {}",
        '[acme]\nmode = { option = "x", absent = "y" }',
    ],
)
def test_a_file_that_cannot_be_read_costs_its_own_plugin_alone(folder: Path, said: str) -> None:
    install(folder, "acme", said)
    install(folder, "better", '[better]\nmode = { absent = "x" }')
    assert nova.meaning("acme", "mode") is None
    assert nova.meaning("better", "mode") == Absent("x")


@pytest.mark.parametrize("module", ["!!", ".inner"])
def test_an_entry_point_that_names_no_module_costs_its_own_plugin_alone(folder: Path, module: str) -> None:
    install(folder, "acme", '[acme]\nmode = { absent = "x" }')
    (folder / "acme_plugin-1.dist-info" / "entry_points.txt").write_text(f"[novakit.drivers]\nacme = {module}\n")
    install(folder, "better", '[better]\nmode = { absent = "x" }')
    assert nova.meaning("acme", "mode") is None
    assert nova.meaning("better", "mode") == Absent("x")


def test_of_two_plugins_the_first_by_name_takes_an_option_that_both_name(folder: Path) -> None:
    for name in ("b", "a"):
        install(folder, name, '[DEFAULT]\nacme_ratio = { option = "ratio" }')
    found = nova.meaning("DEFAULT", "acme_ratio")
    assert isinstance(found, Renamed) and found.section == "drivers.a"
