"""The clouds.yaml is written for clients, and read again as it was written."""

from pathlib import Path

import pytest

from novakit import clouds
from novakit.errors import ConfigError


def test_passwords_are_read_as_they_were_written_and_the_file_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "clouds.yaml"
    chosen = {"novakit-admin": 'odd "one" \\ \u00e9', "novakit": clouds.new_password()}
    clouds.write(path, "http://127.0.0.1:8774/identity/v3", chosen)
    assert clouds.passwords(path) == chosen
    assert clouds.read(path)["novakit"]["auth_url"] == "http://127.0.0.1:8774/identity/v3"
    assert path.stat().st_mode & 0o077 == 0


def test_a_cloud_without_a_password_is_written_with_the_command_that_makes_one(tmp_path: Path) -> None:
    path = tmp_path / "clouds.yaml"
    clouds.write(path, "http://127.0.0.1:8774/identity/v3", {"novakit": "secret"})
    assert clouds.passwords(path) == {"novakit": "secret"}
    assert "novakit admin reset-password admin" in path.read_text()


def test_no_file_has_no_passwords_and_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clouds.yaml"
    assert clouds.passwords(path) == {}
    path.write_text("notes: mine\n")
    with pytest.raises(ConfigError, match="is not a clouds"):
        clouds.read(path)


def test_a_new_password_has_no_two_characters_that_are_taken_for_one_another() -> None:
    assert not set(clouds.new_password()) & set("Il1O0") and len(clouds.new_password()) == 20
