"""Commands of the image builder: what they printed, or why the image cannot be built."""

from pathlib import Path

import pytest

from novakit_micro_image.commands import NEEDS, CannotBuild, missing, run


def test_what_a_command_printed_is_returned(tmp_path: Path) -> None:
    assert run("pwd", cwd=tmp_path).strip() == str(tmp_path.resolve())
    assert run("cat", stdin=b"kernel") == "kernel"


def test_a_command_that_fails_is_named_with_its_complaint() -> None:
    with pytest.raises(CannotBuild, match="sh -c echo broken >&2; exit 4 ended with 4: broken"):
        run("sh", "-c", "echo broken >&2; exit 4")


def test_what_is_not_installed_is_told_by_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("novakit_micro_image.commands.SEARCH", str(tmp_path))
    assert list(missing()) == sorted(set(NEEDS.values()))
    for command in NEEDS:
        (tmp_path / command).touch(mode=0o755)
    assert not missing()
