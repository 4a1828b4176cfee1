"""The whole service over plain QEMU and Open vSwitch: a guest that is reached from outside and outlives the service."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from novakit_driver_qemu.examination import missing as missing_packages

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2] / "e2e"))
from hostlab import Lab, missing
from tutorial import Reader

pytestmark = [
    pytest.mark.host,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing() or missing_packages()), reason=f"{missing()} {missing_packages()}"),
]
WITHIN = 120.0
T = TypeVar("T")
BIN = Path(sys.executable).parent
SSH = "ssh -i nebula_key.pem -o UserKnownHostsFile=nebula_hosts -o ConnectTimeout=5 -o BatchMode=yes root@$ADDRESS"


def until(look: Callable[[], T], what: str) -> T:
    end = time.monotonic() + WITHIN
    while not (seen := look()):
        assert time.monotonic() < end, f"{what}: not within {WITHIN:g} s"
        time.sleep(0.1)
    return seen


def serve(lab: Lab, directory: Path) -> "subprocess.Popen[Any]":
    printed = directory / "serve.out"
    argv = [BIN / "novakit", "serve", "--state", directory / "state", "--driver", "qemu", "--network", "ovs"]
    with printed.open("w") as out:
        process = lab.popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def ready() -> bool:
        assert process.poll() is None, printed.read_text()
        return "novakit ready" in printed.read_text()

    until(ready, "novakit serve is ready")
    return process


def qemus(lab: Lab) -> list[str]:
    return re.findall(r"(\d+) qemu-system", lab.run(["ps", "-eo", "pid,comm"]).stdout)


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


def test_a_guest_on_plain_qemu_answers_ssh_and_outlives_a_killed_service(lab: Lab, micro: Any, tmp_path: Path) -> None:
    micro.seed(tmp_path / "state")
    reader = Reader(directory=tmp_path, guests=True, enter=lab.inside)
    process = serve(lab, tmp_path)
    reader.follow("Use the ordinary client", "Give the cloud an image", "Define a flavor", "Make a key")
    reader.follow("Say what may come in", "Wire a network", "Start the server", "Give it a public address")
    assert "Cloud-init v. micro finished" in reader.follow("Look at its console")
    assert reader.follow("Log in") == "nebula-web-01"
    [before] = qemus(lab)

    lab.run(["kill", "-KILL", (tmp_path / "state/conductor.lock").read_text()])
    process.wait(WITHIN)
    assert reader.type(f"{SSH} hostname") == "nebula-web-01", "reachable while nobody serves"
    process = serve(lab, tmp_path)
    assert qemus(lab) == [before]

    show = "openstack server show -f value -c status nebula_web_01"
    reader.type(f"{SSH} poweroff || true")
    until(lambda: reader.type(show) == "SHUTOFF", "a guest that switched itself off is noticed")
    reader.type("openstack server delete --wait nebula_web_01")
    assert not qemus(lab)
    assert not list(tmp_path.glob("state/agents/*/virt/instances/*"))
    lab.run(["kill", "-TERM", (tmp_path / "state/conductor.lock").read_text()])
    assert process.wait(WITHIN) == 0
