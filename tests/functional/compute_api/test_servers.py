import base64
import json
import uuid
from pathlib import Path

import pytest

from novakit import world
from novakit.store import operations
from novakit.store.compute import hosts

SAMPLES = Path(__file__).parent / "samples"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoK me"
VERSIONS = [
    "2.1",
    "2.3",
    "2.9",
    "2.16",
    "2.19",
    "2.26",
    "2.47",
    "2.63",
    "2.71",
    "2.73",
    "2.75",
    "2.90",
    "2.96",
    "2.98",
    "2.100",
]
SAMPLE = json.loads((SAMPLES / "server-keys.json").read_text())


def keys(kind, caller, version):
    """Add up what the sample file says was added and removed up to a version."""
    have = set()
    for since, change in SAMPLE[kind].items():
        if tuple(map(int, since.split("."))) <= tuple(map(int, version.split("."))):
            have |= set(change["added"])
            if caller == "admin":
                have |= set(change.get("added_for_admins", ()))
    return have


@pytest.fixture
async def active(boot, become, host):
    async def call(**more):
        server_id = await boot(**more)
        await become(
            server_id,
            vm_state="active",
            task_state=None,
            power_state=1,
            host=host,
            node="alpha",
            launched_at=world.now(),
        )
        return server_id

    return call


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("caller", ["ann", "admin"])
async def test_a_server_has_exactly_the_keys_of_its_version(api, active, version, caller):
    server_id = await active()
    shown = (await api("GET", f"/v2.1/servers/{server_id}", as_=caller, version=version)).body["server"]
    assert set(shown) == keys("show", caller, version)
    everybody = "?all_tenants=1" if caller == "admin" else ""
    listed = await api("GET", f"/v2.1/servers/detail{everybody}", as_=caller, version=version)
    assert set(listed.body["servers"][0]) == keys("show", caller, version) - {"server_groups"}
    changed = await api("PUT", f"/v2.1/servers/{server_id}", {"server": {"name": "new"}}, as_=caller, version=version)
    whole = VERSIONS.index(version) >= VERSIONS.index("2.75")
    assert set(changed.body["server"]) == keys("show" if whole else "update", caller, version)
    assert changed.body["server"]["name"] == "new"
    brief = await api("GET", "/v2.1/servers", version=version)
    assert [set(each) for each in brief.body["servers"]] == [{"id", "name", "links"}]


async def test_an_active_server_says_where_and_what_it_is(api, active, image_id):
    server_id = await active(hints={"custom": "x"})
    old = (await api("GET", f"/v2.1/servers/{server_id}", as_="admin", version="2.46")).body["server"]
    assert old["flavor"]["id"] == "1" and old["flavor"]["links"][0]["rel"] == "bookmark"
    new = (await api("GET", f"/v2.1/servers/{server_id}", as_="admin", version="2.100")).body["server"]
    assert new["flavor"] == {
        "vcpus": 1,
        "ram": 512,
        "disk": 1,
        "ephemeral": 0,
        "swap": 0,
        "original_name": "m1.tiny",
        "extra_specs": {"hw:cpu_policy": "shared"},
    }
    assert new["image"]["id"] == image_id and new["image"]["properties"] == {"hw_disk_bus": "virtio"}
    assert (new["status"], new["host_status"], new["scheduler_hints"]) == ("ACTIVE", "UP", {"custom": "x"})
    assert new["OS-EXT-STS:power_state"] == 1 and len(new["hostId"]) == 56 and new["OS-EXT-AZ:availability_zone"] == ""
    assert new["OS-SRV-USG:launched_at"][10] == "T" and "Z" not in new["OS-SRV-USG:launched_at"]
    assert new["created"].endswith("Z") and new["config_drive"] == "" and new["key_name"] is None


@pytest.mark.parametrize(
    ("vm_state", "task_state", "status"),
    [
        ("building", "spawning", "BUILD"),
        ("active", "rebooting", "REBOOT"),
        ("active", "rebooting_hard", "HARD_REBOOT"),
        ("active", "powering-off", "ACTIVE"),
        ("stopped", None, "SHUTOFF"),
        ("error", None, "ERROR"),
        ("resized", None, "VERIFY_RESIZE"),
        ("shelved_offloaded", None, "SHELVED_OFFLOADED"),
        ("nonsense", None, "UNKNOWN"),
    ],
)
async def test_status_follows_the_two_states(api, boot, become, vm_state, task_state, status):
    server_id = await boot()
    await become(server_id, vm_state=vm_state, task_state=task_state)
    assert (await api("GET", f"/v2.1/servers/{server_id}")).body["server"]["status"] == status


async def test_a_fault_is_shown_with_details_to_admins_alone(api, boot, become):
    server_id = await boot()
    fault = {"code": 500, "message": "No valid host", "details": "RamFilter", "created": "2030-01-01T00:00:00Z"}
    await become(server_id, vm_state="error", task_state=None, fault=fault)
    seen = (await api("GET", f"/v2.1/servers/{server_id}")).body["server"]["fault"]
    assert seen == {name: fault[name] for name in ("code", "message", "created")}
    assert (await api("GET", f"/v2.1/servers/{server_id}", as_="admin")).body["server"]["fault"] == fault


async def test_the_answer_to_a_create_is_small_and_points_to_the_server(api, store, image_id, flavor_id):
    body = {"server": {"name": "web", "imageRef": image_id, "flavorRef": flavor_id}}
    answer = await api("POST", "/v2.1/servers", body)
    assert answer.status == 202
    assert set(answer.body["server"]) == {"id", "links", "OS-DCF:diskConfig", "security_groups", "adminPass"}
    assert answer.headers["Location"] == answer.body["server"]["links"][0]["href"]
    async with store.read() as session:
        waiting = await operations.unfinished(session)
    assert [row["kind"] for row in waiting] == ["create"]


async def test_several_servers_share_a_reservation(api, image_id, flavor_id):
    count = {"max_count": "3", "min_count": 2, "return_reservation_id": True}
    body = {"server": {"name": "web", "imageRef": image_id, "flavorRef": flavor_id, **count}}
    answer = await api("POST", "/v2.1/servers", body)
    assert set(answer.body) == {"reservation_id"}
    found = await api("GET", f"/v2.1/servers?reservation_id={answer.body['reservation_id']}")
    assert sorted(each["name"] for each in found.body["servers"]) == ["web-1", "web-2", "web-3"]


@pytest.mark.parametrize(
    ("change", "version", "status"),
    [
        ({"name": "x" * 256}, "2.1", 400),
        ({"name": ""}, "2.1", 400),
        ({"name": "a\x00b"}, "2.1", 400),
        ({"name": 5}, "2.1", 400),
        ({"flavorRef": "none-such"}, "2.1", 400),
        ({"imageRef": "70a599e0-31e7-49b7-b260-868f441e862b"}, "2.1", 400),
        ({"imageRef": "not-an-id"}, "2.1", 400),
        ({"imageRef": ""}, "2.1", 400),
        ({"key_name": "none-such"}, "2.1", 400),
        ({"user_data": "!!!"}, "2.1", 400),
        ({"user_data": base64.b64encode(b"x" * 60000).decode()}, "2.1", 400),
        ({"metadata": {"k/k": "v"}}, "2.1", 400),
        ({"metadata": {"k": "v" * 256}}, "2.1", 400),
        ({"metadata": {f"k{n}": "v" for n in range(129)}}, "2.1", 403),
        ({"description": "x"}, "2.18", 400),
        ({"tags": ["a"]}, "2.51", 400),
        ({"tags": ["a,b"], "networks": "none"}, "2.52", 400),
        ({"tags": [f"t{n}" for n in range(51)], "networks": "none"}, "2.52", 400),
        ({"networks": "auto"}, "2.36", 400),
        ({}, "2.37", 400),
        ({"networks": "some"}, "2.37", 400),
        ({"networks": [{"uuid": "not-an-id"}]}, "2.37", 400),
        ({"networks": [{"uuid": "70a599e0-31e7-49b7-b260-868f441e862b"}]}, "2.37", 400),
        ({"networks": [{"port": "70a599e0-31e7-49b7-b260-868f441e862b", "fixed_ip": "10.0.0.1"}]}, "2.37", 400),
        ({"hostname": "web", "networks": "none"}, "2.89", 400),
        ({"hostname": "web_1", "networks": "none"}, "2.90", 400),
        ({"hostname": "web.example.org", "networks": "none"}, "2.93", 400),
        ({"hostname": "web.example.org", "networks": "none"}, "2.94", 202),
        ({"hostname": "web", "max_count": 2, "networks": "none"}, "2.94", 400),
        ({"min_count": 3, "max_count": 2}, "2.1", 400),
        ({"min_count": 0}, "2.1", 400),
        ({"max_count": "many"}, "2.1", 400),
        ({"max_count": 1000000, "min_count": 1000000}, "2.1", 403),
        ({"availability_zone": "mars"}, "2.1", 400),
        ({"availability_zone": "nova"}, "2.1", 202),
        ({"availability_zone": "nova:alpha"}, "2.1", 403),
        ({"availability_zone": "a:b:c:d"}, "2.1", 400),
        ({"host": "alpha", "networks": "none"}, "2.74", 403),
        ({"host": "alpha", "networks": "none"}, "2.73", 400),
        ({"adminPass": "secret"}, "2.1", 202),
        ({"adminPass": 7}, "2.1", 400),
        ({"personality": [{"path": "/a", "contents": "YQ=="}]}, "2.1", 400),
        ({"personality": [], "networks": "none"}, "2.57", 400),
        ({"trusted_image_certificates": ["a"], "networks": "none"}, "2.63", 400),
        ({"block_device_mapping_v2": [{"source_type": "volume", "uuid": "x", "boot_index": 0}]}, "2.1", 400),
        ({"security_groups": [{"name": "none-such"}]}, "2.1", 400),
        ({"unknown": True}, "2.1", 400),
    ],
)
async def test_creates_follow_the_rules_of_their_version(api, image_id, flavor_id, change, version, status):
    body = {"server": {"name": "web", "imageRef": image_id, "flavorRef": flavor_id, **change}}
    answer = await api("POST", "/v2.1/servers", body, version=version)
    assert answer.status == status, answer.body
    made = (await api("GET", "/v2.1/servers")).body["servers"]
    assert len(made) == (status == 202)
    if status != 202:
        (fault,) = answer.body.values()
        assert fault["code"] == status and fault["message"]


async def test_a_mapping_that_only_names_the_image_is_taken(api, image_id, flavor_id):
    disk = {"boot_index": 0, "uuid": image_id, "source_type": "image", "destination_type": "local"}
    body = {"server": {"name": "web", "flavorRef": flavor_id, "block_device_mapping_v2": [disk], "networks": "none"}}
    assert (await api("POST", "/v2.1/servers", body, version="2.100")).status == 202


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"device_name": "/dev/vda", "device_type": "disk", "delete_on_termination": True}, 202),
        ({"disk_bus": "", "device_type": "", "guest_format": ""}, 202),
        ({"tag": "root"}, 400),
        ({"disk_bus": "scsi"}, 400),
        ({"guest_format": "ext4"}, 400),
        ({"device_type": "cdrom"}, 400),
    ],
)
async def test_a_mapping_that_asks_for_what_nobody_does_is_refused(api, image_id, flavor_id, more, status):
    disk = {"boot_index": 0, "uuid": image_id, "source_type": "image", "destination_type": "local", **more}
    body = {"server": {"name": "web", "flavorRef": flavor_id, "block_device_mapping_v2": [disk], "networks": "none"}}
    answer = await api("POST", "/v2.1/servers", body, version="2.100")
    assert answer.status == status, answer.body
    assert status == 202 or next(iter(more)) in answer.body["badRequest"]["message"]


async def test_what_the_user_chose_is_kept(api, boot):
    await api("POST", "/v2.1/os-keypairs", {"keypair": {"name": "k", "public_key": KEY}})
    data = base64.b64encode(b"#!/bin/sh").decode()
    server_id = await boot(
        key_name="k",
        user_data=data,
        config_drive=True,
        metadata={"a": "b"},
        tags=["x", "x", "y"],
        description="d",
        hostname="h1",
    )
    shown = (await api("GET", f"/v2.1/servers/{server_id}", as_="admin", version="2.100")).body["server"]
    assert (shown["key_name"], shown["config_drive"], shown["metadata"]) == ("k", "True", {"a": "b"})
    assert (sorted(shown["tags"]), shown["description"]) == (["x", "y"], "d")
    assert (shown["OS-EXT-SRV-ATTR:user_data"], shown["OS-EXT-SRV-ATTR:hostname"]) == (data, "h1")


async def test_readers_look_and_do_not_touch(api, boot):
    server_id = await boot()
    assert (await api("GET", f"/v2.1/servers/{server_id}", as_="rae")).status == 200
    assert (await api("DELETE", f"/v2.1/servers/{server_id}", as_="rae")).status == 403
    assert (await api("POST", "/v2.1/servers", {"server": {}}, as_="rae")).status == 403
    assert (await api("POST", f"/v2.1/servers/{server_id}/action", {"os-stop": None}, as_="rae")).status == 403


async def test_servers_of_other_projects_are_not_there(api, boot):
    server_id = await boot()
    for method, path, body in [
        ("GET", "", None),
        ("PUT", "", {"server": {"name": "x"}}),
        ("DELETE", "", None),
        ("POST", "/action", {"os-stop": None}),
        ("GET", "/metadata", None),
        ("GET", "/ips", None),
        ("GET", "/os-interface", None),
        ("GET", "/os-instance-actions", None),
        ("GET", "/os-security-groups", None),
    ]:
        answer = await api(method, f"/v2.1/servers/{server_id}{path}", body, as_="bob")
        assert answer.status == 404 and "itemNotFound" in answer.body, path
    assert (await api("GET", "/v2.1/servers", as_="bob")).body["servers"] == []


async def test_odd_ids_are_not_found(api):
    for odd in ("x", "..%2f..%2fetc", "%00", "a" * 300, "%F0%9F%98%80"):
        assert (await api("GET", f"/v2.1/servers/{odd}")).status == 404, odd


async def test_delete_is_accepted_once_and_again(api, boot):
    server_id = await boot()
    assert (await api("DELETE", f"/v2.1/servers/{server_id}")).status == 204
    assert (await api("DELETE", f"/v2.1/servers/{server_id}")).status == 204
    assert (await api("GET", f"/v2.1/servers/{server_id}")).body["server"]["OS-EXT-STS:task_state"] == "deleting"


async def test_addresses_and_interfaces_come_from_the_ports(api, compute, active, image_id, flavor_id):
    server_id = await active()
    for path, shown in [
        ("ips", {"addresses": {}}),
        ("os-interface", {"interfaceAttachments": []}),
        ("os-security-groups", {"security_groups": []}),
    ]:
        assert (await api("GET", f"/v2.1/servers/{server_id}/{path}")).body == shown
    assert (await api("GET", f"/v2.1/servers/{server_id}/ips/blue")).status == 404
    assert (await api("GET", f"/v2.1/servers/{server_id}/os-interface/x")).status == 404
    assert (await api("POST", f"/v2.1/servers/{server_id}/os-interface", {})).status == 501


@pytest.mark.parametrize(
    ("named", "status"),
    [
        ({"host": "alpha"}, 202),
        ({"hypervisor_hostname": "alpha.example"}, 202),
        ({"host": "alpha", "hypervisor_hostname": "alpha.example"}, 202),
        ({"host": "nowhere"}, 400),
        ({"hypervisor_hostname": "nowhere"}, 400),
        ({"hypervisor_hostname": "alpha"}, 400),
        ({"host": "alpha", "hypervisor_hostname": "beta"}, 400),
        ({"host": "nowhere", "hypervisor_hostname": "alpha.example"}, 400),
    ],
)
async def test_a_host_and_a_hypervisor_asked_for_by_name_must_be_there_and_belong_together(
    api, store, host, image_id, flavor_id, named, status
):
    async with store.write() as session:
        await hosts.report(session, "beta", {})
    body = {"server": {"name": "web", "imageRef": image_id, "flavorRef": flavor_id, "networks": "none", **named}}
    answer = await api("POST", "/v2.1/servers", body, as_="admin", version="2.74")
    assert answer.status == status, answer.body
    if status == 400:
        assert answer.body["badRequest"]["message"].startswith("Compute host ")
        assert answer.body["badRequest"]["message"].endswith(" could not be found.")


async def test_a_hypervisor_that_says_no_name_of_its_own_is_asked_for_by_its_hosts(api, store, image_id, flavor_id):
    named = {"hypervisor_hostname": "beta", "networks": "none"}
    body = {"server": {"name": "web", "imageRef": image_id, "flavorRef": flavor_id, **named}}
    assert (await api("POST", "/v2.1/servers", body, as_="admin", version="2.74")).status == 400
    async with store.write() as session:
        await hosts.report(session, "beta", {})
    assert (await api("POST", "/v2.1/servers", body, as_="admin", version="2.74")).status == 202


@pytest.mark.parametrize("zone", ["nova:nowhere", "nova::nowhere"])
async def test_a_host_of_a_zone_is_looked_for_by_the_scheduler_alone(api, host, image_id, flavor_id, zone):
    body = {"server": {"name": "web", "imageRef": image_id, "flavorRef": flavor_id, "availability_zone": zone}}
    assert (await api("POST", "/v2.1/servers", body, as_="admin")).status == 202


@pytest.mark.parametrize(("size", "status"), [(30000, 202), (33000, 400)])
async def test_hints_that_are_too_long_to_be_kept_are_refused(api, image_id, flavor_id, size, status):
    server = {"name": "x", "imageRef": image_id, "flavorRef": flavor_id, "networks": "none"}
    body = {"server": server, "os:scheduler_hints": {"reason": "x" * size}}
    answer = await api("POST", "/v2.1/servers", body, version="2.100")
    assert answer.status == status, answer.body


async def test_hints_that_name_too_many_servers_are_refused_at_once(api, image_id, flavor_id):
    ids = [str(uuid.UUID(int=number)) for number in range(257)]
    body = {"server": {"name": "web", "imageRef": image_id, "flavorRef": flavor_id}}
    for hints, status in (
        ({"different_host": ids}, 400),
        ({"different_host": ids[:200], "same_host": ids[200:]}, 400),
        ({"different_host": ids[:256], "same_host": ids[:256]}, 202),
    ):
        answer = await api("POST", "/v2.1/servers", {**body, "os:scheduler_hints": hints})
        assert answer.status == status, answer.body
        if status == 400:
            assert answer.body["badRequest"]["message"] == "The hints name 257 servers; 256 is the most."
