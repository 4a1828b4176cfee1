"""Runs the commands of a tutorial page as a reader types them: one shell's variables, one directory.

A fenced block is run by its words: `sh` everywhere, `sh guest` only where real guests answer, `sh once` never here.
"""

import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/tutorials/first-server.md"
SECTION_WITHIN = 150.0
README = ROOT / "README.md"
BLOCK = re.compile(r"^```sh *(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What one shell would remember is carried over to the next.
SCRIPT = """\
set -aeo pipefail
umask 022
cd {directory}
[ ! -e {variables} ] || . {variables}
trap 'export -p >{variables}' EXIT
{commands}
"""
INSTALLED = {"PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}", "LANG": "C.UTF-8"}
"""The environment of a reader who has novakit installed already."""


def sections(page: Path = PAGE) -> dict[str, list[tuple[str, str]]]:
    """Give, by heading, the blocks of a page in order: the marker and the commands."""
    parts = re.split(r"^## (.+)\n", page.read_text(), flags=re.MULTILINE)
    return {title: BLOCK.findall(text) for title, text in zip(parts[1::2], parts[2::2], strict=True)}


@attrs.define(kw_only=True)
class Reader:
    """Somebody who follows the page, in a directory of their own."""

    directory: Path
    guests: bool
    """Whether real guests answer."""
    enter: Callable[[Sequence[str]], list[str]] = list
    """Turns a command into one that runs where the reader sits."""
    environment: Mapping[str, str] = attrs.field(factory=INSTALLED.copy)
    """The whole environment the reader begins with."""

    @property
    def variables(self) -> Path:
        """The file that holds what the reader's shell knows."""
        return self.directory.with_name(f"{self.directory.name}.variables")

    def follow(self, *titles: str, page: Path = PAGE) -> str:
        """Run the blocks of these sections, and give what they printed; a command that fails raises with its words."""
        found = sections(page)
        blocks = [block for title in titles for block in found[title]]
        wanted = {"", "guest"} if self.guests else {""}
        typed = "\n".join(commands for marker, commands in blocks if marker in wanted)
        return self.type(typed, within=SECTION_WITHIN * len(titles))

    def type(self, commands: str, *, within: float = SECTION_WITHIN) -> str:
        """Run commands in the reader's shell, and give what they printed."""
        done = self.attempt(commands, within=within)
        assert done.returncode == 0, f"{commands}\nended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def attempt(self, commands: str, *, within: float = SECTION_WITHIN) -> "subprocess.CompletedProcess[str]":
        """Run commands that may fail."""
        script = SCRIPT.format(directory=self.directory, variables=self.variables, commands=commands)
        return subprocess.run(
            self.enter(["bash", "-c", script]),
            env={"HOME": str(self.directory), **self.environment},
            stdin=subprocess.DEVNULL,
            text=True,
            capture_output=True,
            timeout=within,
            check=False,
        )
