"""A shelved server leaves its host."""

import aiohttp

from tests.support.service import Api, Service

KEPT = """
[conductor]
shelved_offload_after = -1
"""


async def act(api, server, action):
    return (await api.call("POST", f"/compute/v2.1/servers/{server}/action", {action: None}))[0]


async def test_a_server_may_stay_shelved_on_its_host_until_it_is_offloaded(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    (state / "novakit.toml").write_text(KEPT)
    with Service(state) as service:
        async with aiohttp.ClientSession() as session:
            api = await Api.login(service, session, "novakit-admin")
            server = await api.server("s", await api.image())
            await api.reach(server, "ACTIVE")
            assert await act(api, server, "shelve") == 202
            assert (await api.reach(server, "SHELVED"))["OS-EXT-SRV-ATTR:host"]
            assert (await api.ok("GET", f"/placement/allocations/{server}"))["allocations"]
            assert await act(api, server, "unshelve") == 202
            await api.reach(server, "ACTIVE")
            assert len((await api.ok("GET", "/image/v2/images"))["images"]) == 1
            assert await act(api, server, "shelve") == 202
            await api.reach(server, "SHELVED")
            assert await act(api, server, "shelveOffload") == 202
            assert (await api.reach(server, "SHELVED_OFFLOADED"))["OS-EXT-SRV-ATTR:host"] is None
            assert (await api.ok("GET", f"/placement/allocations/{server}"))["allocations"] == {}
            assert await act(api, server, "unshelve") == 202
            await api.reach(server, "ACTIVE")
