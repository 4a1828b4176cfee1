"""Every role as a process of its own on one state directory, to be killed and started one by one."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from tests.support.service import Service, free_port

WITHIN = 120.0
ROLES = ("conductor", "scheduler", "api", "agent")


class Roles:
    """The processes of one cloud; `url` and `state` make it a service to log in to."""

    def __init__(self, state: Path):
        state.mkdir(parents=True, exist_ok=True)
        self.state, self.port = state, free_port()
        self.processes: dict[str, subprocess.Popen[str]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def service(self) -> Service:
        """Stand for the process that answers HTTP."""
        return Service(self.state, port=self.port)

    def spawn(self, role: str, *arguments: str, name: str = "", list_imports: bool = False) -> None:
        """Start a role and do not wait; with `list_imports` its output names every module it imports."""
        name = name or role
        command = [sys.executable, "-m", "novakit", "serve", "--state", str(self.state), "--role", role]
        command += ["--listen", f"127.0.0.1:{self.port}", "--log", str(self.state / f"{name}.log"), *arguments]
        environment = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"} if list_imports else None
        with (self.state / f"{name}.out").open("w") as printed:
            self.processes[name] = subprocess.Popen(
                command, stdout=printed, stderr=subprocess.STDOUT, text=True, env=environment
            )

    def ready(self, *names: str) -> None:
        """Wait until these processes say that they are ready."""
        deadline = time.monotonic() + WITHIN
        for name in names:
            printed = self.state / f"{name}.out"
            while "novakit ready" not in printed.read_text():
                assert self.processes[name].poll() is None, f"{name} ended:\n{printed.read_text()[-2000:]}"
                assert time.monotonic() < deadline, f"{name} is not ready:\n{printed.read_text()[-2000:]}"
                time.sleep(0.05)

    def start(self, *roles: str) -> Self:
        """Start roles at the same moment and wait for all of them."""
        for role in roles:
            self.spawn(role)
        self.ready(*roles)
        return self

    def imported(self, name: str) -> set[str]:
        """Name the modules that a process started with `list_imports` has imported so far."""
        printed = (self.state / f"{name}.out").read_text()
        return set(re.findall(r"^import time:.*\| +(\S+)$", printed, flags=re.MULTILINE))

    def kill(self, name: str) -> None:
        """End one as a power cut would."""
        self.processes[name].kill()
        self.processes.pop(name).wait(WITHIN)

    def stop(self) -> dict[str, int]:
        """Ask all of them to stop; give the exit codes, -9 for one that had to be killed."""
        codes = {}
        for process in self.processes.values():
            process.terminate()
        for name, process in self.processes.items():
            try:
                codes[name] = process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                codes[name] = process.wait(30)
        self.processes.clear()
        return codes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
