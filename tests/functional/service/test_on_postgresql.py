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
