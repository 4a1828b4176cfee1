"""Secure Boot that image or flavor require: only hosts with the firmware are chosen, and without one it is told."""

import aiohttp
import pytest

from tests.support.service import Api, Service

TRAIT = "COMPUTE_SECURITY_UEFI_SECURE_BOOT"


@pytest.fixture
def service(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    (state / "novakit.toml").write_text('[agent]\nhost = "sim"\n')
    with Service(state, "--simulate", "3") as running:
        yield running


async def flavor(admin, **specs):
    new = {"flavor": {"name": "f", "vcpus": 1, "ram": 64, "disk": 1}}
    made = (await admin.ok("POST", "/compute/v2.1/flavors", new))["flavor"]["id"]
    await admin.ok("POST", f"/compute/v2.1/flavors/{made}/os-extra_specs", {"extra_specs": specs})
    return made


async def give_firmware(admin, host):
    (found,) = (await admin.ok("GET", f"/placement/resource_providers?name={host}"))["resource_providers"]
    path = f"/placement/resource_providers/{found['uuid']}/traits"
    traits = (await admin.ok("GET", path))["traits"]
    body = {"traits": [*traits, TRAIT], "resource_provider_generation": found["generation"]}
    await admin.ok("PUT", path, body)


async def test_a_server_that_requires_secure_boot_goes_only_where_the_firmware_is(service):
    async with aiohttp.ClientSession() as session:
        api, admin = await Api.login(service, session), await Api.login(service, session, "novakit-admin")
        plain = await api.image("plain")
        demanding = await api.image("demanding", os_secure_boot="required", hw_firmware_type="uefi")
        required = await flavor(admin, **{"os:secure_boot": "required"})

        for image, which, says in ((demanding, "1", "os_secure_boot required"), (plain, required, "os:secure_boot")):
            refused = await api.reach(await api.server("refused", image, which), "ERROR")
            assert says in refused["fault"]["message"], refused["fault"]

        await give_firmware(admin, "sim-2")
        servers = [await api.server("a", image, which) for image, which in ((demanding, "1"), (plain, required)) * 3]
        for server in servers:
            await api.reach(server, "ACTIVE")
            shown = (await admin.ok("GET", f"/compute/v2.1/servers/{server}"))["server"]
            assert shown["OS-EXT-SRV-ATTR:host"] == "sim-2"


async def test_secure_boot_that_no_host_could_give_is_refused_at_once(service):
    async with aiohttp.ClientSession() as session:
        api, admin = await Api.login(service, session), await Api.login(service, session, "novakit-admin")
        required = await flavor(admin, **{"os:secure_boot": "required"})
        for properties, says in (
            ({"hw_machine_type": "pc"}, "it needs q35"),
            ({"hw_firmware_type": "bios"}, "it needs uefi"),
            ({"os_secure_boot": "disabled"}, "contradict"),
        ):
            body = {"name": "a", "imageRef": await api.image(**properties), "flavorRef": required, "networks": "none"}
            status, told = await api.call("POST", "/compute/v2.1/servers", {"server": body})
            assert status == 400 and says in told["badRequest"]["message"], told
