"""The state of a server is set by an administrator."""

import aiohttp

from tests.functional.service.active import act, ready
from tests.support.service import Api, Service


async def test_an_administrator_resets_the_state_and_nothing_is_done_on_the_host(tmp_path):
    with Service(tmp_path / "state") as service:
        async with aiohttp.ClientSession() as session:
            api, server = await ready(service, session)
            for bad in ({"state": "paused"}, {}, None, {"state": "error", "x": 1}):
                assert (await act(api, server, "os-resetState", bad))[0] == 400
            assert (await act(api, server, "lock"))[0] == 202
            assert (await act(api, server, "os-resetState", {"state": "error"}))[0] == 202
            shown = await api.reach(server, "ERROR")
            assert shown["OS-EXT-STS:power_state"] == 1
            assert (await act(api, server, "os-resetState", {"state": "active"}))[0] == 202
            await api.reach(server, "ACTIVE")
            await act(api, server, "shelve")
            await api.reach(server, "SHELVED_OFFLOADED")
            code, answer = await act(api, server, "os-resetState", {"state": "active"})
            assert code == 409 and "on no host" in answer["conflictingRequest"]["message"]
            user = await Api.login(service, session, "novakit")
            assert (await act(user, server, "os-resetState", {"state": "error"}))[0] in (403, 404)
