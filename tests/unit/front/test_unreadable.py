"""Connections that end at awkward moments, on real sockets."""

import asyncio
import socket

from aiohttp import web

from novakit.front.unreadable import reader


async def test_a_request_that_comes_together_with_the_end_of_its_connection_is_not_begun() -> None:
    begun: list[str] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        begun.append(request.path)
        return web.Response()

    server, (near, far) = web.Server(answer), socket.socketpair()
    with far:
        transport, protocol = await asyncio.get_running_loop().connect_accepted_socket(lambda: reader(server), near)
        await asyncio.sleep(0)  # it waits for a request now
        serving = protocol._task_handler
        assert serving is not None
        transport.abort()
        protocol.data_received(b"GET /early HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait([serving], timeout=10)
        # Which of the two it is depends on the version of aiohttp; a request begun on the emptied protocol raises.
        assert serving.done() and (serving.cancelled() or serving.exception() is None)
        assert begun == []
