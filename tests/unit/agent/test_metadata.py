import asyncio
import socket
from pathlib import Path

import aiohttp

from novakit.agent.metadata import MetadataListeners
from novakit.bus import MemoryBus, client
from novakit.calls.conductor import ConductorCalls, MetadataAnswer
from novakit.config import Config
from tests.support.targets import serve_some


async def served(network_id: str, ip: str, path: str) -> MetadataAnswer:
    return MetadataAnswer(body=f"{network_id} asks for {path}".encode())


def listening() -> socket.socket:
    made = socket.create_server(("127.0.0.1", 0))
    made.setblocking(False)
    return made


async def fetch(address: tuple[str, int]) -> str:
    url = f"http://{address[0]}:{address[1]}/latest"
    async with aiohttp.ClientSession() as session, session.get(url, timeout=aiohttp.ClientTimeout(5)) as answer:
        return await answer.text()


async def test_a_socket_that_its_driver_closed_first_leaves_the_loop_whole(tmp_path: Path) -> None:
    bus = MemoryBus()
    serve_some(bus.join("conductor"), ConductorCalls, metadata=served)
    listeners = MetadataListeners(client(ConductorCalls, bus.join("agent:alpha"), Config(state=tmp_path)))
    first, second = listening(), listening()
    await listeners.follow({"one": first})
    assert await fetch(first.getsockname()) == "one asks for /latest"
    first.close()
    # Whatever the loop watches next gets the closed descriptor's number, and must be heard.
    await asyncio.gather(*(fetch(address) for address in await follow(listeners, second)))
    await listeners.close()
    second.close()


async def follow(listeners: MetadataListeners, listener: socket.socket) -> list[tuple[str, int]]:
    await listeners.follow({"two": listener})
    return [listener.getsockname()] * 3
