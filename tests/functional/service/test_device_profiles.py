"""`accel:device_profile` of a flavor: claimed on a provider below the host, explained where it lacks."""

import asyncio

import aiohttp
import pytest

from tests.perf.service import Api, Service

OPTIONS = """
[agent]
host = "sim"

[device_profiles.ai]
resources = {CUSTOM_ACCELERATOR_AI = 1}
traits = ["CUSTOM_FP8"]
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
        hosts = (await place(admin, "GET", "/resource_providers?name=sim-2"))["resource_providers"]
        new = {"name": "card", "parent_provider_uuid": hosts[0]["uuid"]}
        card = (await place(admin, "POST", "/resource_providers", new))["uuid"]
        stock = {"resource_provider_generation": 0, "inventories": {"CUSTOM_ACCELERATOR_AI": {"total": 1}}}
        await place(admin, "PUT", f"/resource_providers/{card}/inventories", stock)
        await place(
            admin,
            "PUT",
            f"/resource_providers/{card}/traits",
            {"resource_provider_generation": 1, "traits": ["CUSTOM_FP8"]},
        )
        made = [(await api.ok("POST", "/compute/v2.1/servers", body(wants)))["server"]["id"] for _ in range(2)]
        async with asyncio.timeout(60):
            while True:
                shown = [(await admin.ok("GET", f"/compute/v2.1/servers/{each}"))["server"] for each in made]
                if all(each["status"] in ("ACTIVE", "ERROR") for each in shown):
                    break
                await asyncio.sleep(0.05)
        assert sorted(each["status"] for each in shown) == ["ACTIVE", "ERROR"]
        (placed,) = (each for each in shown if each["status"] == "ACTIVE")
        assert placed["OS-EXT-SRV-ATTR:host"] == "sim-2"
        held = (await place(admin, "GET", f"/allocations/{placed['id']}"))["allocations"]
        assert held[card]["resources"] == {"CUSTOM_ACCELERATOR_AI": 1}
        (failed,) = (each for each in shown if each["status"] == "ERROR")
        assert "CUSTOM_ACCELERATOR_AI" in failed["fault"]["message"]
