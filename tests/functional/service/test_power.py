"""Servers are stopped, started and rebooted."""

import aiohttp
import pytest

from tests.support.service import Api, Service

OPTIONS = """
[agent]
host = "sim"

[drivers.simulated]
fail_hosts = ["sim-1"]

[scheduler]
max_attempts = 2
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    state = tmp_path_factory.mktemp("service") / "state"
    state.mkdir()
    (state / "novakit.toml").write_text(OPTIONS)
    with Service(state, "--simulate", "3") as running:
        yield running


@pytest.fixture
async def api(service):
    async with aiohttp.ClientSession() as session:
        yield await Api.login(service, session)


@pytest.fixture
async def image(api):
    found = (await api.ok("GET", "/image/v2/images?name=tiny"))["images"]
    return found[0]["id"] if found else await api.image()


async def test_a_server_stops_starts_and_reboots(api, image):
    server = await api.server("power", image)
    await api.reach(server, "ACTIVE")
    for action, status in (
        ({"os-stop": None}, "SHUTOFF"),
        ({"os-start": None}, "ACTIVE"),
        ({"reboot": {"type": "SOFT"}}, "ACTIVE"),
        ({"reboot": {"type": "HARD"}}, "ACTIVE"),
    ):
        await api.ok("POST", f"/compute/v2.1/servers/{server}/action", action)
        await api.reach(server, status)
    log = await api.ok("POST", f"/compute/v2.1/servers/{server}/action", {"os-getConsoleOutput": {}})
    assert log["output"].count("Linux version") == 4
    status, error = await api.call("POST", f"/compute/v2.1/servers/{server}/action", {"os-start": None})
    assert status == 409 and "vm_state active" in error["conflictingRequest"]["message"]
    await api.ok("DELETE", f"/compute/v2.1/servers/{server}")
    await api.gone(server)
