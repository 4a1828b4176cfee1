"""The one screen of `novakit serve`: what it says, and that no value on it steers a terminal."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from novakit.cli import serve
from novakit.config import Config


def process(tmp_path: Path, **changed: object) -> SimpleNamespace:
    fields: dict[str, object] = {
        "config": Config(state=tmp_path, driver="simulated", network="simulated"),
        "scheduler": "scheduler-1",
        "hosts": ["a", "b"],
        "acceleration": "none",
        "connections": 8,
        "descriptors": 64,
        "notices": [],
        "has_real_guests": False,
    }
    return SimpleNamespace(**fields | changed)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(serve, "sys", SimpleNamespace(stdout=SimpleNamespace(isatty=lambda: True), executable="python"))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return monkeypatch


def test_names_stand_in_one_column_and_values_in_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    serve._show(process(tmp_path), None)
    said = capsys.readouterr().out
    assert "\x1b" not in said
    begin, rows, _ = said.split("\n\n", 2)
    assert begin.startswith("novakit ")
    assert "driver     simulated on 2 hosts: none" in rows.splitlines()
    assert "scheduler  scheduler-1" in rows.splitlines()
    assert {line[:11].rstrip() for line in rows.splitlines()} >= {"identity", "volume", "roles", "limits", "state"}
    assert {line[9:11] for line in rows.splitlines()} == {"  "}


def test_a_terminal_gets_the_name_and_the_notices_in_bold(
    tmp_path: Path, screen: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    serve._show(process(tmp_path, notices=["Look here."]), None)
    said = capsys.readouterr().out
    assert said.startswith("\x1b[1mnovakit ")
    assert "\n\x1b[1;33mLook here.\x1b[0m\n" in said


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_that_wants_no_bold_gets_none(
    tmp_path: Path, screen: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    screen.setenv(name, value)
    serve._show(process(tmp_path, notices=["Look here."]), None)
    assert "\x1b" not in capsys.readouterr().out


def test_a_service_whose_output_was_closed_before_it_began_shows_nothing_and_goes_on(
    tmp_path: Path, screen: pytest.MonkeyPatch
) -> None:
    screen.setattr(serve, "sys", SimpleNamespace(stdout=None, executable="python"))
    screen.setattr(sys, "stdout", None)
    serve._show(process(tmp_path), None)
    serve._say("novakit ready")


def test_what_a_plugin_says_is_shown_and_not_obeyed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    serve._show(process(tmp_path, acceleration="[bold]\x1b[2J", notices=["a\x07b"]), None)
    said = capsys.readouterr().out
    assert "simulated on 2 hosts: [bold]\\x1b[2J\n" in said
    assert "\na\\x07b\n" in said
