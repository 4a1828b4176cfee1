"""Files that the kernel sends on uvloop's event loop, to clients that take them, do not, or leave."""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import attrs
import pytest

pytest.importorskip("uvloop")

from novakit.front.loop import Loop

LARGE = 30 << 20
"""Bytes of a file that is more than the kernel takes for a client that reads nothing."""


@attrs.define(eq=False)
class Connected(asyncio.Protocol):
    """The side of a connection that sends, and a plain socket on the other one."""

    transport: asyncio.Transport = attrs.field(init=False)
    client: socket.socket = attrs.field(init=False)
    ended: asyncio.Event = attrs.field(factory=asyncio.Event)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()

    async def received(self, size: int) -> bytes:
        """Read as many bytes on the client's side, or up to its end."""
        got = bytearray()
        while len(got) < size and (piece := await asyncio.get_running_loop().sock_recv(self.client, 1 << 20)):
            got += piece
        return bytes(got)


async def connected() -> Connected:
    loop, made = asyncio.get_running_loop(), Connected()
    server = await loop.create_server(lambda: made, "127.0.0.1", 0)
    made.client = socket.create_connection(server.sockets[0].getsockname())
    made.client.setblocking(False)
    while not hasattr(made, "transport"):
        await asyncio.sleep(0)
    server.close()
    return made


Test = Callable[[Connected, Path], Coroutine[Any, Any, None]]


def on_uvloop(test: Test) -> Callable[[Path], None]:
    """Run a test on the loop that `novakit serve` has."""

    async def work(path: Path) -> None:
        with_client = await connected()
        async with asyncio.timeout(60):
            try:
                await test(with_client, path)
            finally:
                with_client.client.close()
                with_client.transport.abort()
                await with_client.ended.wait()

    def run(tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(os.urandom(1 << 20) * (LARGE >> 20))
        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(work(path))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@on_uvloop
async def test_a_file_comes_whole_behind_what_was_written_before(one: Connected, path: Path) -> None:
    with path.open("rb") as file:
        one.transport.write(b"head" * 100_000)
        sending = asyncio.create_task(asyncio.get_running_loop().sendfile(one.transport, file))
        assert await one.received(400_000 + LARGE) == b"head" * 100_000 + path.read_bytes()
        assert await sending == LARGE
        one.transport.write(b"next")
        assert await one.received(4) == b"next"


@on_uvloop
async def test_a_part_of_a_file_is_sent(one: Connected, path: Path) -> None:
    with path.open("rb") as file:
        assert await asyncio.get_running_loop().sendfile(one.transport, file, 7, 5000) == 5000
        assert await asyncio.get_running_loop().sendfile(one.transport, file, LARGE - 5, 100) == 5
    assert await one.received(5005) == path.read_bytes()[7:5007] + path.read_bytes()[-5:]


@on_uvloop
async def test_nothing_is_read_while_a_file_is_sent_and_all_that_came_is_read_afterwards(
    one: Connected, path: Path
) -> None:
    with path.open("rb") as file:
        sending = asyncio.create_task(asyncio.get_running_loop().sendfile(one.transport, file))
        await asyncio.sleep(0.05)
        assert not one.transport.is_reading(), "the door would take the connection for an idle one"
        await one.received(LARGE)
        await sending
    assert one.transport.is_reading()


@on_uvloop
async def test_a_client_that_leaves_ends_the_sending(one: Connected, path: Path) -> None:
    with path.open("rb") as file:
        sending = asyncio.create_task(asyncio.get_running_loop().sendfile(one.transport, file))
        await one.received(1000)
        one.client.close()
        with pytest.raises(ConnectionError):
            await sending


@on_uvloop
async def test_a_client_that_takes_nothing_is_hung_up_on_all_the_same(one: Connected, path: Path) -> None:
    with path.open("rb") as file:
        sending = asyncio.create_task(asyncio.get_running_loop().sendfile(one.transport, file))
        await asyncio.sleep(0.05)
        one.transport.abort()
        with pytest.raises(ConnectionResetError):
            await sending
    assert len(await one.received(LARGE)) < LARGE


@on_uvloop
async def test_to_a_connection_that_has_ended_nothing_is_sent(one: Connected, path: Path) -> None:
    one.transport.write(bytes(LARGE))
    one.transport.abort()
    with path.open("rb") as file, pytest.raises(ConnectionResetError):
        await asyncio.get_running_loop().sendfile(one.transport, file)
