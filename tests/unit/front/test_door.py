"""The door, before a real server on a real socket, with limits that a test can wait for."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest
from aiohttp import web

from novakit import logs, world
from novakit.config.connections import LogOptions
from novakit.front import ConnectionOptions, Door, ports
from novakit.front.door import Phase
from novakit.front.unreadable import MOST_AHEAD, anonymous

SHORT = ConnectionOptions(total=8, per_address=6, header_within=1.5, body_within=0.6, idle_within=0.6, send_within=0.6)
LONG = ConnectionOptions(total=8, per_address=6)
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
PATIENCE = 10.0


@attrs.frozen
class Place:
    door: Door
    port: int
    kept: list[Any] = attrs.field(factory=list)

    async def connect(self, data: bytes = b"", local: str = "127.0.0.1") -> tuple[Any, Any]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(local, 0))
        self.kept.append((reader, writer))  # a stream that nobody holds is closed
        writer.write(data)
        await writer.drain()
        return reader, writer

    async def phases(self, *wanted: Phase) -> None:
        """Wait until the connections are in these phases."""
        async with asyncio.timeout(PATIENCE):
            while sorted(one.phase.name for one in self.door.open) != sorted(one.name for one in wanted):
                await asyncio.sleep(0.01)


async def echo(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_bytes(message.data)
    return socket


@asynccontextmanager
async def serving(limits: ConnectionOptions, room: int | None = None) -> AsyncIterator[Place]:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/slow":
            await asyncio.sleep(1.5)
        if request.path == "/websocket":
            return await echo(request)
        if request.path == "/big":
            return web.Response(body=bytes(32 << 20))
        return web.Response(text=f"{len(await request.read())} {request.scheme}")

    door = Door(limits, room=room or limits.total)
    app = web.Application(middlewares=[door.middleware])
    app.on_response_prepare.append(anonymous)
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None, auto_decompress=False, shutdown_timeout=0.1)
    await runner.setup()
    assert runner.server is not None
    [sock] = await ports.taken("127.0.0.1", 0)
    server = await door.listen(runner.server, sock)
    watch = world.spawn(door.watch(), name="door")
    try:
        yield Place(door, server.sockets[0].getsockname()[1])
    finally:
        watch.cancel()
        server.close()
        await runner.cleanup()


async def ended(reader: Any) -> bytes:
    """Read until the server hangs up, and give what it said."""
    try:
        async with asyncio.timeout(PATIENCE):
            return bytes(await reader.read())
    except ConnectionError:
        return b""


async def answered(reader: Any) -> bytes:
    async with asyncio.timeout(PATIENCE):
        head: bytes = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return head + bytes(await reader.readexactly(length))


def check_refusal(answer: bytes, status: int, words: str) -> None:
    """Hold an answer of the door's to the form that errors of novakit's own API have."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): text for name, _, text in (line.partition(": ") for line in lines[1:])}
    fault = json.loads(body)["error"]
    assert lines[0].startswith(f"HTTP/1.1 {status} ") and fault["code"] == status
    assert headers["content-type"] == "application/json" and int(headers["content-length"]) == len(body)
    assert headers["x-openstack-request-id"] == fault["request_id"] and fault["request_id"].startswith("req-")
    assert words in fault["message"] and fault["title"] in lines[0]


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nA: b"])
async def test_headers_that_do_not_come_end_the_connection(begun: bytes) -> None:
    async with serving(SHORT) as place:
        reader, _ = await place.connect(begun)
        check_refusal(await ended(reader), 408, "did not arrive in time")
        assert place.door.hung_up == {"header": 1}
        assert not place.door.open


async def test_headers_that_drip_have_no_more_time_than_those_that_stop() -> None:
    async with serving(SHORT) as place:
        reader, writer = await place.connect(b"GET / HTTP/1.1\r\n")
        started = world.monotonic()
        waiting = asyncio.create_task(ended(reader))
        while not waiting.done() and world.monotonic() - started < PATIENCE:
            writer.write(b"A: b\r\n")
            await asyncio.sleep(0.05)
        # What was sent after the last look resets the connection, and an answer that was not read yet goes with it.
        told = await waiting
        assert told == b"" or told.startswith(b"HTTP/1.1 408 ")
        assert place.door.hung_up["header"] == 1


def long_headers(number: int) -> bytes:
    return b"".join(b"h%d: " % one + b"a" * 1000 + b"\r\n" for one in range(number))


async def test_headers_that_are_too_much_together_end_the_connection_before_they_are_complete() -> None:
    async with serving(LONG) as place:
        reader, writer = await place.connect(b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n" + long_headers(20))
        await place.phases(Phase.HEAD)
        writer.write(long_headers(14))
        # What was sent after the last look resets the connection, and an answer that was not read yet goes with it.
        if told := await ended(reader):
            check_refusal(told, 431, "more than 32768 bytes")
        assert place.door.hung_up == {"ahead": 1} and not place.door.open


async def test_whole_requests_that_are_sent_far_ahead_end_the_connection() -> None:
    """Each would wait in memory for its turn: 32 of them are what aiohttp keeps, with 128 long headers each."""
    async with serving(LONG) as place:
        request = GET[:-2] + long_headers(3) + b"\r\n"
        reader, _ = await place.connect(GET.replace(b"/", b"/slow", 1) + request * 60)
        await ended(reader)
        assert place.door.hung_up == {"ahead": 1} and not place.door.open


async def test_bodies_and_requests_whose_turn_has_come_count_as_nothing_sent_ahead() -> None:
    async with serving(LONG) as place:
        upload = (
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n" + long_headers(9) + b"\r\n" + b"x" * 100_000
        )
        chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunked += b"c350\r\n" + b"x" * 50_000 + b"\r\n" + b"c350\r\n" + b"\r\n\r\n" * 12_500 + b"\r\n0\r\n\r\n"
        reader, writer = await place.connect()
        for _ in range(5):
            writer.write(upload + chunked + GET + GET[:-2] + long_headers(9) + b"\r\n" + upload)
            for size in (b"100000", b"100000", b"0", b"0", b"100000"):
                assert size + b" http" in await answered(reader)
        assert place.door.hung_up == {}


@pytest.mark.parametrize("at_once", [0, 20 << 10])
async def test_what_a_websocket_carries_counts_as_nothing_sent_ahead(at_once: int) -> None:
    """Also what came before its handler took the connection over."""
    async with serving(LONG) as place, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"http://127.0.0.1:{place.port}/websocket") as socket:
            for number in range(1, 11):
                sent = bytes([number]) * (MOST_AHEAD // 2)
                await socket.send_bytes(sent)
                assert await socket.receive_bytes(timeout=PATIENCE) == sent
        assert not place.door.hung_up
        upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        key = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        # A frame of 1,024 zeros, masked with zeros.
        frame = b"\x82\xfe\x04\x00" + bytes(4 + 1024)
        reader, writer = await place.connect(
            b"GET /websocket HTTP/1.1\r\nHost: x\r\n" + upgrade + key + frame * (at_once // len(frame))
        )
        async with asyncio.timeout(PATIENCE):
            assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
            for _ in range(40):
                writer.write(frame)
            for _ in range(40 + at_once // len(frame)):
                assert await reader.readexactly(4 + 1024) == b"\x82\x7e\x04\x00" + bytes(1024)
        assert not place.door.hung_up


async def test_a_body_that_stops_ends_the_connection_and_one_that_keeps_up_does_not() -> None:
    async with serving(attrs.evolve(SHORT, body_rate=1000)) as place:
        reader, writer = await place.connect(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n")
        for _ in range(8):
            writer.write(b"x" * 500)
            await asyncio.sleep(0.2)
        assert b"4000 http" in await answered(reader)
        stopped, _ = await place.connect(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\nhalf")
        assert await ended(stopped) == b""
        assert place.door.hung_up["body"] == 1


async def test_a_connection_is_kept_between_requests_for_a_while() -> None:
    async with serving(SHORT) as place:
        reader, writer = await place.connect(GET)
        assert b"0 http" in await answered(reader)
        await asyncio.sleep(0.3)
        writer.write(GET)
        assert b"0 http" in await answered(reader)
        assert await ended(reader) == b""
        assert place.door.hung_up == {"idle": 1}


async def test_an_answer_that_takes_long_is_not_the_clients_fault() -> None:
    async with serving(SHORT) as place:
        reader, _ = await place.connect(GET.replace(b"/ ", b"/slow "))
        assert b"0 http" in await answered(reader)


async def test_who_does_not_take_his_answer_is_hung_up_on() -> None:
    async with serving(SHORT) as place:
        reader, _ = await place.connect(GET.replace(b"/ ", b"/big "))
        reader._transport.pause_reading()
        async with asyncio.timeout(PATIENCE):
            await place.phases()


async def test_a_newcomer_takes_the_place_of_who_waits_longest_of_his_address() -> None:
    async with serving(LONG) as place:
        others = [await place.connect() for _ in range(6)]
        await place.phases(*[Phase.HEAD] * 6)
        reader, _ = await place.connect(GET)
        assert b"0 http" in await answered(reader)
        assert await ended(others[0][0]) == b""
        assert place.door.hung_up == {"per_address": 1}


async def test_idle_strangers_go_before_connections_that_were_used() -> None:
    async with serving(LONG) as place:
        used, writer = await place.connect(GET)
        await answered(used)
        for _ in range(9):
            await place.connect()
            await asyncio.sleep(0.02)
        writer.write(GET)
        assert b"0 http" in await answered(used)
        assert place.door.hung_up == {"per_address": 4}


async def test_where_all_is_full_the_address_that_has_most_pays() -> None:
    async with serving(LONG) as place:
        one, writer = await place.connect(local="127.0.0.3")
        for _ in range(6):
            await place.connect(local="127.0.0.2")
        await place.phases(*[Phase.HEAD] * 7)
        for number in range(4, 8):
            await place.connect(local=f"127.0.0.{number}")
        await place.phases(*[Phase.HEAD] * 8)
        writer.write(GET)
        assert b"0 http" in await answered(one)
        assert place.door.hung_up == {"total": 3}


async def test_who_is_being_answered_is_never_hung_up_on_and_the_newcomer_is_told() -> None:
    async with serving(LONG) as place:
        working = [await place.connect(GET.replace(b"/ ", b"/slow ")) for _ in range(6)]
        await place.phases(*[Phase.WORK] * 6)
        reader, _ = await place.connect(GET)
        said = await ended(reader)
        if said:  # nothing where the client was hung up on before it could read
            check_refusal(said, 503, "Too many connections")
            assert b"Retry-After: 1" in said
        for one, _ in working:
            assert b"0 http" in await answered(one)


async def test_a_trusted_proxy_may_have_as_many_as_fit_and_says_the_scheme() -> None:
    async with serving(attrs.evolve(LONG, trusted_proxies=("127.0.0.0/8",))) as place:
        several = [await place.connect() for _ in range(7)]
        await place.phases(*[Phase.HEAD] * 7)
        reader, writer = several[0]
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: https\r\n\r\n")
        assert b"0 https" in await answered(reader)


async def test_requests_sent_at_once_are_all_answered() -> None:
    async with serving(SHORT) as place:
        reader, _ = await place.connect(GET * 5)
        for _ in range(5):
            assert b"0 http" in await answered(reader)


CANARY = b"kQ7canary3zWx"


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Auth-Token: " + CANARY + b"k" * 9000 + b"\r\n\r\n",
        b"GET /?token=" + CANARY + b"k" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Auth-Token " + CANARY + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Auth-Token: " + CANARY + b"\x01\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + CANARY + b"\r\n\r\n",
        CANARY + b" \x00\xff\r\n\r\n",
    ],
)
async def test_what_could_not_be_read_is_refused_as_json_and_not_quoted(request_: bytes) -> None:
    async with serving(SHORT) as place:
        reader, _ = await place.connect(request_)
        head, _, body = (await ended(reader)).partition(b"\r\n\r\n")
        assert head.split()[1] == b"400"
        assert b"application/json" in head and b"server:" not in head.lower()
        assert CANARY not in head + body
        assert json.loads(body)["error"]["code"] == 400


async def test_what_could_not_be_read_is_a_warning_that_is_folded(tmp_path: Path) -> None:
    logs.configure(tmp_path / "log", LogOptions(repeats=3))
    async with serving(LONG) as place:
        for _ in range(6):
            reader, _ = await place.connect(b"GET / HTTP/1.1\r\n" + CANARY + b"\r\n\r\n")
            await ended(reader)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [(one["level"], one["event"]) for one in lines] == [("warning", "a request could not be read")] * 3
    assert lines[0]["client"] == "127.0.0.1" and lines[0]["why"] == "BadHttpMessage"
    assert CANARY.decode() not in (tmp_path / "log").read_text()


async def test_answers_do_not_name_the_program_that_gives_them() -> None:
    async with serving(SHORT) as place:
        reader, _ = await place.connect(GET)
        assert b"server:" not in (await answered(reader)).lower()
