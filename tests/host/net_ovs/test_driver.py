"""Runs the packet suites over the Open vSwitch driver, in a lab."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from hostlab import Lab, missing

pytestmark = [
    pytest.mark.host,
    pytest.mark.slow,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]
HERE = Path(__file__).parent
ROOT = HERE.parents[2]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


def in_lab(lab: Lab, choice: str) -> str:
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--rootdir", ROOT, "-k", choice]
    done = lab.run([*argv, HERE / "inside_lab.py"], check=False, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_conformance_and_packet_suites_hold(lab: Lab) -> None:
    assert " passed" in in_lab(lab, "TestOpenVSwitch")


def test_the_host_is_left_and_mended_as_promised(lab: Lab) -> None:
    assert " passed" in in_lab(lab, "TestHost")


PREPARE = """
import asyncio, sys
from novakit_hookspecs.hosts import HostContext
from novakit_net_ovs import OvsNetworks

async def prepare():
    driver = OvsNetworks(None, HostContext(host="bare", state_dir="/run"))
    for _ in range(2):
        print(*await driver.prepare_host(), sep="; ")
    await driver.open()
    await driver.close()

asyncio.run(prepare())
"""


def test_missing_daemons_are_started_and_running_ones_left_alone() -> None:
    with Lab("bare", 8, openvswitch=False) as bare:
        started = bare.run([sys.executable, "-c", PREPARE]).stdout.splitlines()
        bare.run(["sh", "-c", "kill -9 $(cat /run/openvswitch/ovs-vswitchd.pid)"])
        restarted = bare.run([sys.executable, "-c", PREPARE]).stdout.splitlines()
        bridges = bare.run(["ovs-vsctl", "list-br"]).stdout.split()
    assert started == ["started ovsdb-server; started ovs-vswitchd", ""]
    assert restarted == ["started ovs-vswitchd", ""], "the database that answers is left alone"
    assert bridges == ["br-ex", "br-int"]
