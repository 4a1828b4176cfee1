import asyncio
import socket
from typing import Any

import aiohttp

from novakit.agent.metadata import MetadataListeners
from novakit.bus import MemoryBus


async def served(body: Any) -> Any:
    return {"body": f"{body.body['network_id']} asks for {body.body['path']}"}


def listening() -> socket.socket:
    made = socket.create_server(("127.0.0.1", 0))
    made.setblocking(False)
    return made


async def fetch(address: tuple[str, int]) -> str:
    url = f"http://{address[0]}:{address[1]}/latest"
    async with aiohttp.ClientSession() as session, session.get(url, timeout=aiohttp.ClientTimeout(5)) as answer:
        return await answer.text()


async def test_a_socket_that_its_driver_closed_first_leaves_the_loop_whole() -> None:
    bus = MemoryBus()
    bus.join("conductor").serve("conductor", {"metadata": served})
    listeners = MetadataListeners(bus.join("agent:alpha"))
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
