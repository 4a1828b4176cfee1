import base64

import attrs
import orjson
import pytest

from novakit.compute import guest_metadata
from novakit.network import Fixed, PortInfo
from novakit_hookspecs.networks import Subnet

ID = "0b3cf1a2-1111-4222-8333-444455556666"
SUBNET = Subnet(id=ID, cidr="10.0.0.0/24", gateway_ip="10.0.0.1", dns_servers=["9.9.9.9"])


@pytest.fixture
def server():
    return {
        "id": ID, "number": 5, "name": 'a "name"', "hostname": "a-name", "launch_index": 0, "project_id": "p",
        "availability_zone": "nova", "metadata": {"k": "v"}, "key_name": "mine", "public_key": "ssh-ed25519 AAAA me",
        "user_data": base64.b64encode(b"#!/bin/sh\n\xff").decode(), "image_properties": {},
        "flavor": {"name": "m1.tiny", "vcpus": 4, "ram": 512},
        "reservation_id": "r-1", "root_device_name": "/dev/vda",
    }  # fmt: skip


@pytest.fixture
def ports():
    port = PortInfo(
        id=ID, server_id=ID, project_id="p", network_id=ID, network_name="n", mac="fa:16:3e:00:00:01", mtu=1450,
        addresses=(Fixed(ip="10.0.0.7", subnet=SUBNET, floating_ips=("172.24.4.9",)),),
        security_groups=((ID, "web"), (ID, "default")), status="ACTIVE", fault=None, host="h", tag=None, made=True,
    )  # fmt: skip
    return [port]


def test_the_openstack_tree_is_walked_from_its_root(server, ports):
    assert b"latest" in guest_metadata.answer("/openstack", server, ports).splitlines()
    names = guest_metadata.answer("/openstack/latest", server, ports).decode().splitlines()
    assert {"meta_data.json", "network_data.json", "user_data", "vendor_data.json"} <= set(names)
    document = orjson.loads(guest_metadata.answer("/openstack/latest/meta_data.json", server, ports))
    assert document["uuid"] == ID and document["hostname"] == "a-name.novalocal"
    assert document["public_keys"] == {"mine": "ssh-ed25519 AAAA me"} and document["meta"] == {"k": "v"}
    assert guest_metadata.answer("/openstack/2018-08-27/user_data", server, ports) == b"#!/bin/sh\n\xff"


def test_the_type_of_a_link_is_what_its_hosts_network_driver_says(server, ports):
    wired = [attrs.evolve(port, vif_type="bridge") for port in ports]
    document = orjson.loads(guest_metadata.answer("/openstack/latest/network_data.json", server, wired))
    assert [link["type"] for link in document["links"]] == ["bridge"]


def test_the_network_document_names_card_address_and_resolver(server, ports):
    document = orjson.loads(guest_metadata.answer("/openstack/latest/network_data.json", server, ports))
    assert document["links"][0]["ethernet_mac_address"] == "fa:16:3e:00:00:01"
    assert document["links"][0]["type"] == "tap"
    assert document["networks"][0]["type"] == "ipv4_dhcp"
    assert document["services"] == [{"type": "dns", "address": "9.9.9.9"}]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/latest/meta-data/local-ipv4", b"10.0.0.7"),
        ("/latest/meta-data/public-ipv4", b"172.24.4.9"),
        ("/latest/meta-data/instance-id", b"i-00000005"),
        ("/2009-04-04/meta-data/public-keys/", b"0=mine"),
        ("/latest/meta-data/public-keys/0/openssh-key", b"ssh-ed25519 AAAA me"),
        ("/latest/meta-data/placement/availability-zone", b"nova"),
        ("/latest/meta-data/security-groups", b"default\nweb"),
        ("/latest/user-data", b"#!/bin/sh\n\xff"),
        ("/latest", b"meta-data/\nuser-data"),
    ],
)
def test_the_ec2_tree_says(server, ports, path, says):
    assert guest_metadata.answer(path, server, ports) == says


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/openstack/1999-01-01",
        "/openstack/latest/../secrets",
        "/latest/meta-data/ami-id/deeper",
        "/latest/x",
    ],
)
def test_where_there_is_nothing_there_is_none(server, ports, path):
    assert guest_metadata.answer(path, server, ports) is None


def test_a_config_drive_has_the_same_files(server, ports):
    files = guest_metadata.config_drive(server, ports)
    assert files["openstack/latest/user_data"] == b"#!/bin/sh\n\xff"
    assert orjson.loads(files["openstack/latest/meta_data.json"])["uuid"] == ID


def test_without_dhcp_the_network_document_says_all_that_dhcp_would_have_said(server, ports):
    subnet = attrs.evolve(SUBNET, dhcp=False, host_routes=(("10.9.0.0/16", "10.0.0.9"),))
    static = attrs.evolve(ports[0], addresses=(Fixed(ip="10.0.0.7", subnet=subnet),))
    document = orjson.loads(guest_metadata.answer("/openstack/latest/network_data.json", server, [static]))
    assert document["networks"] == [
        {
            "id": "network0",
            "link": document["links"][0]["id"],
            "network_id": ID,
            "type": "ipv4",
            "ip_address": "10.0.0.7",
            "netmask": "255.255.255.0",
            "routes": [
                {"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "10.0.0.1"},
                {"network": "10.9.0.0", "netmask": "255.255.0.0", "gateway": "10.0.0.9"},
            ],
            "services": [{"type": "dns", "address": "9.9.9.9"}],
        }
    ]
    alone = attrs.evolve(static, addresses=(Fixed(ip="10.0.0.7", subnet=attrs.evolve(subnet, gateway_ip=None)),))
    document = orjson.loads(guest_metadata.answer("/openstack/latest/network_data.json", server, [alone]))
    assert [route["gateway"] for route in document["networks"][0]["routes"]] == ["10.0.0.9"]


def test_the_guest_is_told_the_tags_of_its_nics(server, ports):
    tagged = [attrs.evolve(ports[0], tag="uplink"), attrs.evolve(ports[0], mac="fa:16:3e:00:00:02")]
    document = orjson.loads(guest_metadata.answer("/openstack/latest/meta_data.json", server, tagged))
    assert [(one["type"], one["mac"], one["tags"]) for one in document["devices"]] == [
        ("nic", "fa:16:3e:00:00:01", ["uplink"])
    ]


def test_a_password_is_told_by_the_config_drive_and_by_nothing_else(server, ports):
    drive = guest_metadata.config_drive(server, ports, admin_pass="correct horse")
    document = orjson.loads(drive["openstack/latest/meta_data.json"])
    assert document["admin_pass"] == "correct horse"
    assert b"admin_pass" not in guest_metadata.config_drive(server, ports)["openstack/latest/meta_data.json"]
    assert b"admin_pass" not in guest_metadata.answer("/openstack/latest/meta_data.json", server, ports)


@pytest.mark.parametrize(
    ("specs", "properties", "dedicated"),
    [
        ({}, {}, []),
        ({"hw:cpu_policy": "shared", "hw:numa_nodes": "2"}, {}, []),
        ({"hw:cpu_policy": "dedicated", "hw:numa_nodes": "2"}, {}, [0, 1, 2, 3]),
        ({"resources:PCPU": "4"}, {}, [0, 1, 2, 3]),
        ({"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "^0-1"}, {}, [2, 3]),
        ({}, {"hw_cpu_policy": "dedicated"}, [0, 1, 2, 3]),
    ],
)
def test_a_guest_is_told_which_of_its_cpus_are_its_own(server, specs, properties, dedicated):
    server |= {"flavor": {**server["flavor"], "extra_specs": specs}, "image_properties": properties}
    document = orjson.loads(guest_metadata.answer("/openstack/latest/meta_data.json", server, []))
    assert document["dedicated_cpus"] == dedicated
