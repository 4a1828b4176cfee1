"""The client that tests run is the ordinary one, and each run has what it was given."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.openstack_client import openstack_command

CLOUDS = """clouds:
  here:
    auth_type: admin_token
    auth: {endpoint: "http://127.0.0.1:1/", token: secret-of-here}
"""


def _run(program: str, *words: str, directory: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    return subprocess.run(
        [program, *words],
        cwd=directory,
        env=clean | environment,
        capture_output=True,
        text=True,
        umask=0o077,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("line", ["--version", "server --help", "nonsense", "--os-cloud x complete"])
def test_it_says_and_ends_as_the_installed_command_does(line: str, tmp_path: Path) -> None:
    ours, installed = (
        _run(program, *line.split(), directory=tmp_path)
        for program in (openstack_command(), str(Path(sys.executable).with_name("openstack")))
    )
    assert (ours.returncode, ours.stdout, ours.stderr) == (installed.returncode, installed.stdout, installed.stderr)


def test_each_run_has_its_own_directory_environment_and_umask(tmp_path: Path) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    for directory in (here, elsewhere):
        directory.mkdir()
    (here / "clouds.yaml").write_text(CLOUDS)
    show = ("configuration", "show", "--unmask", "-f", "value", "-c", "auth.token")
    found = _run(openstack_command(), *show, directory=here, OS_CLOUD="here")
    assert found.stdout == "secret-of-here\n", found.stderr
    missed = _run(openstack_command(), *show, directory=elsewhere, OS_CLOUD="here")
    assert missed.returncode != 0 and "here" in missed.stderr
    made = _run(openstack_command(), "--log-file", "run.log", *show, directory=here, OS_CLOUD="here")
    assert made.returncode == 0 and (here / "run.log").stat().st_mode & 0o777 == 0o600
