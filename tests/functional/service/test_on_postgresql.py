import asyncio

import aiohttp

from tests.support.service import Api, Service


async def test_servers_come_and_go_on_postgresql(postgres_url, tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    (state / "novakit.toml").write_text(f'database = "{postgres_url}"\n')
    with Service(state, "--simulate", "3") as service:
        async with aiohttp.ClientSession() as session:
            api = await Api.login(service, session)
            image, network = await api.image(), await api.network()
            wanted = [{"uuid": network}]
            servers = await asyncio.gather(*(api.server(f"s{n}", image, networks=wanted) for n in range(8)))
            settled = await api.settled()
            assert [each["status"] for each in settled] == ["ACTIVE"] * 8
            addresses = {each["addresses"]["net"][0]["addr"] for each in settled}
            assert len(addresses) == 8
            await asyncio.gather(*(api.ok("DELETE", f"/compute/v2.1/servers/{each}") for each in servers))
            async with asyncio.timeout(60):
                while (await api.ok("GET", "/compute/v2.1/servers"))["servers"]:
                    await asyncio.sleep(0.1)
        assert service.stop() == 0


async def test_numbers_that_no_column_holds_find_nothing(postgres_url, tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    (state / "novakit.toml").write_text(f'database = "{postgres_url}"\n')
    with Service(state) as service:
        async with aiohttp.ClientSession() as session:
            api = await Api.login(service, session, "novakit-admin")
            for number in (2**31, 10**18 - 1):
                path = f"/compute/v2.1/os-aggregates/{number}"
                change, host = {"aggregate": {"name": "x"}}, {"add_host": {"host": "x"}}
                for method, place, body in (
                    *(("GET", path, None), ("PUT", path, change), ("DELETE", path, None)),
                    ("POST", f"{path}/action", host),
                ):
                    assert (await api.call(method, place, body))[0] == 404, (method, number)
                for place, many in (
                    *(("/image/v2/images?min_disk", "images"), ("/image/v2/images?min_ram", "images")),
                    *(("/compute/v2.1/flavors?minRam", "flavors"), ("/compute/v2.1/flavors?minDisk", "flavors")),
                ):
                    assert (await api.ok("GET", f"{place}={number}"))[many] == [], (place, number)
