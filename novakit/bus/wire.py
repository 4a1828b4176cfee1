"""One connection between two processes of a machine: frames, the questions asked on it, and those answered.

The idea: each question has a number that its sender chose, and answers come in any order. Whoever is asked works in a
task for each question, so a slow answer holds up no other.
The invariant: each question ends once: by its answer, by its time, by a cancellation that the other side is told of, or
by the end of the connection. A frame is sent without waiting, so one task can speak to all participants; one that
does not read is hung up on at `BACKLOG` bytes, and so takes a bounded part of the memory.
The cost: 75 µs for a question and its answer over a Unix socket, encoded and decoded on both sides; a task for each.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs
import orjson
import structlog

from novakit import world
from novakit.bus.interface import BusError, NotTaken, Unreachable, plain_of, remote_error
from novakit.bus.memory import EXPECTED

log = structlog.get_logger(__name__)

LIMIT = 64 << 20
"""Bytes of one message."""

BACKLOG = 2 * LIMIT
"""Bytes that may wait for a participant that reads nothing before it is hung up on."""

LAST_WORDS = 1.0
"""Seconds that the other side of a connection gets to read what is still to be sent when it ends."""

_PEER = struct.Struct("iII")
"""Process, user and group of the other side of a Unix socket, as Linux tells them."""


class BadFrame(ConnectionError):
    """The other side sent what no participant sends, so the connection ends."""


@attrs.define(eq=False)
class Wire:
    """Frames on one connection: a length, then JSON."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    size: int = 0
    """Bytes of the message that was read last."""

    async def read(self, limit: int = LIMIT) -> dict[str, object]:
        size = int.from_bytes(await self.reader.readexactly(4), "big")
        if size > limit:
            raise BadFrame(f"a message of {size} bytes is above {limit}")
        self.size = size
        frame = orjson.loads(await self.reader.readexactly(size))
        if not isinstance(frame, dict):
            raise BadFrame("a message must be an object")
        return frame

    def send(self, **frame: object) -> None:
        encoded = orjson.dumps(frame, default=plain_of)
        # Not awaited: a participant that reads slowly must not stop the hub, which speaks to all of them in one task.
        self.writer.write(len(encoded).to_bytes(4, "big") + encoded)
        if self.writer.transport.get_write_buffer_size() > BACKLOG:
            log.warning("a bus participant does not read what it is sent", waiting=BACKLOG)
            self.hang_up()

    def user(self) -> int:
        """Return the Unix user on the other side of the socket."""
        peer = self.writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        _, user, _ = _PEER.unpack(peer)
        return int(user)

    def hang_up(self) -> None:
        """End the connection without waiting for anything that is still to be sent."""
        self.writer.transport.abort()

    async def close(self) -> None:
        """Send what is still to be sent, and end the connection; who does not read it is hung up on."""
        self.writer.close()
        late = asyncio.get_running_loop().call_later(LAST_WORDS, self.hang_up)
        try:
            with contextlib.suppress(OSError):
                await self.writer.wait_closed()
        finally:
            late.cancel()


class NotANewQuestion(BadFrame):
    """The number of a question is none, or that of one which is being answered."""


ENDED = (asyncio.IncompleteReadError, OSError, orjson.JSONDecodeError)


@attrs.define
class Asking:
    """Questions on a connection that wait for their answers."""

    wire: Wire
    _open: dict[int, asyncio.Future[object]] = attrs.field(factory=dict)
    _last: int = 0

    async def ask(self, kind: str, within: float, **frame: object) -> object:
        self._last += 1
        number = self._last
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._open[number] = answer
        try:
            self.wire.send(t=kind, id=number, within=within, **frame)
            # A second longer than the other side: its own answer that it was too late says more than ours would.
            async with asyncio.timeout(within + 1):
                return await answer
        except TimeoutError as error:
            raise Unreachable(f"no answer within {within} s") from error
        except asyncio.CancelledError:
            self.wire.send(t="cancel", id=number)
            raise
        finally:
            self._open.pop(number, None)

    def answered(self, frame: Mapping[str, Any]) -> None:
        answer = self._open.get(frame["id"])
        if answer is None or answer.done():
            return
        if "error" not in frame:
            answer.set_result(frame.get("ok"))
        elif frame.get("unreachable"):
            answer.set_exception((NotTaken if frame.get("not_taken") else Unreachable)(frame["error"]))
        else:
            answer.set_exception(remote_error(frame["kind"], frame["error"]))

    def lost(self) -> None:
        for answer in self._open.values():
            if not answer.done():
                answer.set_exception(Unreachable("the connection to the bus was lost"))


@attrs.define
class Answering:
    """Questions from the other side, each in a task of its own."""

    wire: Wire
    _tasks: dict[int, asyncio.Task[None]] = attrs.field(factory=dict)

    @property
    def open(self) -> int:
        """Return how many are being answered."""
        return len(self._tasks)

    def begin(self, number: int, work: Callable[[], Awaitable[object]], name: str) -> None:
        """Answer a question in a task. Raises NotANewQuestion for a number that is being answered already."""
        # The number is the sender's: one that came twice would take the place of the first, which nobody then counts.
        if type(number) is not int or number in self._tasks:
            raise NotANewQuestion(f"{str(number)[:40]!r} is not the number of a new question")
        task = world.spawn(self._answer(number, work, name), name=name)
        self._tasks[number] = task
        task.add_done_callback(lambda _: self._tasks.pop(number, None))

    async def _answer(self, number: int, work: Callable[[], Awaitable[object]], name: str) -> None:
        try:
            self.wire.send(t="reply", id=number, ok=await work())
        except Unreachable as error:
            not_taken = isinstance(error, NotTaken)
            self.wire.send(t="reply", id=number, error=str(error), unreachable=True, not_taken=not_taken)
        except Exception as error:
            kind = getattr(error, "kind", "") or type(error).__name__
            if kind not in EXPECTED and not isinstance(error, BusError):
                log.warning("a bus call could not be answered", call=name, exc_info=error)
            self.wire.send(t="reply", id=number, error=str(error), kind=kind)

    def cancel(self, number: int) -> None:
        if task := self._tasks.get(number):
            task.cancel()

    async def all_given(self, within: float) -> None:
        """Wait for up to `within` seconds until every question so far is answered."""
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=within)

    def lost(self) -> None:
        for task in list(self._tasks.values()):
            task.cancel()
