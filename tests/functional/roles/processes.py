"""Every role as a process of its own, to be killed and started one by one; hosts have a directory of their own."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from novakit import config
from novakit.agent.starting import host_names
from tests.support.service import Service, free_port

WITHIN = 120.0
ROLES = ("conductor", "scheduler", "api", "agent")


class Roles:
    """The processes of one cloud; `url` and `state` make it a service to log in to."""

    def __init__(self, state: Path):
        state.mkdir(parents=True, exist_ok=True)
        self.state, self.port = state, free_port()
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self.hosts = state.with_name(f"{state.name}-hosts")

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
        state = self.enrolled(*arguments) if role == "agent" else self.state
        command = [sys.executable, "-m", "novakit", "serve", "--state", str(state), "--role", role]
        command += ["--listen", f"127.0.0.1:{self.port}", "--log", str(self.log(name)), *arguments]
        environment = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"} if list_imports else None
        with (self.state / f"{name}.out").open("w") as printed:
            self.processes[name] = subprocess.Popen(
                command, stdout=printed, stderr=subprocess.STDOUT, text=True, env=environment
            )

    def log(self, name: str) -> Path:
        """Say where a process logs; an agent writes nothing into the control plane's directory."""
        return (self.hosts if name == "agent" else self.state) / f"{name}.log"

    def enrolled(self, *arguments: str) -> Path:
        """Enrol the hosts of an agent that is started so, and give the directory that is theirs."""
        options = self.state / "novakit.toml"
        self.hosts.mkdir(exist_ok=True)
        if options.exists():
            (self.hosts / "novakit.toml").write_text(options.read_text())
        count = int(arguments[arguments.index("--simulate") + 1]) if "--simulate" in arguments else 1
        fields = config.read(self.hosts / "novakit.toml")
        names = host_names(config.Config(state=self.hosts, simulate=count, **fields))
        if missing := [name for name in names if not (self.hosts / "credentials" / f"agent.{name}").exists()]:
            command = [sys.executable, "-m", "novakit", "host", "enrol", *missing, "--state", str(self.state)]
            subprocess.run([*command, "--into", str(self.hosts)], check=True, stdout=subprocess.DEVNULL)
        return self.hosts

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
