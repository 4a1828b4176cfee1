"""The event loop of `novakit serve`: uvloop's, and what it lacks of asyncio's, files that the kernel sends by itself.

The idea: uvloop does in C what asyncio does in Python for each callback, timer and byte; but without `sendfile` a
gigabyte of an image would take 1.3 s of CPU. So a file is sent through a descriptor of our own of the client's socket,
beside the transport, which has nothing to send meanwhile.
The invariant: what was written before goes before the file, and nobody writes while it is sent. A connection that is
hung up on is let go of within `LOOK_EVERY` seconds, however little its client takes.
The cost: 0.24 s of CPU for a gigabyte, as with asyncio's own loop, which costs 0.8 ms more for each new server.
"""

import asyncio
import os
from contextlib import suppress
from typing import IO, cast

import uvloop

from novakit.concurrency.deadlines import Deadline

LOOK_EVERY = 1.0
"""Seconds between two looks whether the connection is still to be served, while its client takes nothing."""
AT_ONCE = 1 << 20
"""Bytes of a file between which others get their turn."""
_SOON = 0.01
"""Seconds after which it is looked again whether a client has taken what was written before the file."""


class Loop(uvloop.Loop):
    """uvloop's event loop, which sends files."""

    async def sendfile(
        self,
        transport: asyncio.BaseTransport,
        file: IO[bytes],
        offset: int = 0,
        count: int | None = None,
        *,
        fallback: bool = True,
    ) -> int:
        """Send a part of a file to a client, and return how many bytes went.

        Raises ConnectionError where the connection ends before. One that is encrypted is refused as by uvloop, so that
        aiohttp reads the file and writes it.
        """
        connection = cast(asyncio.Transport, transport)
        if connection.get_extra_info("sslcontext") is not None:
            return await super().sendfile(transport, file, offset, count, fallback=fallback)
        _require_open(connection)
        was_reading = connection.is_reading()
        connection.pause_reading()  # as asyncio does: so the door knows that the connection is at work
        try:
            await self._taken(connection)
            end = offset + count if count is not None else os.fstat(file.fileno()).st_size
            return await self._sent(connection, file.fileno(), offset, end)
        finally:
            if was_reading and not connection.is_closing():
                connection.resume_reading()

    async def _sent(self, connection: asyncio.Transport, file: int, start: int, end: int) -> int:
        to, at = os.dup(connection.get_extra_info("socket").fileno()), start
        try:
            while at < end:
                _require_open(connection)
                try:
                    piece = os.sendfile(to, file, at, min(end - at, AT_ONCE))
                except BlockingIOError:
                    await self._writable(to)
                    continue
                if not piece:
                    break  # the file is shorter than it was
                at += piece
                await asyncio.sleep(0)
        finally:
            os.close(to)
        return at - start

    async def _taken(self, connection: asyncio.Transport) -> None:
        """Wait until what was written is with the kernel: the headers, as a rule at once."""
        seconds = 0.0
        while connection.get_write_buffer_size():
            await asyncio.sleep(seconds)
            _require_open(connection)
            seconds = _SOON

    async def _writable(self, socket: int) -> None:
        """Wait until a socket takes more, or it is time to look whether it is needed any more."""
        ready: asyncio.Future[None] = self.create_future()

        def wake() -> None:
            if not ready.done():
                ready.set_result(None)

        self.add_writer(socket, wake)
        try:
            with suppress(TimeoutError), Deadline(LOOK_EVERY):
                await ready
        finally:
            self.remove_writer(socket)


def _require_open(connection: asyncio.Transport) -> None:
    if connection.is_closing():
        raise ConnectionResetError("The client was hung up on, or has left.")
