"""An id is the same id in capitals, wherever a client writes it; what people name things is not."""

import aiohttp
import pytest

from tests.support.service import Api, Service


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def service(tmp_path, request):
    state = tmp_path / "state"
    state.mkdir()
    if request.param == "PostgreSQL":
        (state / "novakit.toml").write_text(f'database = "{request.getfixturevalue("postgres_url")}"\n')
    with Service(state) as running:
        yield running


async def test_ids_in_capitals_are_the_same_ids_in_every_service(service):
    async with aiohttp.ClientSession() as session:
        api, admin = await Api.login(service, session), await Api.login(service, session, "novakit-admin")
        network, image = await api.network(), await api.image()
        port = (await api.ok("POST", "/network/v2.0/ports", {"port": {"network_id": network.upper()}}))["port"]
        (group,) = port["security_groups"]
        asked = {"networks": [{"port": port["id"].upper()}], "security_groups": [{"name": group.upper()}]}
        server = await api.server("one", image.upper(), **asked)
        await api.reach(server, "ACTIVE")
        compute = f"/compute/v2.1/servers/{server.upper()}"
        for path in (
            compute,
            f"{compute}/os-interface/{port['id'].upper()}",
            f"{compute}/metadata",
            f"{compute}/os-instance-actions",
            f"/compute/v2.1/servers?marker={server.upper()}",
            f"/network/v2.0/networks/{network.upper()}",
            f"/network/v2.0/ports/{port['id'].upper()}",
            f"/network/v2.0/networks?marker={network.upper()}",
            f"/network/v2.0/security-groups/{group.upper()}",
            f"/image/v2/images/{image.upper()}",
            f"/image/v2/images?marker={image.upper()}",
        ):
            await api.ok("GET", path)
        shown = (await api.ok("GET", f"/image/v2/images/{image.upper()}"))["id"]
        assert shown == image, "an answer has small letters"
        hosts = (await admin.ok("GET", "/compute/v2.1/os-hypervisors"))["hypervisors"]
        await admin.ok("GET", f"/compute/v2.1/os-hypervisors/{hosts[0]['id'].upper()}")
        await api.ok("POST", f"{compute}/action", {"os-stop": None})
        await api.reach(server, "SHUTOFF")
        await api.ok("DELETE", compute)
        await api.gone(server)


async def test_what_people_name_keeps_its_capitals(service):
    async with aiohttp.ClientSession() as session:
        api, admin = await Api.login(service, session), await Api.login(service, session, "novakit-admin")
        name = "ABCDEF01-2345-4678-9ABC-DEF012345678"
        flavor = {"name": name, "id": name, "ram": 64, "vcpus": 1, "disk": 1}
        await admin.ok("POST", "/compute/v2.1/flavors", {"flavor": flavor})
        assert (await api.ok("GET", f"/compute/v2.1/flavors/{name}"))["flavor"]["id"] == name
        assert (await api.call("GET", f"/compute/v2.1/flavors/{name.lower()}"))[0] == 404
        server = await api.server("one", await api.image(), flavor=name)
        await api.reach(server, "ACTIVE")
        path = f"/compute/v2.1/servers/{server}/tags/{name}"
        await api.ok("PUT", path)
        assert (await api.ok("GET", f"/compute/v2.1/servers/{server}/tags"))["tags"] == [name]
        await api.ok("DELETE", path)
