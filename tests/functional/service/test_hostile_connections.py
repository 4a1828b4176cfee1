"""A crowd of hostile clients is hung up on, and honest ones are answered meanwhile."""

import asyncio
from pathlib import Path

import aiohttp

from tests.support.hostile import Crowd, bombs
from tests.support.service import Api, Service

LIMITS = """
[connections]
per_address = 40
header_within = 1.0
body_within = 1.0
idle_within = 2.0
send_within = 2.0
"""
CROWD = 60
WITHIN = 30.0


async def test_hostile_clients_are_hung_up_on_and_honest_ones_are_answered(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "novakit.toml").write_text(LIMITS)
    with Service(state) as service:
        assert "8192 connections" in service.output and "descriptors" in service.output
        async with aiohttp.ClientSession() as session:
            api = await Api.login(service, session)
            async with Crowd("127.0.0.1", service.port, CROWD, local="127.0.0.2") as crowd, asyncio.timeout(WITHIN):
                while not {"slow header", "half body", "idle"} <= set(crowd.ended) or crowd.ended.total() < CROWD:
                    await api.ok("GET", "/compute/v2.1/servers", headers={"Connection": "close"})
                    await api.ok("GET", "/image/v2/images")
                    await asyncio.sleep(0.05)
        assert service.rss_mb() < 400
        said = (state / "novakit.log").read_text()
        assert "clients were closed" in said and "Traceback" not in said


async def test_a_compressed_body_is_refused_before_it_is_inflated(tmp_path: Path) -> None:
    with Service(tmp_path / "state") as service:
        before = service.cpu_seconds()
        for request in bombs() * 5:
            reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
            writer.write(request)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WITHIN)
            assert head.startswith(b"HTTP/1.1 415 ")
            writer.close()
        # Ten bodies of 64 MiB take several seconds to inflate.
        assert service.cpu_seconds() - before < 1.0
        assert service.rss_mb() < 300
