"""Image formats and config drives: a server goes only to a host whose driver can, even where the host is forced."""

from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.support.service import Api, Service

RAW, DRIVES = "COMPUTE_IMAGE_TYPE_RAW", "CUSTOM_COMPUTE_CONFIG_DRIVES"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    state = tmp_path / "state"
    state.mkdir()
    (state / "novakit.toml").write_text(f'[agent]\nhost = "sim"\nwithheld_traits = ["{RAW}", "{DRIVES}"]\n')
    with Service(state, "--simulate", "2") as running:
        yield running


async def traits(admin: Api, host: str, *, more: str = "", less: str = "") -> None:
    """Give a host's resource provider one trait more or less."""
    (found,) = (await admin.ok("GET", f"/placement/resource_providers?name={host}"))["resource_providers"]
    path = f"/placement/resource_providers/{found['uuid']}/traits"
    had = set((await admin.ok("GET", path))["traits"])
    body = {"traits": sorted((had | {more}) - {less, ""}), "resource_provider_generation": found["generation"]}
    await admin.ok("PUT", path, body)


async def steps(api: Api, server: str) -> list[str]:
    """Return what was done for the latest action on a server."""
    path = f"/compute/v2.1/servers/{server}/os-instance-actions"
    latest = (await api.ok("GET", path))["instanceActions"][0]["request_id"]
    return [each["event"] for each in (await api.ok("GET", f"{path}/{latest}"))["instanceAction"]["events"]]


async def refused(api: Api, says: str, server: str) -> None:
    shown = await api.reach(server, "ERROR")
    assert says in shown["fault"]["message"], shown["fault"]
    assert await steps(api, server) == ["conductor_schedule_and_build_instances"], "no host was asked for anything"


async def test_a_server_goes_only_where_its_image_and_its_config_drive_can_be_had(service: Service) -> None:
    async with aiohttp.ClientSession() as session:
        api = await Api.login(service, session, "novakit-admin")
        image = await api.image()
        await refused(api, "disk_format raw", await api.server("nowhere", image))

        await traits(api, "sim-2", more=RAW)
        servers = [await api.server("there", image) for _ in range(3)]
        for server in servers:
            assert (await api.reach(server, "ACTIVE"))["OS-EXT-SRV-ATTR:host"] == "sim-2"
        await refused(api, "disk_format raw", await api.server("forced", image, availability_zone="nova:sim-1"))
        await refused(api, "config_drive true", await api.server("drive", image, config_drive=True))
        await api.ok("PUT", f"/placement/traits/{DRIVES}")
        await traits(api, "sim-1", more=DRIVES)
        await refused(api, "config_drive true", await api.server("drive", image, config_drive=True))
        await traits(api, "sim-2", more=DRIVES)
        drive = await api.server("drive", image, config_drive=True)
        assert (await api.reach(drive, "ACTIVE"))["OS-EXT-SRV-ATTR:host"] == "sim-2"

        # The copy of a shelved server's disk is an image, too, here a raw one.
        path = f"/compute/v2.1/servers/{servers[0]}/action"
        await api.ok("POST", path, {"shelve": None})
        await api.reach(servers[0], "SHELVED_OFFLOADED")
        await traits(api, "sim-2", less=RAW)
        await api.ok("POST", path, {"unshelve": None})
        await api.reach(servers[0], "SHELVED_OFFLOADED")
        assert await steps(api, servers[0]) == ["conductor_unshelve_instance"]
        await traits(api, "sim-1", more=RAW)
        await api.ok("POST", path, {"unshelve": None})
        assert (await api.reach(servers[0], "ACTIVE"))["OS-EXT-SRV-ATTR:host"] == "sim-1"
