"""The processes of a cloud, started by the lines of `docs/how-to/run-roles-apart.md`."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.functional.roles.processes import Roles

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "how-to" / "run-roles-apart.md"
HOST = "compute-1"
"""The compute host that the page enrols."""


def lines() -> list[str]:
    """Give the page's commands up to its section about credentials, in its order."""
    text = PAGE.read_text().partition("## Credentials")[0]
    blocks = re.findall(r"```sh[^\n]*\n(.*?)```", text, flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


class AsThePageSays(Roles):
    """Processes that a reader of the page has: in one directory, by its lines.

    Two things are not the page's: the port is a free one, said as the page says it, and the drivers are the simulated
    ones.
    """

    def __init__(self, directory: Path):
        super().__init__(directory / "state")
        self.directory = directory
        self.host_state = directory / HOST
        (self.state / "novakit.toml").write_text(f'[api]\npublic_url = "{self.url}"\n')

    def command(self, role: str) -> list[str]:
        """Give the line that starts a role."""
        (line,) = [line for line in lines() if f"--role {role}" in line]
        return self._words(line)

    def enrol(self, host: str = HOST) -> Path:
        """Enrol a host by the page's line; give its directory."""
        (line,) = [line for line in lines() if line.startswith("novakit host enrol")]
        self.run(line.replace(HOST, host))
        return self.directory / host

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the page to its end."""
        done = subprocess.run(self._words(line), cwd=self.directory, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done
        return done

    def refused(self, command: list[str]) -> str:
        """Run what is not to start; give what it said, in one sentence."""
        done = subprocess.run(command, cwd=self.directory, capture_output=True, text=True, timeout=120)
        assert done.returncode == 2 and "Traceback" not in done.stderr, done
        return done.stderr

    def spawn(self, role: str, *arguments: str, name: str = "", list_imports: bool = False) -> None:
        """Start a role by its line and do not wait; what it opens is written to NAME.opened."""
        name = name or role
        opened = ROOT / "tests" / "data" / "opened"
        environment = {**os.environ, "PYTHONPATH": str(opened), "OPENED": str(self.directory / f"{name}.opened")}
        with (self.state / f"{name}.out").open("w") as printed:
            self.processes[name] = subprocess.Popen(
                [*self.command(role), *arguments],
                cwd=self.directory,
                stdout=printed,
                stderr=subprocess.STDOUT,
                text=True,
                env=environment,
            )

    def opened(self, name: str) -> set[Path]:
        """Give the paths that a process opened, listed or connected to, made absolute."""
        told = (self.directory / f"{name}.opened").read_text().splitlines()
        return {Path(os.path.normpath(self.directory / path)) for path in told}

    def _words(self, line: str) -> list[str]:
        words = shlex.split(line)
        assert words[0] == "novakit"
        line = shlex.join([sys.executable, "-m", *words]).replace("127.0.0.1:8774", f"127.0.0.1:{self.port}")
        return shlex.split(line.replace("--driver libvirt --network ovs", "--driver simulated"))
