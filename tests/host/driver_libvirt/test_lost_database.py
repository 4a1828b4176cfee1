"""A real guest whose database is lost: it runs on and answers, is adopted, and is a server like any other."""

import json
import sys
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
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    for above in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        above.chmod(0o755)
    with Lab(libvirt=True) as lab:
        cloud = Cloud(lab, tmp_path / "state")
        cloud.configure()
        cloud.start()
        yield cloud


def float_to(cloud: Cloud, guest: str, network: str) -> str:
    """Give a guest a floating IP behind a router of its network; return the address."""
    [public] = cloud.api("GET", "network/v2.0/networks?router:external=true")["networks"]
    wanted = {"name": "r", "external_gateway_info": {"network_id": public["id"]}}
    router = cloud.api("POST", "network/v2.0/routers", {"router": wanted})["router"]["id"]
    [subnet] = cloud.api("GET", f"network/v2.0/subnets?network_id={network}")["subnets"]
    cloud.api("PUT", f"network/v2.0/routers/{router}/add_router_interface", {"subnet_id": subnet["id"]})
    [port] = cloud.api("GET", f"network/v2.0/ports?device_id={guest}")["ports"]
    asked = {"floating_network_id": public["id"], "port_id": port["id"]}
    made = cloud.api("POST", "network/v2.0/floatingips", {"floatingip": asked})["floatingip"]
    return str(made["floating_ip_address"])


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
    floating = float_to(cloud, guest, network)
    [notes] = cloud.state.glob("agents/*/guests")
    until(lambda: floating in (notes / "networks.json").read_text(), "its host notes the floating IP")
    process = cloud.domain()
    cloud.stop()
    for file in cloud.state.glob("novakit.db*"):
        file.unlink()

    assert "The database was empty" in cloud.start()
    until(lambda: "guest" in cloud.audit(), "the guest is told of")
    time.sleep(2 * REPORT_EVERY)
    assert cloud.domain() == process and cloud.answers(network, address)
    [stranger] = json.loads(cloud.novakit("guest", "list", "--format", "json", code=1))["guests"]
    assert (stranger["id"], stranger["name"], stranger["power"]) == (guest, "g", "running")
    assert stranger["held"]["MEMORY_MB"] == 512
    assert sorted(cloud.audit()) == ["guest", "image file"]
    plugins = json.loads(cloud.novakit("plugin", "list", "--format", "json"))
    assert {each["state"] for each in plugins if (each["group"], each["name"]) == ("drivers", "libvirt")} == {"active"}
    doctor = cloud.lab.run([PROGRAMS / "novakit", "doctor", "--state", cloud.state], check=False).stdout
    assert "without a server in the database: g on alpha" in " ".join(doctor.split())

    assert "not in this database" in cloud.novakit("guest", "adopt", guest, code=1)
    assert "adopted" in cloud.novakit("guest", "adopt", guest, "--project", "demo")
    time.sleep(2 * REPORT_EVERY)
    shown = cloud.server(guest, "ACTIVE")
    assert (shown["name"], shown["addresses"]["n"][0]["addr"]) == ("g", address)
    assert cloud.domain() == process
    actions = cloud.api("GET", f"compute/v2.1/servers/{guest}/os-instance-actions")["instanceActions"]
    assert [each["action"] for each in actions] == ["adopt"]
    assert floating in {each["addr"] for each in shown["addresses"]["n"]}, "its floating IP is back"
    assert cloud.answers(network, address), "its rules are back"
    assert f"adopted as image {image}" in cloud.novakit("image", "adopt", "--all", "--project", "demo")
    assert cloud.audit() == []
    cloud.api("POST", f"compute/v2.1/servers/{guest}/action", {"os-stop": None})
    until(lambda: cloud.server(guest, "SHUTOFF"), "the server stops")
    cloud.api("POST", f"compute/v2.1/servers/{guest}/action", {"os-start": None})
    until(lambda: cloud.answers(network, address), "the guest answers after a power cycle")
    cloud.api("DELETE", f"compute/v2.1/servers/{guest}")
    until(lambda: not cloud.api("GET", "compute/v2.1/servers")["servers"], "the server is deleted")
    assert cloud.domain() == "" and not list(cloud.state.glob(f"agents/*/virt/instances/{guest}"))
    assert cloud.audit() == []
