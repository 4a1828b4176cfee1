"""QEMU's machine protocol: one connection to one guest, commands out and events in, a JSON object a line each."""

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
LINE = 1 << 20


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
            await monitor._reader.readuntil()  # the greeting
            await monitor._ask("qmp_capabilities")
            monitor.status = (await monitor._ask("query-status"))["return"]["status"]
            yield monitor
        finally:
            monitor._writer.close()
            for future in monitor._waiting.values():
                future.cancel()

    async def events(self) -> AsyncIterator[tuple[str, Mapping[str, Any]]]:
        """Yield name and data of each event until QEMU ends; answers to commands are only read while this runs."""
        for message in self._early:
            yield str(message["event"]), message.get("data", {})
        while line := await self._reader.readline():
            message = json.loads(line)
            if "event" in message:
                yield str(message["event"]), message.get("data", {})
            elif (future := self._waiting.pop(message.get("id", -1), None)) is not None and not future.done():
                future.set_result(message)

    async def execute(self, command: str, **arguments: object) -> Any:
        """Return what the command returns. Raises Busy when it fails or QEMU does not answer."""
        number = self._send(command, arguments)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        return await self._answer(command, number)

    async def _answer(self, command: str, number: int) -> Any:
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                answer = await self._waiting[number]
        except TimeoutError:
            raise Busy(f"QEMU did not answer {command} within {ANSWER_WITHIN:g} s") from None
        finally:
            self._waiting.pop(number, None)
        if "error" in answer:
            raise Busy(f"QEMU refused {command}: {answer['error'].get('desc', '')}")
        return answer["return"]

    async def hand_over(self, name: str, descriptor: int) -> None:
        """Give QEMU a descriptor of ours under a name, for a command that takes `fd:NAME`."""
        await self._writer.drain()
        number, message = self._message("getfd", {"fdname": name})
        self._waiting[number] = asyncio.get_running_loop().create_future()
        # asyncio sends no descriptors: a copy of its socket does, and so small a message never waits for room.
        with socket.socket(fileno=os.dup(self._writer.get_extra_info("socket").fileno())) as copy:
            socket.send_fds(copy, [message], [descriptor])
        await self._answer("getfd", number)

    async def _ask(self, command: str) -> Mapping[str, Any]:
        """Return the answer while nobody reads the events yet; those that come in between are kept."""
        number = self._send(command, {})
        while True:
            message: Mapping[str, Any] = json.loads(await self._reader.readuntil())
            if message.get("id") == number:
                return message
            if "event" in message:
                self._early.append(message)

    def _send(self, command: str, arguments: Mapping[str, object]) -> int:
        number, message = self._message(command, arguments)
        self._writer.write(message)
        return number

    def _message(self, command: str, arguments: Mapping[str, object]) -> tuple[int, bytes]:
        self._sent += 1
        message = {"execute": command, "arguments": dict(arguments), "id": self._sent}
        return self._sent, json.dumps(message).encode() + b"\n"
