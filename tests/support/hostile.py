"""Clients that mean no good: each opens connections, keeps them as it says, and comes back when it is hung up on."""

import asyncio
import gzip
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

LOGIN = b"POST /identity/v3/auth/tokens HTTP/1.1\r\nHost: cloud\r\nContent-Type: application/json\r\n"
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def bombs() -> list[bytes]:
    """Return whole requests whose bodies would inflate to 64 MiB."""
    zeros = bytes(64 << 20)
    deflated = zlib.compress(zeros, 9)
    gzipped = gzip.compress(zeros, 9)
    return [
        LOGIN + b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (name, len(body)) + body
        for name, body in ((b"gzip", gzipped), (b"deflate", deflated))
    ]


async def slow_header(stream: Stream) -> None:
    """Send one byte of a header a second."""
    _, writer = stream
    writer.write(b"GET /compute/v2.1/servers HTTP/1.1\r\nHost: cloud\r\nX-Slow: ")
    while True:
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(1)


async def half_body(stream: Stream) -> None:
    """Announce a body, send a half of it, and wait."""
    reader, writer = stream
    writer.write(LOGIN + b"Content-Length: 60000\r\n\r\n" + b" " * 30000)
    await writer.drain()
    await reader.read()


async def idle(stream: Stream) -> None:
    """Say nothing."""
    await stream[0].read()


async def unread(stream: Stream) -> None:
    """Ask again and again, and take no answer."""
    _, writer = stream
    while True:
        writer.write(b"GET /identity/v3 HTTP/1.1\r\nHost: cloud\r\n\r\n" * 50)
        await writer.drain()


def bomb(request: bytes) -> Callable[[Stream], Awaitable[None]]:
    """Make a client that sends a bomb each second."""

    async def send(stream: Stream) -> None:
        reader, writer = stream
        while True:
            writer.write(request)
            await writer.drain()
            if not await reader.read(65536):
                return
            await asyncio.sleep(1)

    return send


class Crowd:
    """Hostile clients of several kinds at one address; `ended` counts how often each kind was hung up on."""

    def __init__(self, host: str, port: int, number: int, local: str | None = None):
        self.host, self.port, self.local = host, port, local
        self.ended: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        kinds: list[tuple[str, Callable[[Stream], Awaitable[None]]]] = [
            ("slow header", slow_header),
            ("half body", half_body),
            ("idle", idle),
            ("unread", unread),
            *(("bomb", bomb(request)) for request in bombs()),
        ]
        self._kinds = [kinds[place % len(kinds)] for place in range(number)]
        self._tasks: list[asyncio.Task[None]] = []

    async def _keep(self, name: str, behave: Callable[[Stream], Awaitable[None]]) -> None:
        while True:
            try:
                stream = await asyncio.open_connection(
                    self.host, self.port, local_addr=(self.local, 0) if self.local else None
                )
            except OSError:
                self.refused[name] += 1
                await asyncio.sleep(1)
                continue
            with suppress(OSError):
                await behave(stream)
            self.ended[name] += 1
            stream[1].transport.abort()
            await asyncio.sleep(1)

    async def __aenter__(self) -> "Crowd":
        for name, behave in self._kinds:
            self._tasks.append(asyncio.create_task(self._keep(name, behave)))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
