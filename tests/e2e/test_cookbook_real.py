"""A newcomer on a bare host: README and tutorial typed in a fresh clone, real guests, packets that arrive or do not.

The host is as Debian installs it, with the /dev/kvm that this machine has, whether it works or not.
The newcomer's environment is PATH and HOME; whatever else a command needs, the pages must say.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "host"))
from hostlab import Lab, missing
from tutorial import PAGE, README, ROOT, Reader, sections

pytestmark = [
    pytest.mark.host,
    pytest.mark.slow,
    pytest.mark.skipif(
        missing(libvirt=True, way_out=True) is not None, reason=str(missing(libvirt=True, way_out=True))
    ),
]
WITHIN = 120.0
READY_WITHIN = 400.0
"""Seconds for `make serve` in a fresh clone: it makes a virtual environment from the package index first."""
T = TypeVar("T")
KVM = Path("/dev/kvm")
OUTSIDE = "172.24.4.1"
SSH = "ssh -i nebula_key.pem -o UserKnownHostsFile=nebula_hosts -o ConnectTimeout=5 -o BatchMode=yes root@$ADDRESS"
# A request in two halves, with a pause in which the connection may be cut.
SLOW_REQUEST = """
import socket, sys
with socket.create_connection((sys.argv[1], 80), timeout=5) as web:
    web.sendall(b"GET / HTTP/1.0\\r\\n")
    print("connected", flush=True)
    sys.stdin.readline()
    web.sendall(b"\\r\\n")
    try:
        print(web.recv(15).decode(), flush=True)
    except TimeoutError:
        print("cut", flush=True)
"""


@attrs.define
class Cloud:
    """`novakit serve` on a host of its own, and somebody who follows the tutorial in a shell there."""

    lab: Lab
    directory: Path
    reader: Reader
    process: "subprocess.Popen[Any] | None" = None

    def start(self) -> None:
        """Type what README and tutorial say first, in a shell of its own, and wait until it says that it is ready."""
        [serve] = [commands for _, commands in sections(PAGE)["Start the cloud"]]
        assert serve == sections(README)["Two commands"][0][1]
        printed = self.directory.with_name("serve.out")
        with printed.open("w") as out:
            self.process = self.lab.popen(
                ["bash", "-c", f"cd {self.directory}\n{serve}"],
                env=self.reader.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

        def ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, f"{printed.read_text()}\n{self.log()}"
            return "novakit ready" in printed.read_text()

        until(ready, "novakit serve is ready", READY_WITHIN)

    def signal(self, name: str) -> int:
        """Send the service a signal and give its exit code."""
        assert self.process is not None
        pid = (self.directory / "state/conductor.lock").read_text()
        self.lab.run(["kill", f"-{name}", pid])
        return self.process.wait(WITHIN)

    def log(self) -> str:
        log = self.directory / "state/novakit.log"
        return log.read_text()[-5000:] if log.exists() else ""

    def ssh(self, command: str) -> str:
        """Run a command in the guest, from outside, through the floating IP.

        A login is tried again: a guest that has just booted writes its keys anew while it already answers.
        """
        asked = f"{SSH} {command!r}"
        done = until(lambda: (tried := self.reader.attempt(asked)).returncode != 255 and tried, "a login")
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return str(done.stdout.strip())

    def answers(self) -> str:
        """Wait until the guest lets us in, and say which boot of it this is."""
        ask = f"{SSH} cat /proc/sys/kernel/random/boot_id"
        return until(lambda: self.reader.attempt(ask).stdout.strip(), "the guest answers SSH")

    def page(self) -> str:
        """Fetch the guest's page; empty when it does not answer."""
        return self.reader.attempt("curl -s --max-time 3 http://$ADDRESS/").stdout

    def virsh(self, *words: str) -> str:
        return self.lab.run(["virsh", "-c", "qemu:///system", *words]).stdout.strip()

    def status(self) -> str:
        return self.reader.type("openstack server show -f value -c status nebula_web_01")

    def server(self) -> str:
        """The id of the server."""
        return re.search(r'SERVER="(\S+)"', self.reader.variables.read_text())[1]  # type: ignore[index]


def until(look: Callable[[], T], what: str, within: float = WITHIN) -> T:
    """Look again and again until there is something to see."""
    end = time.monotonic() + within
    while not (seen := look()):
        assert time.monotonic() < end, f"{what}: not within {within:g} s"
        time.sleep(0.1)
    return seen


def git(*words: str, said: bytes = b"") -> bytes:
    return subprocess.run(
        ["git", "-c", "safe.directory=*", *words], input=said, check=True, stdout=subprocess.PIPE
    ).stdout


@pytest.fixture(scope="module")
def clone() -> Iterator[Path]:
    """A fresh clone with what is not committed yet, in an empty directory that QEMU may pass."""
    with tempfile.TemporaryDirectory(prefix="novakit-newcomer-") as empty:
        Path(empty).chmod(0o755)
        clone = Path(empty) / "novakit"
        git("clone", "-q", str(ROOT), str(clone))
        if changed := git("-C", str(ROOT), "diff", "--binary", "HEAD"):
            git("-C", str(clone), "apply", said=changed)
        for name in git("-C", str(ROOT), "ls-files", "-z", "--others", "--exclude-standard").decode().split("\0")[:-1]:
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name)
        yield clone


@pytest.fixture(scope="module")
def bare(clone: Path) -> Iterator[Cloud]:
    """A host on which neither libvirt nor Open vSwitch runs, and a newcomer who starts them by following the README."""
    path = os.pathsep.join(each for each in os.environ["PATH"].split(os.pathsep) if not each.startswith(str(ROOT)))
    environment = {"PATH": path, "HOME": os.environ["HOME"]}
    kvm = KVM if KVM.exists() else None
    with Lab(libvirt=True, daemons=False, as_installed=True, way_out=True, kvm=kvm) as lab:
        reader = Reader(directory=clone, guests=True, enter=lab.inside, environment=environment)
        cloud = Cloud(lab, clone, reader)
        cloud.start()
        yield cloud


@pytest.fixture(scope="module")
def cloud(bare: Cloud) -> Cloud:
    """The tutorial followed until its guest has booted and let us in."""
    reader = bare.reader
    reader.follow("Then", "Plugins", page=README)
    reader.follow("Use the ordinary client", "Give the cloud an image", "Define a flavor", "Make a key")
    reader.follow("Say what may come in", "Wire a network", "Start the server", "Give it a public address")
    assert "Cloud-init v. micro finished" in reader.follow("Look at its console")
    assert reader.follow("Log in") == "nebula-web-01"
    reader.follow("Ask why")
    return bare


def test_the_service_started_what_the_host_lacked(cloud: Cloud) -> None:
    log = (cloud.directory / "state/novakit.log").read_text()
    for daemon in ("ovsdb-server", "ovs-vswitchd", "virtlogd", "libvirtd"):
        assert f"started {daemon}" in log


def test_the_private_key_is_its_owners_alone(cloud: Cloud) -> None:
    assert (cloud.directory / "nebula_key.pem").stat().st_mode & 0o777 == 0o600
    assert (cloud.directory / "state/clouds.yaml").stat().st_mode & 0o777 == 0o600


def test_the_guest_knows_who_it_is(cloud: Cloud) -> None:
    told = json.loads(cloud.ssh("wget -qO- http://169.254.169.254/openstack/latest/meta_data.json"))
    assert told["uuid"] == cloud.server()
    assert told["hostname"].startswith("nebula-web-01")


def test_the_image_that_guests_share_stays_roots_and_is_written_by_nobody(cloud: Cloud) -> None:
    [image] = (cloud.directory / "state/agents/images").iterdir()
    assert (image.stat().st_uid, image.stat().st_mode & 0o777) == (0, 0o444)


def test_why_the_host_was_chosen_can_be_read(cloud: Cloud) -> None:
    assert "placed on alpha" in cloud.reader.type("novakit explain $SERVER")


def test_the_web_port_opens_and_closes_while_the_guest_runs(cloud: Cloud) -> None:
    assert cloud.page() == "", "closed before its rule"
    assert "nebula-web-01" in cloud.reader.follow("Open the web port")
    address = cloud.reader.type("echo $ADDRESS")
    held = [
        cloud.lab.popen([sys.executable, "-c", SLOW_REQUEST, address], stdin=-1, stdout=-1, text=True) for _ in range(2)
    ]
    for connection in held:
        assert connection.stdout.readline() == "connected\n"
    assert held[0].communicate("\n", timeout=30)[0].startswith("HTTP/1.1 200"), "a slow request is answered"
    cloud.reader.follow("Close it again")
    until(lambda: cloud.page() == "", "closed again when the rule is gone", 10)
    assert held[1].communicate("\n", timeout=30)[0] == "cut\n", "a live connection is cut too"
    assert cloud.ssh("hostname") == "nebula-web-01", "other rules are as they were"


def test_answers_to_what_the_guest_asks_come_in(cloud: Cloud) -> None:
    (cloud.directory / "site").mkdir()
    (cloud.directory / "site/index.html").write_text("from outside")
    argv = [sys.executable, "-m", "http.server", "--bind", OUTSIDE, "-d", cloud.directory / "site", "8080"]
    web = cloud.lab.popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        up = f"curl -s --retry 20 --retry-connrefused --retry-delay 1 http://{OUTSIDE}:8080/"
        assert cloud.reader.type(up) == "from outside"
        assert cloud.ssh(f"wget -qO- http://{OUTSIDE}:8080/") == "from outside"
    finally:
        web.kill()


def test_neighbours_reach_each_other_as_far_as_the_rules_allow(cloud: Cloud) -> None:
    create = "openstack server create --wait --flavor m1.nebula_micro --image novakit-micro --network nebula_net"
    found = json.loads(cloud.reader.type(f"{create} --security-group web-sg -f json nebula_web_02"))
    (address,) = found["addresses"]["nebula_net"]
    banner = until(lambda: cloud.ssh(f"nc -w 3 {address} 22 </dev/null | head -c 8 || true"), "the neighbour's SSH")
    assert banner == "SSH-2.0-"
    assert cloud.ssh(f"wget -T 3 -qO- http://{address}/ || echo closed") == "closed"
    cloud.reader.type("openstack server delete --wait nebula_web_02")
    assert found["id"] not in cloud.virsh("list", "--all", "--uuid")


def test_the_disk_survives_stop_start_and_both_reboots(cloud: Cloud) -> None:
    boots = [cloud.answers()]
    cloud.ssh("echo kept > /root/kept; sync")
    cloud.reader.follow("Switch it off and on")
    boots.append(cloud.answers())
    for how in ("--soft", "--hard"):
        cloud.reader.type(f"openstack server reboot --wait {how} nebula_web_01")
        boots.append(until(lambda: another(cloud, boots), "the guest has booted again"))
    assert len(set(boots)) == 4
    assert cloud.ssh("cat /root/kept") == "kept"


def another(cloud: Cloud, known: list[str]) -> str:
    boot = cloud.answers()
    return "" if boot in known else boot


def test_a_shelved_guest_frees_its_host_and_comes_back_with_its_disk_and_address(cloud: Cloud) -> None:
    cloud.ssh("echo shelved > /root/kept; sync")
    admin, server = "openstack --os-cloud novakit-admin", cloud.server()
    cloud.reader.type("openstack server shelve --wait nebula_web_01")
    assert cloud.status() == "SHELVED_OFFLOADED"
    assert f"nk-{server}" not in cloud.virsh("list", "--all", "--name")
    assert not list(cloud.directory.glob(f"state/agents/*/virt/instances/{server}"))
    assert json.loads(cloud.reader.type(f"{admin} resource provider allocation show -f json {server}")) == []
    assert "nebula_web_01-shelved" in cloud.reader.type("openstack image list -f value -c Name")
    assert "nothing is orphaned" in cloud.reader.type("novakit audit")
    cloud.reader.type("openstack server unshelve --wait nebula_web_01")
    assert cloud.status() == "ACTIVE"
    cloud.answers()
    assert cloud.ssh("cat /root/kept") == "shelved"
    assert "nebula_web_01-shelved" not in cloud.reader.type("openstack image list -f value -c Name")


def test_a_guest_stopped_behind_our_back_is_noticed(cloud: Cloud) -> None:
    cloud.virsh("destroy", f"nk-{cloud.server()}")
    until(lambda: cloud.status() == "SHUTOFF", "the stop is noticed")
    cloud.reader.type("openstack server start nebula_web_01")
    until(lambda: cloud.status() == "ACTIVE", "it can be started again")
    cloud.answers()


def test_the_guest_runs_on_when_the_service_is_killed(cloud: Cloud) -> None:
    before = cloud.answers()
    cloud.signal("KILL")
    assert cloud.ssh("hostname") == "nebula-web-01", "reachable while nobody serves"
    cloud.start()
    assert cloud.status() == "ACTIVE"
    assert cloud.answers() == before
    cloud.reader.follow("Open the web port", "Close it again")


def test_nothing_is_left_after_all_is_deleted_and_the_service_ends_well(cloud: Cloud) -> None:
    lab, server = cloud.lab, cloud.server()
    (mac,) = re.findall(r"mac address='(\S+)'", cloud.virsh("dumpxml", f"nk-{server}"))
    assert mac in lab.run(["ovs-ofctl", "dump-flows", "br-int"]).stdout
    assert list(cloud.directory.glob("state/agents/*/virt/instances/*"))
    assert "nothing is orphaned" in cloud.reader.type("novakit audit")
    assert "nothing is orphaned" in cloud.reader.follow("Clean up")
    assert cloud.virsh("list", "--all", "--name") == ""
    assert not re.findall(r"\b(?:nkt|nd-|qr-|qg-)\S+", lab.run(["ip", "-o", "link"]).stdout)
    assert mac not in lab.run(["ovs-ofctl", "dump-flows", "br-int"]).stdout
    until(lambda: lab.run(["ip", "netns"]).stdout == "", "the namespaces of network and router are gone", 30)
    assert not re.findall(r"qemu-system|dnsmasq", lab.run(["ps", "-eo", "comm"]).stdout)
    assert not list(cloud.directory.glob("state/agents/*/virt/instances/*"))
    admin = "openstack --os-cloud novakit-admin"
    assert json.loads(cloud.reader.type(f"{admin} resource provider allocation show -f json {server}")) == []
    assert cloud.reader.type(f"{admin} port list -f value") == ""
    assert cloud.signal("TERM") == 0
