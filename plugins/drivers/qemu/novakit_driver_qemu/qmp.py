"""QEMU's machine protocol: one connection to one guest, commands out and events in, a JSON object a line each.

The idea: commands are numbered, and whoever follows the events hands each answer to the future that waits for it; while
the connection is made nobody follows yet, and what comes between is kept for whoever does.
The invariant: a guest may have taken its QEMU over, so nothing that comes in is believed to be of the protocol: what is
not ends the connection with a ValueError, lines and early events are bounded, and one QEMU that talks without end takes
turns with everything else. An answer is only given to the command whose number it names, and after `ANSWER_WITHIN`
nobody waits for it.
The cost: two messages before the first command, then one for each; at most `LINE` (1 MiB) of memory for a line.
"""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import attrs

from novakit_hookspecs.errors import Busy

ANSWER_WITHIN = 10.0
"""Seconds; a QEMU that is well answers in milliseconds, one that does not is asked again by the core."""
LINE = 1 << 20
"""Bytes of one line of QMP; far above any answer or event."""
EARLY = 1000
"""Events that are kept until somebody listens; a QEMU that has just started tells a few."""


@attrs.define(eq=False)
class QmpMonitor:
    """An open connection."""

    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter
    _waiting: "dict[int, asyncio.Future[Any]]" = attrs.field(init=False, factory=dict)
    _sent: int = attrs.field(init=False, default=0)
    _early: "list[Mapping[str, Any]]" = attrs.field(init=False, factory=list)
    status: str = attrs.field(init=False, default="")
    """What the machine did when the connection was made: running, paused, io-error, ..."""

    @classmethod
    @asynccontextmanager
    async def connect(cls, directory: Path, name: str) -> AsyncIterator[Self]:
        """Connect to the socket of that name; raise `OSError` or `EOFError` when no QEMU listens there.

        QEMU serves one connection at a time, so this may wait for as long as another has it.
        """
        descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY)
        try:
            # A socket's path has at most 107 bytes, and a state directory may lie deep.
            opened = await asyncio.open_unix_connection(f"/proc/self/fd/{descriptor}/{name}", limit=LINE)
        finally:
            os.close(descriptor)
        monitor = cls(*opened)
        try:
            await monitor._next()  # the greeting
            await monitor._ask("qmp_capabilities")
            monitor.status = str(_object((await monitor._ask("query-status")).get("return")).get("status"))
            yield monitor
        finally:
            monitor._writer.close()
            for future in monitor._waiting.values():
                future.cancel()

    async def events(self) -> AsyncIterator[tuple[str, Mapping[str, object]]]:
        """Yield name and data of each event until QEMU ends; answers to commands are only read while this runs.

        Raises ValueError for a line that is not a message of QMP.
        """
        for message in self._early:
            yield _event(message)
        while line := await self._reader.readline():
            message = _parsed(line)
            if "event" in message:
                yield _event(message)
            elif (future := self._answered(message)) is not None and not future.done():
                future.set_result(message)
            await asyncio.sleep(0)  # a line that is there already is read without a pause

    async def execute(self, command: str, **arguments: object) -> Any:
        """Return what the command returns. Raises Busy when it fails or QEMU does not answer."""
        number = self._send(command, arguments)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        return await self._answer(command, number)

    async def _answer(self, command: str, number: int) -> object:
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                answer = await self._waiting[number]
        except TimeoutError:
            raise Busy(f"QEMU did not answer {command} within {ANSWER_WITHIN:g} s") from None
        finally:
            self._waiting.pop(number, None)
        if "error" in answer:
            raise Busy(f"QEMU refused {command}: {str(answer['error'])[:300]}")
        return answer.get("return", {})

    async def hand_over(self, name: str, descriptor: int) -> None:
        """Give QEMU a descriptor of ours under a name, for a command that takes `fd:NAME`."""
        await self._writer.drain()
        number, message = self._message("getfd", {"fdname": name})
        self._waiting[number] = asyncio.get_running_loop().create_future()
        # asyncio sends no descriptors: a copy of its socket does, and so small a message never waits for room.
        with socket.socket(fileno=os.dup(self._writer.get_extra_info("socket").fileno())) as copy:
            socket.send_fds(copy, [message], [descriptor])
        await self._answer("getfd", number)

    async def _ask(self, command: str) -> Mapping[str, object]:
        """Return the answer while nobody reads the events yet; those that come in between are kept."""
        number = self._send(command, {})
        while True:
            message = await self._next()
            if message.get("id") == number:
                return message
            if "event" in message and len(self._early) < EARLY:
                self._early.append(message)

    async def _next(self) -> Mapping[str, object]:
        try:
            return _parsed(await self._reader.readuntil())
        except asyncio.LimitOverrunError as error:
            raise ValueError(f"QEMU wrote a line of more than {LINE} bytes") from error

    def _answered(self, message: Mapping[str, object]) -> "asyncio.Future[Any] | None":
        number = message.get("id")
        return self._waiting.pop(number, None) if isinstance(number, int) else None

    def _send(self, command: str, arguments: Mapping[str, object]) -> int:
        number, message = self._message(command, arguments)
        self._writer.write(message)
        return number

    def _message(self, command: str, arguments: Mapping[str, object]) -> tuple[int, bytes]:
        self._sent += 1
        message = {"execute": command, "arguments": dict(arguments), "id": self._sent}
        return self._sent, json.dumps(message).encode() + b"\n"


def _parsed(line: bytes) -> Mapping[str, object]:
    try:
        return _object(json.loads(line))
    except RecursionError as error:
        raise ValueError("QEMU wrote a line that is nested too deep") from error


def _event(message: Mapping[str, object]) -> tuple[str, Mapping[str, object]]:
    return str(message["event"]), _object(message.get("data", {}))


def _object(said: object) -> Mapping[str, object]:
    if not isinstance(said, dict):
        raise ValueError(f"QEMU wrote {str(said)[:80]!r} where a JSON object was expected")
    return said
