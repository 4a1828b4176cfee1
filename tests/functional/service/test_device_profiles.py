"""`accel:device_profile` of a flavor: claimed on a provider below the host, explained where it lacks."""

import asyncio

import aiohttp
import pytest

from tests.support.service import Api, Service

OPTIONS = """
[agent]
host = "sim"

[device_profiles.ai]
resources = {CUSTOM_ACCELERATOR_AI = 1}
traits = ["CUSTOM_FP8"]

[[device_profiles.pair.groups]]
resources = {CUSTOM_ACCELERATOR_AI = 1}
traits = ["CUSTOM_FP8"]
forbidden = ["CUSTOM_WORN"]

[[device_profiles.pair.groups]]
resources = {FPGA = 2}
"""


@pytest.fixture
def service(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    (state / "novakit.toml").write_text(OPTIONS)
    with Service(state, "--simulate", "3") as running:
        yield running


async def flavor(admin, name, **specs):
    new = {"flavor": {"name": name, "vcpus": 1, "ram": 64, "disk": 1}}
    made = (await admin.ok("POST", "/compute/v2.1/flavors", new))["flavor"]["id"]
    await admin.ok("POST", f"/compute/v2.1/flavors/{made}/os-extra_specs", {"extra_specs": specs})
    return made


async def place(admin, method, path, body=None):
    headers = {"OpenStack-API-Version": "placement 1.39"}
    return await admin.ok(method, f"/placement{path}", body, headers=headers)


async def ended(admin, servers):
    """Wait for servers to be built or to have failed."""
    async with asyncio.timeout(60):
        while True:
            shown = [(await admin.ok("GET", f"/compute/v2.1/servers/{each}"))["server"] for each in servers]
            if all(each["status"] in ("ACTIVE", "ERROR") for each in shown):
                return shown
            await asyncio.sleep(0.05)


async def card(admin, host, name, stock, *traits):
    """Hang a provider with an inventory and traits below a host; give its id."""
    found = (await place(admin, "GET", f"/resource_providers?name={host}"))["resource_providers"]
    new = {"name": name, "parent_provider_uuid": found[0]["uuid"]}
    made = (await place(admin, "POST", "/resource_providers", new))["uuid"]
    amounts = {kind: {"total": amount} for kind, amount in stock.items()}
    body = {"resource_provider_generation": 0, "inventories": amounts}
    await place(admin, "PUT", f"/resource_providers/{made}/inventories", body)
    body = {"resource_provider_generation": 1, "traits": list(traits)}
    await place(admin, "PUT", f"/resource_providers/{made}/traits", body)
    return made


async def test_each_group_of_a_profile_comes_from_one_device_with_its_traits(service):
    async with aiohttp.ClientSession() as session:
        api, admin = await Api.login(service, session), await Api.login(service, session, "novakit-admin")
        image, wants = await api.image(), await flavor(admin, "pair", **{"accel:device_profile": "pair"})
        await place(admin, "PUT", "/resource_classes/CUSTOM_ACCELERATOR_AI")
        for trait in ("CUSTOM_FP8", "CUSTOM_WORN"):
            await place(admin, "PUT", f"/traits/{trait}")
        # The trait is on one device of sim-1 and the amount on another, which is not what the profile asks for.
        await card(admin, "sim-1", "plain", {"CUSTOM_ACCELERATOR_AI": 4, "FPGA": 8})
        await card(admin, "sim-1", "worn", {"CUSTOM_ACCELERATOR_AI": 4}, "CUSTOM_FP8", "CUSTOM_WORN")
        good = await card(admin, "sim-2", "good", {"CUSTOM_ACCELERATOR_AI": 1}, "CUSTOM_FP8")
        fpga = await card(admin, "sim-2", "fpga", {"FPGA": 2})
        new = {"server": {"name": "a", "imageRef": image, "flavorRef": wants, "networks": "none"}}
        (first,) = await ended(admin, [(await api.ok("POST", "/compute/v2.1/servers", new))["server"]["id"]])
        assert (first["status"], first["OS-EXT-SRV-ATTR:host"]) == ("ACTIVE", "sim-2")
        held = (await place(admin, "GET", f"/allocations/{first['id']}"))["allocations"]
        assert held[good]["resources"] == {"CUSTOM_ACCELERATOR_AI": 1}
        assert held[fpga]["resources"] == {"FPGA": 2}
        (second,) = await ended(admin, [(await api.ok("POST", "/compute/v2.1/servers", new))["server"]["id"]])
        assert second["status"] == "ERROR"
        assert "1 CUSTOM_ACCELERATOR_AI with CUSTOM_FP8 and without CUSTOM_WORN" in second["fault"]["message"]
        audit = (await admin.ok("GET", "/novakit/v1/audit"))["audit"]
        assert audit["orphaned"] == []


async def test_a_server_takes_what_its_device_profile_says(service):
    async with aiohttp.ClientSession() as session:
        api, admin = await Api.login(service, session), await Api.login(service, session, "novakit-admin")
        image = await api.image()
        wants, unknown = (
            await flavor(admin, "ai", **{"accel:device_profile": "ai"}),
            await flavor(admin, "other", **{"accel:device_profile": "other"}),
        )

        def body(which):
            return {"server": {"name": "a", "imageRef": image, "flavorRef": which, "networks": "none"}}

        status, told = await api.call("POST", "/compute/v2.1/servers", body(unknown))
        assert status == 400 and "device profile other does not exist" in str(told)
        why = (await api.ok("POST", "/novakit/v1/explain", {"flavor": "ai"}))["decision"]["message"]
        assert "CUSTOM_FP8" in why
        await place(admin, "PUT", "/resource_classes/CUSTOM_ACCELERATOR_AI")
        await place(admin, "PUT", "/traits/CUSTOM_FP8")
        card_id = await card(admin, "sim-2", "card", {"CUSTOM_ACCELERATOR_AI": 1}, "CUSTOM_FP8")
        made = [(await api.ok("POST", "/compute/v2.1/servers", body(wants)))["server"]["id"] for _ in range(2)]
        shown = await ended(admin, made)
        assert sorted(each["status"] for each in shown) == ["ACTIVE", "ERROR"]
        (placed,) = (each for each in shown if each["status"] == "ACTIVE")
        assert placed["OS-EXT-SRV-ATTR:host"] == "sim-2"
        held = (await place(admin, "GET", f"/allocations/{placed['id']}"))["allocations"]
        assert held[card_id]["resources"] == {"CUSTOM_ACCELERATOR_AI": 1}
        (failed,) = (each for each in shown if each["status"] == "ERROR")
        assert "CUSTOM_ACCELERATOR_AI" in failed["fault"]["message"]
