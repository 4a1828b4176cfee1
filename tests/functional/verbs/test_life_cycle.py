"""Shelving that stays on the host, fails, or is cut off at any step."""

import asyncio

import aiohttp
import pytest

from tests.support.service import Api, Service

POINTS = [
    *(f"shelve/{step}/done" for step in ("image", "upload", "offload")),
    *(f"unshelve/{step}/done" for step in ("place", "build", "forget")),
]


async def act(api, server, action):
    return (await api.call("POST", f"/compute/v2.1/servers/{server}/action", {action: None}))[0]


@pytest.mark.parametrize("point", POINTS)
async def test_a_power_cut_at_any_step_changes_nothing_about_the_outcome(tmp_path, point):
    state = tmp_path / "state"
    service = Service(state, "--simulate", "2", environment={"NOVAKIT_CRASH_AT": point}).start()
    try:
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            api = await Api.login(service, session, "novakit-admin")
            server = await api.server("s", await api.image())
            await api.reach(server, "ACTIVE")
            await act(api, server, "shelve")
            if point.startswith("unshelve"):
                await api.reach(server, "SHELVED_OFFLOADED")
                await act(api, server, "unshelve")
            await asyncio.to_thread(service.wait_for_death)
            service.environment.clear()
            service.start()
            if point.startswith("shelve"):
                await api.reach(server, "SHELVED_OFFLOADED")
                assert (await api.ok("GET", f"/placement/allocations/{server}"))["allocations"] == {}
                assert len((await api.ok("GET", "/image/v2/images"))["images"]) == 2
                assert await act(api, server, "unshelve") == 202
            assert "fault" not in await api.reach(server, "ACTIVE")
            assert len((await api.ok("GET", f"/placement/allocations/{server}"))["allocations"]) == 1
            assert len((await api.ok("GET", "/image/v2/images"))["images"]) == 1
    finally:
        service.stop()
