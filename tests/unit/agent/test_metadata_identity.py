"""Who a guest is to the metadata service: the network and the address of its connection, whatever it says."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from novakit.agent.metadata import GUESTS, MetadataListeners
from novakit.bus import MemoryBus, client
from novakit.calls.conductor import ConductorCalls, MetadataAnswer
from novakit.config import Config
from tests.support.targets import serve_some

VICTIM, OTHER = "0b3cf1a2-1111-4222-8333-444455556666", "10.9.9.9"
SAID = (
    {},
    {"X-Forwarded-For": OTHER},
    {"X-Forwarded-For": f"{OTHER}, 127.0.0.1"},
    {"Forwarded": f"for={OTHER}"},
    {"X-Real-IP": OTHER, "True-Client-IP": OTHER, "Client-IP": OTHER},
    {"X-Instance-ID": VICTIM, "X-Instance-ID-Signature": "0" * 64, "X-Tenant-ID": "a" * 32},
    {"X-Metadata-Provider": VICTIM, "X-LB-Neutron": VICTIM, "X-Neutron-Network-ID": "another network"},
    {"X-OpenStack-Network-ID": "another network", "X-Neutron-Router-ID": VICTIM},
    {"Host": f"{OTHER}:80"},
)


@pytest.mark.parametrize("headers", SAID, ids=lambda headers: ",".join(headers) or "nothing")
async def test_a_guest_is_known_by_its_connection_and_never_by_what_it_says(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    asked: list[Any] = []

    async def metadata(network_id: str, ip: str, path: str) -> MetadataAnswer | None:
        asked.append((network_id, ip, path))
        return MetadataAnswer(body=b"yours")

    bus = MemoryBus()
    serve_some(bus.join("conductor"), ConductorCalls, metadata=metadata)
    listeners = MetadataListeners(client(ConductorCalls, bus.join("agent:a"), Config(state=tmp_path)))
    sockets = {}
    for network, address in (("its network", "127.0.0.1"), ("another network", "127.0.0.2")):
        made = sockets[network] = socket.create_server((address, 0))
        made.setblocking(False)
    await listeners.follow(sockets)
    host, port = sockets["its network"].getsockname()
    url = f"http://{host}:{port}/openstack/latest/meta_data.json"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        assert await answer.read() == b"yours"
    assert asked == [("its network", "127.0.0.1", "/openstack/latest/meta_data.json")]
    await listeners.close()
    for made in sockets.values():
        made.close()


async def test_a_guest_cannot_ask_for_another_ones_by_the_form_of_its_request(tmp_path: Path) -> None:
    asked: list[Any] = []

    async def metadata(network_id: str, ip: str, path: str) -> None:
        asked.append((network_id, ip))

    bus = MemoryBus()
    serve_some(bus.join("conductor"), ConductorCalls, metadata=metadata)
    listeners = MetadataListeners(client(ConductorCalls, bus.join("agent:a"), Config(state=tmp_path)))
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    await listeners.follow({"its network": listening})
    for line in (f"GET http://{OTHER}/openstack HTTP/1.1", "GET /openstack?network_id=x&ip=10.9.9.9 HTTP/1.1"):
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(f"{line}\r\nHost: {OTHER}\r\nConnection: close\r\n\r\n".encode())
        assert b" 404 " in await reader.read()
        writer.close()
    assert asked == [("its network", "127.0.0.1")] * 2
    await listeners.close()
    listening.close()


async def test_a_guest_that_writes_or_keeps_connections_is_hung_up_on_and_the_others_are_answered(
    tmp_path: Path,
) -> None:
    asked: list[str] = []

    async def metadata(network_id: str, ip: str, path: str) -> MetadataAnswer | None:
        asked.append(ip)
        return MetadataAnswer(body=b"yours")

    bus = MemoryBus()
    serve_some(bus.join("conductor"), ConductorCalls, metadata=metadata)
    listeners = MetadataListeners(client(ConductorCalls, bus.join("agent:a"), Config(state=tmp_path)))
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    await listeners.follow({"its network": listening})
    more = 8
    held = [
        await asyncio.open_connection(*listening.getsockname(), local_addr=("127.0.0.2", 0))
        for _ in range(GUESTS.per_address + more)
    ]
    async with asyncio.timeout(GUESTS.header_within / 2):
        for reader, _ in held[:more]:
            assert await reader.read() == b""
    for method, status in (("PUT", b" 405 "), ("POST", b" 405 "), ("GET", b" 200 ")):
        reader, writer = await asyncio.open_connection(*listening.getsockname(), local_addr=("127.0.0.3", 0))
        writer.write(f"{method} / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert status in (await reader.read())
        writer.close()
    assert asked == ["127.0.0.3"]
    for _, writer in held:
        writer.close()
    await listeners.close()
    listening.close()
