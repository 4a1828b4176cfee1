"""`novakit serve` with libvirt on a host of a test's own, and what its operator and its users ask of it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import attrs
from hostlab import Lab

WITHIN = 180.0
REPORT_EVERY = 1.5
PROGRAMS = Path(sys.executable).parent
T = TypeVar("T")
ASK = """
import json, pathlib, sys
from novakit.cli.client import login
state, method, path, body = json.load(sys.stdin)
service, _, rest = path.partition("/")
print(json.dumps(login(pathlib.Path(state), "novakit").send(method, service, rest, body)))
"""


@attrs.define
class Cloud:
    """`novakit serve` with libvirt on a host, and its operator; several may be on one host."""

    lab: Lab
    state: Path
    network: str = "ovs"
    listen: str = "127.0.0.1:8774"
    process: "subprocess.Popen[Any] | None" = None

    def configure(self, host: str = "alpha", more: str = "") -> None:
        """Make the state directory, with the options that tests need."""
        self.state.mkdir(exist_ok=True)
        options = f'[agent]\nhost = "{host}"\nreport_every = {REPORT_EVERY}\n[drivers.libvirt]\nacceleration = "tcg"\n'
        (self.state / "novakit.toml").write_text(options + more)

    def start(self) -> str:
        """Start the service, wait until it is ready, and return what it printed."""
        printed = self.state.with_name(f"{self.state.name}.out")
        argv = [PROGRAMS / "novakit", "serve", "--state", self.state, "--listen", self.listen]
        argv += ["--driver", "libvirt", "--network", self.network]
        with printed.open("w") as out:
            self.process = self.lab.popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

        def ready() -> bool:
            assert self.process is not None and self.process.poll() is None, printed.read_text()
            return "novakit ready" in printed.read_text()

        until(ready, "novakit serve is ready")
        return printed.read_text()

    def stop(self) -> None:
        assert self.process is not None
        self.lab.run(["kill", "-TERM", (self.state / "conductor.lock").read_text()])
        self.process.wait(60)

    def kill(self) -> None:
        assert self.process is not None
        self.lab.run(["kill", "-9", (self.state / "conductor.lock").read_text()])
        self.process.wait(60)

    def novakit(self, *words: str, code: int = 0) -> str:
        done = self.lab.run([PROGRAMS / "novakit", *words, "--state", self.state], check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def openstack(self, command: str, cloud: str = "novakit") -> str:
        clouds = {"OS_CLIENT_CONFIG_FILE": str(self.state / "clouds.yaml"), "OS_CLOUD": cloud}
        argv = [PROGRAMS / "openstack", *command.split()]
        return self.lab.run(argv, env={**os.environ, **clouds}).stdout.strip()

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Ask an API as the user of the cloud `novakit`; some ten times as fast as the ordinary client."""
        asked = json.dumps([str(self.state), method, path, body])
        return json.loads(self.lab.run([sys.executable, "-c", ASK], input=asked).stdout)

    def server(self, id: str, status: str) -> dict[str, Any]:
        """Show a server that has a status; nothing while it has another."""
        shown: dict[str, Any] = self.api("GET", f"compute/v2.1/servers/{id}")["server"]
        assert shown["status"] != "ERROR", shown
        return shown if shown["status"] == status else {}

    def let_pings_in(self) -> None:
        """Open the default group of the project to ICMP."""
        group = self.api("GET", "network/v2.0/security-groups?name=default")["security_groups"][0]["id"]
        rule = {"security_group_id": group, "direction": "ingress", "protocol": "icmp"}
        self.api("POST", "network/v2.0/security-group-rules", {"security_group_rule": rule})

    def answers(self, network: str, address: str) -> bool:
        """Say whether the guest answers a ping from the network's own DHCP namespace."""
        ping = ["ip", "netns", "exec", f"nkd-{network}", "ping", "-c", "1", "-W", "2", address]
        return self.lab.run(ping, check=False).returncode == 0

    def domain(self) -> str:
        """Give the process ids of the running guests."""
        return self.lab.run(["bash", "-c", "pgrep -f '[q]emu-system.*guest=' || true"]).stdout

    def audit(self) -> list[str]:
        done = self.lab.run([PROGRAMS / "novakit", "audit", "--format", "json", "--state", self.state], check=False)
        return [each["kind"] for each in json.loads(done.stdout)["orphaned"]]


def until(look: Callable[[], T], what: str, within: float = WITHIN) -> T:
    """Look again and again until there is something to see."""
    end = time.monotonic() + within
    while not (seen := look()):
        assert time.monotonic() < end, f"{what}: not within {within:g} s"
        time.sleep(0.5)
    return seen
