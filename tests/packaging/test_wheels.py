"""Every distribution builds, installs from its wheel into an empty environment, and needs only what it says."""

import importlib.metadata
import json
import os
import re
import signal
import socket
import subprocess
import threading
import zipfile
from pathlib import Path
from typing import Protocol

import pytest

from tests.support.distributions import CONTRACT, CORE, EVERY, LIBRARIES, PLUGINS, package, project

ROOT = Path(__file__).parents[2]
PROJECTS = [project(path) for path in EVERY]
VERSIONS = {project["name"]: project["version"] for project in PROJECTS}


def _needed(name: str) -> set[str]:
    """Name a distribution and those of ours that it needs, and they need."""
    told = next(one for one in PROJECTS if one["name"] == name)
    direct = {re.split(r"[\[>=<]", line)[0] for line in told["dependencies"]}
    return {name}.union(*(_needed(one) for one in direct if one.startswith("novakit")))


class Environment(Protocol):
    path: Path
    python: str

    def install(self, *requirements: str, dry: bool = False) -> str: ...

    def run(self, *arguments: str) -> str: ...


@pytest.mark.parametrize("name", VERSIONS)
def test_each_distribution_is_a_wheel_with_its_licence_and_types(wheels: Path, name: str) -> None:
    [wheel] = wheels.glob(f"{name.replace('-', '_')}-{VERSIONS[name]}-*.whl")
    files = zipfile.ZipFile(wheel).namelist()
    assert any(file.endswith("LICENSE") for file in files), "a wheel carries its licence"
    assert f"{name.replace('-', '_')}/py.typed" in files, "a wheel says that it is typed"
    assert not [file for file in files if "tests/" in file or file.endswith((".pyc", ".db"))]
    assert list(wheels.glob(f"{name.replace('-', '_')}-{VERSIONS[name]}.tar.gz"))


def test_the_core_the_contract_and_the_plugins_of_one_release_have_one_version() -> None:
    assert {project(path)["version"] for path in (CORE, CONTRACT, *PLUGINS)} == {"0.1.0"}


def test_novakit_alone_installs_into_an_empty_environment_with_stock_plugins_and_no_native_ones(
    whole: Environment,
) -> None:
    whole.run("-c", "import novakit.plughost, novakit_filters, novakit_weighers, novakit_simulated")
    listed = whole.run("-c", "import importlib.metadata as m; print(*(d.name for d in m.distributions()))").split()
    assert {"novakit", "novakit-hookspecs", "novakit-filters", "novakit-weighers", "novakit-simulated"} <= set(listed)
    assert not {"novakit-driver-libvirt", "novakit-driver-qemu", "novakit-net-ovs", "libvirt-python", "pytest"} & set(
        listed
    )


def test_the_host_extra_brings_libvirt_and_open_vswitch(whole: Environment) -> None:
    said = whole.install("novakit[host]==0.1.0", dry=True)
    for name in ("novakit-driver-libvirt", "novakit-driver-qemu", "novakit-net-ovs", "libvirt-python", "pyroute2"):
        assert name in said


@pytest.mark.parametrize("path", [*LIBRARIES, *PLUGINS], ids=lambda path: path.parent.name)
def test_a_single_plugin_or_library_installs_with_what_it_declares_alone(environment: Environment, path: Path) -> None:
    alone = project(path)
    environment.install(f"{alone['name']}=={alone['version']}")
    values = [value for group in alone.get("entry-points", {}).values() for value in group.values()]
    imports = ", ".join([package(path).name, *(value.partition(":")[0] for value in values)])
    environment.run("-c", f"import {imports}, sys; assert 'novakit' not in sys.modules")
    listed = environment.run(
        "-c", "import importlib.metadata as m; print(*(d.name for d in m.distributions()))"
    ).split()
    ours = {name for name in listed if name.startswith("novakit")}
    assert ours == _needed(alone["name"])


def test_a_vendors_conformance_suite_needs_pytest_and_the_contract_alone(environment: Environment) -> None:
    environment.install("novakit-hookspecs[testing]==0.1.0")
    suite = environment.path / "test_vendor.py"
    suite.write_text((ROOT / "tests" / "conformance" / "broken" / "accelerators.py").read_text())
    said = environment.run("-m", "pytest", "-q", "-p", "no:cacheprovider", str(suite), "-k", "TestCorrect")
    assert "passed" in said


def test_the_installed_plugin_list_shows_the_stock_plugins_active(whole: Environment) -> None:
    rows = json.loads(whole.run("-m", "novakit", "plugin", "list", "--format", "json"))
    states = {f"{row['group']}:{row['name']}": row["state"] for row in rows}
    assert states["drivers:simulated"] == states["networks:simulated"] == "active"
    assert states["filters:stock"] == states["weighers:stock"] == "active"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_novakit_serve_gets_ready_from_wheels_alone_and_stops_when_asked(whole: Environment, tmp_path: Path) -> None:
    command = [
        str(whole.path / "bin" / "novakit"),
        "serve",
        "--state",
        str(tmp_path / "state"),
        "--listen",
        f"127.0.0.1:{_free_port()}",
        "--driver",
        "simulated",
        "--network",
        "simulated",
    ]
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    with (tmp_path / "errors").open("w+") as errors:
        process = subprocess.Popen(command, cwd=tmp_path, env=clean, stdout=subprocess.PIPE, stderr=errors, text=True)
        giving_up = threading.Timer(60, process.kill)
        giving_up.start()
        try:
            assert process.stdout is not None
            ready = next((line for line in process.stdout if line.startswith("novakit ready")), "")
            process.send_signal(signal.SIGTERM)
            process.stdout.read()
            code = process.wait()
        finally:
            giving_up.cancel()
            process.kill()
        errors.seek(0)
        said = errors.read()
    assert ready, said
    assert code == 0, said


def test_the_versions_that_are_installed_are_those_that_are_declared() -> None:
    for name, version in VERSIONS.items():
        assert importlib.metadata.version(name) == version
