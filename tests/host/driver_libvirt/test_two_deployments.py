"""Two deployments on one libvirt: neither sees, adopts or destroys a guest of the other, whatever one of them lost."""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from hostlab import Lab, missing
from libvirt_cloud import PROGRAMS, REPORT_EVERY, Cloud, until

pytestmark = [
    pytest.mark.host,
    pytest.mark.slow,
    pytest.mark.skipif(missing(libvirt=True) is not None, reason=str(missing(libvirt=True))),
]


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(libvirt=True) as lab:
        yield lab


@pytest.fixture
def place() -> Iterator[Path]:
    """Make a directory for state that libvirt's own user gets into, whoever else runs tests."""
    place = Path(tempfile.mkdtemp(prefix="novakit-state-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


def begun(lab: Lab, state: Path, number: int = 0, network: str = "simulated", options: str = "") -> Cloud:
    cloud = Cloud(lab, state, network=network, listen=f"127.0.0.1:{8774 + number}")
    cloud.configure(host=f"host-{number}", more=options)
    cloud.start()
    return cloud


def guest(cloud: Cloud, micro: Any, *networks: str) -> str:
    """Make a server on these networks and wait until its guest runs."""
    cloud.openstack(f"image create --disk-format qcow2 --container-format bare --file {micro.image} micro")
    image = cloud.api("GET", "image/v2/images?name=micro")["images"][0]["id"]
    asked = {
        "name": cloud.state.name,
        "flavorRef": "1",
        "imageRef": image,
        "networks": [{"uuid": each} for each in networks],
    }
    id = str(cloud.api("POST", "compute/v2.1/servers", {"server": asked})["server"]["id"])
    until(lambda: cloud.server(id, "ACTIVE"), "the server is built")
    return id


def domains(lab: Lab) -> set[str]:
    """Give the ids of the servers that libvirt runs a domain of."""
    listed = lab.run(["virsh", "-q", "list", "--uuid", "--state-running"]).stdout.split()
    return set(listed)


def strangers(cloud: Cloud) -> list[str]:
    argv = [PROGRAMS / "novakit", "guest", "list", "--format", "json", "--state", cloud.state]
    done = cloud.lab.run(argv, check=False)
    found = [each["id"] for each in json.loads(done.stdout)["guests"]]
    assert done.returncode == bool(found), done.stderr
    return found


def test_two_deployments_share_a_libvirt_and_leave_each_others_guests_alone(lab: Lab, micro: Any, place: Path) -> None:
    one, two = begun(lab, place / "one"), begun(lab, place / "two", 1)
    mine, others = guest(one, micro), guest(two, micro)
    time.sleep(2 * REPORT_EVERY)
    assert domains(lab) == {mine, others}
    assert strangers(one) == strangers(two) == [] and one.audit() == two.audit() == []

    one.stop()
    for file in one.state.glob("novakit.db*"):
        file.unlink()
    one.start()
    until(lambda: strangers(one) == [mine], "the guest is told of")
    time.sleep(2 * REPORT_EVERY)
    assert domains(lab) == {mine, others} and strangers(one) == [mine]
    for words in (("adopt", others, "--project", "demo"), ("remove", others, "--yes")):
        assert "No host has a guest" in one.novakit("guest", *words, code=1)
    assert "adopted" in one.novakit("guest", "adopt", mine, "--project", "demo")
    one.api("DELETE", f"compute/v2.1/servers/{mine}")
    until(lambda: domains(lab) == {others}, "the guest of the one is gone")
    time.sleep(REPORT_EVERY)
    assert domains(lab) == {others} and two.server(others, "ACTIVE") and two.audit() == []


def test_a_mistyped_state_directory_unplugs_nobody(lab: Lab, micro: Any, place: Path) -> None:
    cloud = begun(lab, place / "state", network="ovs")
    network = cloud.api("POST", "network/v2.0/networks", {"network": {"name": "n"}})["network"]["id"]
    subnet = {"network_id": network, "ip_version": 4, "cidr": "10.0.0.0/24"}
    cloud.api("POST", "network/v2.0/subnets", {"subnet": subnet})
    guest(cloud, micro, network)
    cloud.stop()
    plugged = lab.run(["ovs-vsctl", "list-ports", "br-int"]).stdout
    flows = lab.run(["ovs-ofctl", "dump-flows", "br-int", "--no-stats"]).stdout
    assert "nkt" in plugged

    argv = [PROGRAMS / "novakit", "serve", "--state", place / "stat", "--listen", "127.0.0.1:8775"]
    done = lab.run([*argv, "--driver", "simulated", "--network", "ovs"], check=False)
    assert done.returncode == 2, done.stderr
    assert f"the bridge br-int belongs to another novakit on this machine, whose state is in {place}" in done.stderr
    assert lab.run(["ovs-vsctl", "list-ports", "br-int"]).stdout == plugged
    assert lab.run(["ovs-ofctl", "dump-flows", "br-int", "--no-stats"]).stdout == flows


def test_a_guest_outlives_the_whole_state_directory_and_goes_by_word_alone(lab: Lab, micro: Any, place: Path) -> None:
    cloud = begun(lab, place / "state")
    id = guest(cloud, micro)
    process = cloud.domain()
    cloud.stop()
    agents = shutil.move(cloud.state / "agents", place / "agents")
    shutil.rmtree(cloud.state)
    cloud.configure(host="host-0")
    shutil.move(agents, cloud.state / "agents")

    cloud.start()
    until(lambda: cloud.audit() == ["host"], "the host refuses another deployment than its own")
    time.sleep(2 * REPORT_EVERY)
    assert cloud.domain() == process and cloud.audit() == ["host"]
    cloud.stop()
    (cloud.state / "agents/host-0/deployment").unlink()
    cloud.start()
    until(lambda: "guest" in cloud.audit(), "the guest is told of")
    assert strangers(cloud) == [id] and cloud.domain() == process
    assert "adopted" in cloud.novakit("guest", "adopt", id, "--project", "demo")
    assert cloud.server(id, "ACTIVE") and cloud.domain() == process and cloud.audit() == []

    cloud.stop()
    shutil.rmtree(cloud.state)
    cloud.configure(host="host-0")
    cloud.start()
    until(lambda: "guest" in cloud.audit(), "the guest without a disk and a note is told of")
    assert cloud.domain() == process
    assert "keeps no note" in cloud.novakit("guest", "adopt", id, "--project", "demo", code=1)
    time.sleep(2 * REPORT_EVERY)
    assert cloud.domain() == process
    cloud.novakit("guest", "remove", id, "--yes")
    assert cloud.domain() == "" and cloud.audit() == []


def test_a_guest_outlives_the_directory_of_its_agent(lab: Lab, micro: Any, place: Path) -> None:
    cloud = begun(lab, place / "state")
    id = guest(cloud, micro)
    process = cloud.domain()
    cloud.stop()
    shutil.rmtree(cloud.state / "agents")
    cloud.start()
    time.sleep(4 * REPORT_EVERY)
    assert cloud.domain() == process and cloud.server(id, "ACTIVE") and strangers(cloud) == []
    assert cloud.audit() == []
    cloud.api("DELETE", f"compute/v2.1/servers/{id}")
    until(lambda: not domains(lab), "the guest is gone")
    assert cloud.audit() == []


def pids(lab: Lab) -> set[str]:
    """Give the processes that run domains."""
    return set(lab.run(["bash", "-c", "pgrep -f '[q]emu-system.*guest=' || true"]).stdout.split())


def wires(lab: Lab, bridge: str) -> set[str]:
    return set(lab.run(["ovs-vsctl", "list-ports", bridge]).stdout.split())


def test_two_deployments_with_networks_are_killed_and_each_removes_its_own_alone(
    lab: Lab, micro: Any, place: Path
) -> None:
    clouds, guests, networks = [], [], []
    for number, name in enumerate(("one", "two")):
        options = f'[networks.ovs]\nintegration_bridge = "br-{name}"\nexternal_address = false\n'
        options += "sees_all_processes = true\n"  # a lab has Open vSwitch, and a PID namespace, of its own
        options += f'[networks.ovs.bridge_mappings]\npublic = "ex-{name}"\n'
        cloud = begun(lab, place / name, number, network="ovs", options=options)
        network = cloud.api("POST", "network/v2.0/networks", {"network": {"name": "n"}})["network"]["id"]
        subnet = {"network_id": network, "ip_version": 4, "cidr": "10.0.0.0/24"}
        cloud.api("POST", "network/v2.0/subnets", {"subnet": subnet})
        clouds.append(cloud)
        networks.append(network)
        guests.append(guest(cloud, micro, network))
    one, two = clouds
    processes, plugged = pids(lab), [wires(lab, "br-one"), wires(lab, "br-two")]
    assert len(processes) == 2 and domains(lab) == {*guests}
    for cloud in clouds:
        cloud.kill()
        cloud.start()
    time.sleep(2 * REPORT_EVERY)
    assert pids(lab) == processes and [wires(lab, "br-one"), wires(lab, "br-two")] == plugged
    assert one.audit() == two.audit() == []

    two.kill()
    shutil.rmtree(two.state)
    lab.run(["virsh", "destroy", guests[1]])
    lab.run(["virsh", "undefine", guests[1], "--nvram"], check=False)
    told = json.loads(one.novakit("host", "strangers", "--format", "json", code=1))["strangers"]
    owner = str(two.state / "agents" / "host-1" / "network")
    assert {each["owner"] for each in told} == {owner}
    assert {each["kind"] for each in told} == {"bridge", "bridge-port", "tap", "namespace", "process"}
    assert "removed" in one.novakit("host", "remove", owner, "--yes")
    assert one.audit() == [] and wires(lab, "br-one") == plugged[0]
    assert set(lab.run(["ovs-vsctl", "list-br"]).stdout.split()) == {"br-one", "ex-one", "ex-two"}
    assert lab.run(["ip", "netns", "list"]).stdout.split()[0] == f"nkd-{networks[0]}"
    assert domains(lab) == {guests[0]} and one.server(guests[0], "ACTIVE")
