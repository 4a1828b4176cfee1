"""Connections that end at awkward moments, on real sockets."""

import asyncio
import socket

import orjson
from aiohttp import web
from structlog.testing import capture_logs

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


async def test_a_request_that_fails_outside_every_service_is_found_in_the_log_by_the_id_that_the_client_is_told() -> (
    None
):
    async def fails(_request: web.BaseRequest) -> web.Response:
        raise ValueError("a mistake")

    server, (near, far) = web.Server(fails), socket.socketpair()
    with far, capture_logs() as logs:
        far.setblocking(False)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: reader(server), near)
        await asyncio.get_running_loop().sock_sendall(far, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        told = b""
        while piece := await asyncio.wait_for(asyncio.get_running_loop().sock_recv(far, 4096), 10):
            told += piece
    fault = orjson.loads(told.partition(b"\r\n\r\n")[2])["error"]
    assert fault["code"] == 500 and "tell the operator the request id" in fault["message"]
    assert [one["request_id"] for one in logs if one["event"] == "a request could not be answered"] == [
        fault["request_id"]
    ]
