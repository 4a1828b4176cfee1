"""Every command that there is, on every kind of broken file: exit code 2 and one sentence, and never a traceback."""

import argparse
import importlib
import io
import os
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import attrs
import pytest

from novakit.cli import COMMANDS, main

Prepare = Callable[[Path], object]
RUNS_ON = "serve"
"""Starts and goes on; test_start_failures tries it."""


@pytest.fixture(autouse=True)
def as_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("a new password\n"))


@attrs.frozen
class Command:
    """One command as somebody types it, with what it takes."""

    words: tuple[str, ...]
    positional: tuple[str, ...]
    options: frozenset[str]

    @property
    def name(self) -> str:
        return " ".join(self.words)

    def typed(self, state: Path, file: Path | None = None) -> list[str]:
        """Return the arguments, on a state directory and with a file of options."""
        given = [*self.words, *self.positional]
        given += ["--state", str(state)] if "--state" in self.options else []
        given += ["--into", str(state / "into")] if "--into" in self.options else []
        given += ["--driver", "simulated"] if self.name == "doctor" else []
        return [*given, "--config", str(file)] if file is not None else given


VALUES: Mapping[str, str] = {
    "file": "{toml}",
    "trace": "{toml}",
    "name": "vm",
    "guest": "g",
    "server": "s",
    "rule": "nope",
}


def commands() -> dict[str, Command]:
    """Walk the parsers of all commands."""
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    for command in COMMANDS.values():
        importlib.import_module(f"novakit.cli.{command.module}").register(subparsers)
    found = {each.name: each for each in _leaves((), parser)}
    del found[RUNS_ON]
    return found


def _leaves(words: tuple[str, ...], parser: argparse.ArgumentParser) -> Iterator[Command]:
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for action in below:
        for word, inner in action.choices.items():
            yield from _leaves((*words, word), inner)
    if not below:
        taken = [action for action in parser._actions if not action.option_strings]
        positional = tuple(VALUES.get(action.dest, "x") for action in taken if action.nargs not in ("?", "*"))
        needed = [action for action in parser._actions if action.option_strings and action.required]
        positional += tuple(word for action in needed for word in (action.option_strings[0], "x"))
        options = frozenset(text for action in parser._actions for text in action.option_strings)
        yield Command(words, positional, options)


EVERY = commands()
CONFIGURED = {name: command for name, command in EVERY.items() if "--config" in command.options}
ON_STATE = {name: command for name, command in EVERY.items() if "--state" in command.options}


def written(content: bytes) -> Prepare:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


CONFIGS: Mapping[str, Prepare] = {
    "a directory": Path.mkdir,
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to nothing": lambda path: path.symlink_to("/nope/x"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "zeros": written(bytes(200)),
    "a NUL in a text": written(b'[api]\npublic_url = "http://a\\u0000b"\n'),
    "UTF-16": written("database = 1".encode("utf-16")),
    "two byte order marks": written(b"\xef\xbb\xbf\xef\xbb\xbf[api]\n"),
    "far too large": written(b"#" * (2 << 20)),
    "nested deep": written(b"a = " + b"[" * 5000 + b"]" * 5000),
    "a table twice": written(b"[api]\n[api]\n"),
    "database is a list": written(b"database = []\n"),
    "database is a table": written(b'[database]\nurl = "x"\n'),
    "an array of tables": written(b"[[scheduler]]\n[[scheduler]]\n"),
    "a date": written(b"[scheduler]\nrefresh_every = 1979-05-27\n"),
    "a huge number": written(b"[scheduler]\nmax_attempts = 1" + b"0" * 4500 + b"\n"),
}
STATES: Mapping[str, Prepare] = {
    "a file": lambda state: (state.rmdir(), state.write_bytes(b"x")),
    "a link to itself": lambda state: (state.rmdir(), state.symlink_to(state.name)),
    "gone": Path.rmdir,
    "a database that is none": lambda state: (state / "novakit.db").write_bytes(b"no database" * 100),
    "a database that is a directory": lambda state: (state / "novakit.db").mkdir(),
    "a database of somebody else": lambda state: _database(state, "CREATE TABLE servers (x)"),
    "a database of a later version": lambda state: _database(
        state, "CREATE TABLE alembic_version (version_num TEXT); INSERT INTO alembic_version VALUES ('9999')"
    ),
    "clouds.yaml is a directory": lambda state: (state / "clouds.yaml").mkdir(),
    "clouds.yaml is no text": lambda state: (state / "clouds.yaml").write_bytes(b"\xff\xfe\x00"),
    "clouds.yaml is a list": lambda state: (state / "clouds.yaml").write_bytes(b"- a\n- b\n"),
    "clouds.yaml says nothing": lambda state: (state / "clouds.yaml").write_bytes(b"clouds: {novakit-admin: 5}\n"),
    "clouds.yaml says half": lambda state: (state / "clouds.yaml").write_bytes(CLOUDS.partition(b"username")[0] + b"}"),
    "clouds.yaml names no service": lambda state: (state / "clouds.yaml").write_bytes(CLOUDS),
    "policy.yaml is a directory": lambda state: (state / "policy.yaml").mkdir(),
    "policy.yaml is no text": lambda state: (state / "policy.yaml").write_bytes(b"\xff\xfe\x00"),
    "policy.yaml is a list": lambda state: (state / "policy.yaml").write_bytes(b"- a\n"),
    "enrolled is a directory": lambda state: (state / "enrolled").mkdir(),
    "enrolled is no text": lambda state: (state / "enrolled").write_bytes(b"\xff\xfe\x00"),
    "enrolled is a number": lambda state: (state / "enrolled").write_bytes(b"5"),
}
CLOUDS = b"""clouds:
  novakit-admin:
    auth:
      auth_url: "nothing://127.0.0.1:1/identity/v3"
      username: admin
      user_domain_id: default
      password: x
      project_name: admin
      project_domain_id: default
"""


def _database(state: Path, script: str) -> None:
    made = sqlite3.connect(state / "novakit.db")
    made.executescript(script)
    made.close()


def run(command: Command, state: Path, file: Path | None, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Type a command; return its exit code and what it said on standard error."""
    typed = [word.replace("{toml}", str(file or state / "novakit.toml")) for word in command.typed(state, file)]
    capsys.readouterr()
    code = -1
    with suppress(SystemExit):
        code = main(typed)
    assert code != -1, f"{typed} is not how the command is typed: {capsys.readouterr().err}"
    return code, capsys.readouterr().err


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("name", CONFIGURED)
def test_a_file_of_options_that_cannot_be_is_said(
    name: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "other.toml"
    CONFIGS[kind](file)
    state = tmp_path / "state"
    state.mkdir()
    code, said = run(CONFIGURED[name], state, file, capsys)
    assert code == 2, said
    assert re.match(r"novakit: [^\n]+\n\Z", said), said


@pytest.mark.parametrize("kind", STATES)
@pytest.mark.parametrize("name", ON_STATE)
def test_a_state_directory_that_cannot_be_is_said(
    name: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    STATES[kind](state)
    code, said = run(ON_STATE[name], state, None, capsys)
    assert "Traceback" not in said
    if code == 2:
        assert re.match(r"novakit: [^\n]+\n\Z", said), said
    else:
        assert code in (0, 1), (code, said)
