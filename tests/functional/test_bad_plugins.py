"""Broken, duplicate, old and misspelt plugins cost only themselves, and `novakit plugin list` says why."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PLUGINS = Path(__file__).parents[1] / "data" / "plugins"

LIST = "import sys; from novakit.cli import main; sys.exit(main())"

LOAD = """
import sys
from novakit.errors import ConfigError
from novakit.plughost import PluginChoice, PluginHost
try:
    PluginHost.load(PluginChoice.read({"required": sys.argv[1:]}, driver="simulated"))
except ConfigError as error:
    sys.exit(error.message)
"""


def _run(script: str, folders: list[str], *arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    path = os.pathsep.join(str(PLUGINS / folder) for folder in folders)
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _rows(folders: list[str], *arguments: str, cwd: Path) -> dict[str, dict[str, Any]]:
    done = _run(LIST, folders, "plugin", "list", "--state", ".", "--format", "json", *arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return {row["distribution"] if row["distribution"] != "-" else row["name"]: row for row in json.loads(done.stdout)}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Everything that can be wrong, installed at once."""
    folders = [folder.name for folder in PLUGINS.iterdir() if folder.is_dir()]
    return _rows(folders, cwd=tmp_path_factory.mktemp("empty"))


@pytest.mark.parametrize("name", ["novakit-simulated", "novakit-good", "novakit-vendor"])
def test_good_plugins_run_beside_all_the_bad_ones(rows: dict[str, dict[str, Any]], name: str) -> None:
    assert rows[name]["state"] == "active"
    assert rows[name]["reason"] == ""


@pytest.mark.parametrize(
    ("name", "state", "words"),
    [
        ("novakit-unimportable", "broken", ["a_library_that_is_not_installed", "reinstall novakit-unimportable"]),
        ("novakit-leaving", "broken", ["SystemExit"]),
        ("novakit-raising", "broken", ["novakit_filters raised", "the licence server is away"]),
        ("novakit-misspelt", "broken", ["novakit_filtres", "did it mean novakit_filters?"]),
        ("novakit-wrong-record", "broken", ["dict", "FilterSpec"]),
        ("novakit-unknown-fact", "broken", ["phase_of_the_moon"]),
        (
            "novakit-duplicate-one",
            "conflicting",
            ["novakit-duplicate-one 1.0", "novakit-duplicate-two 1.1", "disabled"],
        ),
        (
            "novakit-duplicate-two",
            "conflicting",
            ["novakit-duplicate-one 1.0", "novakit-duplicate-two 1.1", "disabled"],
        ),
        ("novakit-usurper", "conflicting", ["novakit-simulated", "novakit-usurper 6.6"]),
        ("novakit-twin-record", "conflicting", ["novakit-twin-record 1.0", "novakit-simulated"]),
        ("novakit-old-api", "incompatible", ["API 0", "speaks 1"]),
        ("novakit-future", "incompatible", ["novakit-hookspecs>=9", "install"]),
        ("novakit-past", "incompatible", ["novakit-hookspecs<0.1", "install"]),
    ],
)
def test_a_bad_plugin_is_listed_with_its_state_and_why(
    rows: dict[str, dict[str, Any]], name: str, state: str, words: list[str]
) -> None:
    assert rows[name]["state"] == state
    for word in words:
        assert word in rows[name]["reason"]


def test_a_disabled_twin_leaves_the_name_to_the_other(tmp_path: Path) -> None:
    (tmp_path / "novakit.toml").write_text('[plugins]\ndisabled = ["novakit-twin-record", "accelerators:vendor"]\n')
    found = _rows(["twin_record", "vendor"], cwd=tmp_path)
    assert {name: found[name]["state"] for name in ("novakit-twin-record", "novakit-vendor", "novakit-simulated")} == {
        "novakit-twin-record": "disabled",
        "novakit-vendor": "disabled",
        "novakit-simulated": "active",
    }


def test_with_an_allow_list_only_it_and_novakits_own_are_imported(tmp_path: Path) -> None:
    (tmp_path / "novakit.toml").write_text('[plugins]\nallow = ["novakit-vendor"]\n')
    found = _rows(["vendor", "good", "leaving"], cwd=tmp_path)
    states = {name: found[name]["state"] for name in ("novakit-vendor", "novakit-good", "novakit-leaving")}
    assert states == {"novakit-vendor": "active", "novakit-good": "disabled", "novakit-leaving": "disabled"}
    assert found["novakit-simulated"]["state"] == "active"


def test_a_driver_that_nobody_offers_is_listed_as_absent(tmp_path: Path) -> None:
    row = _rows([], "--driver", "hovercraft", cwd=tmp_path)["hovercraft"]
    assert (row["group"], row["state"]) == ("drivers", "absent")
    assert "drivers:hovercraft" in row["reason"]


def test_a_scheduler_driver_runs_where_the_configuration_names_it(tmp_path: Path) -> None:
    row = _rows(["allocator"], cwd=tmp_path)["novakit-allocator"]
    assert (row["group"], row["state"]) == ("schedulers", "disabled")
    assert row["reason"] == 'Not the scheduler in use; choose it with [scheduler] driver = "allocator".'
    (tmp_path / "novakit.toml").write_text('[scheduler]\ndriver = "allocator"\n')
    row = _rows(["allocator"], cwd=tmp_path)["novakit-allocator"]
    assert (row["state"], row["offers"]) == ("active", "allocator")
    (tmp_path / "novakit.toml").write_text('[scheduler]\ndriver = "chance"\n')
    row = _rows(["allocator"], cwd=tmp_path)["chance"]
    assert row["state"] == "absent" and "Nothing installed offers schedulers:chance" in row["reason"]
    done = _run(
        LIST, ["allocator"], "serve", "--state", ".", "--simulate", "1", "--listen", "127.0.0.1:8774", cwd=tmp_path
    )
    assert done.returncode != 0
    assert "Nothing installed offers schedulers:chance; install the distribution that does" in done.stderr


def test_the_table_shows_brackets_of_a_reason_as_they_are(tmp_path: Path) -> None:
    done = _run(LIST, ["twin_record"], "plugin", "list", "--state", ".", cwd=tmp_path)
    assert done.returncode == 0
    assert "[plugins]" in done.stdout


@pytest.mark.parametrize("name", ["filters:raising", "novakit-raising"])
def test_a_required_plugin_that_is_broken_stops_the_start_with_its_reason(tmp_path: Path, name: str) -> None:
    done = _run(LOAD, ["raising"], name, cwd=tmp_path)
    assert done.returncode == 1
    assert "filters:raising is broken" in done.stderr
    assert "the licence server is away" in done.stderr


@pytest.mark.parametrize(
    ("folder", "filter", "words"),
    [
        ("unbuildable", "unbuildable", "novakit-unbuildable could not be built: OSError"),
        ("unimportable", "acme", "filters:unimportable of novakit-unimportable 1.0 is broken"),
        ("unknown_fact", "fact", "phase_of_the_moon"),
        ("raising", "raising", "the licence server is away"),
    ],
)
def test_a_listed_filter_that_is_installed_and_not_usable_stops_the_start_and_is_listed(
    tmp_path: Path, folder: str, filter: str, words: str
) -> None:
    (tmp_path / "novakit.toml").write_text(f'[scheduler]\nfilters = ["ram", "{filter}"]\n')
    done = _run(LIST, [folder], "serve", "--state", ".", cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr and "`novakit plugin list`" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    listed = _run(LIST, [folder], "plugin", "list", "--state", ".", cwd=tmp_path)
    assert listed.returncode == 0
    assert "novakit serve would not start with these options" in listed.stderr


def test_a_filter_is_active_only_while_it_is_on(tmp_path: Path) -> None:
    row = _rows(["unbuildable"], cwd=tmp_path)["novakit-unbuildable"]
    assert (row["state"], row["off"]) == ("broken", "unbuildable, everywhere")
    assert "the rack list is not readable" in row["reason"]
    config = tmp_path / "novakit.toml"
    config.write_text('[scheduler]\nfilters = ["ram", "everywhere"]\n')
    row = _rows(["unbuildable"], cwd=tmp_path)["novakit-unbuildable"]
    assert (row["state"], row["off"]) == ("active", "unbuildable")
    config.write_text('[scheduler]\nfilters = ["ram"]\n')
    row = _rows(["unbuildable"], cwd=tmp_path)["novakit-unbuildable"]
    assert (row["state"], row["reason"]) == (
        "disabled",
        "Nothing that it offers is on; name it in [scheduler] filters.",
    )


def test_the_table_fits_into_120_characters(tmp_path: Path) -> None:
    done = _run(LIST, ["unimportable"], "plugin", "list", "--state", ".", cwd=tmp_path)
    assert max(len(line) for line in done.stdout.splitlines()) == 120


def test_a_required_plugin_that_is_absent_stops_the_start(tmp_path: Path) -> None:
    done = _run(LOAD, [], "accelerators:acme", cwd=tmp_path)
    assert done.returncode == 1
    assert "accelerators:acme is absent" in done.stderr


def test_a_wrong_plugins_section_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "novakit.toml").write_text('[plugins]\nrequired = ["engines:warp"]\n')
    done = _run(LIST, [], "plugin", "list", "--state", ".", cwd=tmp_path)
    assert done.returncode == 2
    assert "engines:warp" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_configuration_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    done = _run(LIST, [], "plugin", "list", "--config", "nowhere.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert "nowhere.toml does not exist" in done.stderr
