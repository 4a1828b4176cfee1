"""A real guest whose database is lost: it runs on and answers, is adopted, and is a server like any other."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from hostlab import Lab, missing

pytestmark = [
    pytest.mark.host,
    pytest.mark.slow,
    pytest.mark.skipif(missing(libvirt=True) is not None, reason=str(missing(libvirt=True))),
]
WITHIN = 180.0
REPORT_EVERY = 4.0
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
    """`novakit serve` with libvirt and Open vSwitch on a host of its own, and its operator."""

    lab: Lab
    state: Path
    process: "subprocess.Popen[Any] | None" = None

    def start(self) -> str:
        """Start the service, wait until it is ready, and return what it printed."""
        printed = self.state.with_name("serve.out")
        argv = [PROGRAMS / "novakit", "serve", "--state", self.state, "--driver", "libvirt", "--network", "ovs"]
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

    def novakit(self, *words: str, code: int = 0) -> str:
        done = self.lab.run([PROGRAMS / "novakit", *words, "--state", self.state], check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def openstack(self, command: str) -> str:
        clouds = {"OS_CLIENT_CONFIG_FILE": str(self.state / "clouds.yaml"), "OS_CLOUD": "novakit"}
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


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    for above in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        above.chmod(0o755)
    state = tmp_path / "state"
    state.mkdir()
    options = f'[agent]\nreport_every = {REPORT_EVERY}\n[drivers.libvirt]\nacceleration = "tcg"\n'
    (state / "novakit.toml").write_text(options)
    with Lab(libvirt=True) as lab:
        cloud = Cloud(lab, state)
        cloud.start()
        yield cloud


def test_a_guest_outlives_its_database_answers_and_is_adopted(cloud: Cloud, micro: Any) -> None:
    cloud.openstack(f"image create --disk-format qcow2 --container-format bare --file {micro.image} micro")
    image = cloud.api("GET", "image/v2/images?name=micro")["images"][0]["id"]
    cloud.let_pings_in()
    network = cloud.api("POST", "network/v2.0/networks", {"network": {"name": "n"}})["network"]["id"]
    subnet = {"network_id": network, "cidr": "10.31.0.0/24", "ip_version": 4}
    cloud.api("POST", "network/v2.0/subnets", {"subnet": subnet})
    server = {"name": "g", "flavorRef": "1", "imageRef": image, "networks": [{"uuid": network}]}
    guest = cloud.api("POST", "compute/v2.1/servers", {"server": server})["server"]["id"]
    shown = until(lambda: cloud.server(guest, "ACTIVE"), "the server is built")
    address = shown["addresses"]["n"][0]["addr"]
    until(lambda: cloud.answers(network, address), "the guest answers")
    process = cloud.domain()
    cloud.stop()
    for file in cloud.state.glob("novakit.db*"):
        file.unlink()

    assert "The database was empty" in cloud.start()
    time.sleep(3 * REPORT_EVERY)
    assert cloud.domain() == process and cloud.answers(network, address)
    [stranger] = json.loads(cloud.novakit("guest", "list", "--format", "json", code=1))["guests"]
    assert (stranger["id"], stranger["name"], stranger["power"]) == (guest, "g", "running")
    assert stranger["held"]["MEMORY_MB"] == 512
    assert sorted(cloud.audit()) == ["guest", "image file"]
    plugins = json.loads(cloud.novakit("plugin", "list", "--format", "json"))
    assert {each["state"] for each in plugins if (each["group"], each["name"]) == ("drivers", "libvirt")} == {"active"}
    doctor = cloud.lab.run([PROGRAMS / "novakit", "doctor", "--state", cloud.state], check=False).stdout
    assert "the database does not know: g on alpha" in " ".join(doctor.split())

    assert "not in this database" in cloud.novakit("guest", "adopt", guest, code=1)
    assert "adopted" in cloud.novakit("guest", "adopt", guest, "--project", "demo")
    time.sleep(2 * REPORT_EVERY)
    shown = cloud.server(guest, "ACTIVE")
    assert (shown["name"], shown["addresses"]["n"][0]["addr"]) == ("g", address)
    assert cloud.domain() == process
    actions = cloud.api("GET", f"compute/v2.1/servers/{guest}/os-instance-actions")["instanceActions"]
    assert [each["action"] for each in actions] == ["adopt"]
    cloud.let_pings_in()
    until(lambda: cloud.answers(network, address), "the adopted guest answers")

    for left in (cloud.state / "images").iterdir():
        left.unlink()  # what the audit's sentence says, once its bytes are an image again
    cloud.api("POST", f"compute/v2.1/servers/{guest}/action", {"os-stop": None})
    until(lambda: cloud.server(guest, "SHUTOFF"), "the server stops")
    cloud.api("POST", f"compute/v2.1/servers/{guest}/action", {"os-start": None})
    until(lambda: cloud.answers(network, address), "the guest answers after a power cycle")
    cloud.api("DELETE", f"compute/v2.1/servers/{guest}")
    until(lambda: not cloud.api("GET", "compute/v2.1/servers")["servers"], "the server is deleted")
    assert cloud.domain() == "" and not list(cloud.state.glob(f"agents/*/virt/instances/{guest}"))
    assert cloud.audit() == []
