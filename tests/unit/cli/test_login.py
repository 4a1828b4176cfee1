"""What a command says that finds no login of the service's administrator."""

from pathlib import Path

import pytest

from novakit.cli.client import CLOUD, login
from novakit.errors import ConfigError


def said(state: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        login(state, CLOUD)
    return str(raised.value)


def test_where_there_is_no_directory_that_is_said(tmp_path: Path) -> None:
    state = tmp_path / "typo"
    assert said(state) == f"There is no state directory {state}; name the service's with --state."


def test_a_directory_in_which_no_service_was_started_has_no_file_of_clouds(tmp_path: Path) -> None:
    assert said(tmp_path) == (
        f"There is no {tmp_path}/clouds.yaml; start `novakit serve --state {tmp_path}`, which writes it, or name the"
        " running service's directory with --state."
    )


def test_a_file_without_the_cloud_is_told_from_none(tmp_path: Path) -> None:
    (tmp_path / "clouds.yaml").write_text("clouds: {}\n")
    assert said(tmp_path).startswith(f"{tmp_path}/clouds.yaml has no cloud {CLOUD}; start ")
