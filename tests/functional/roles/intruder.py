"""A client of the bus that sends whatever it likes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import orjson

from novakit.bus import enrolments
from tests.support.credentials import credential_of as of


@attrs.define
class Intruder:
    """A connection to the bus that keeps to no rule of its own accord: what it sends is what arrives."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    _last: int = 0

    @classmethod
    @asynccontextmanager
    async def joined(cls, state: Path, identity: str, credential_of: str) -> AsyncIterator["Intruder"]:
        """Join as `identity` with the credential that was made for `credential_of`."""
        async with cls._as(identity, of(state, credential_of)) as made:
            yield made

    @classmethod
    def with_file(cls, path: Path, identity: str) -> AbstractAsyncContextManager["Intruder"]:
        """Join as `identity` with the credential that lies in a file, at the bus that it names."""
        return cls._as(identity, enrolments.read(path))

    @classmethod
    @asynccontextmanager
    async def _as(cls, identity: str, credential: enrolments.Credential) -> AsyncIterator["Intruder"]:
        made = cls(*await asyncio.open_unix_connection(credential.bus))
        made.send(identity=identity, credential=credential.secret)
        try:
            yield made
        finally:
            made.writer.close()

    def send(self, **frame: Any) -> None:
        encoded = orjson.dumps(frame)
        self.writer.write(len(encoded).to_bytes(4, "big") + encoded)

    async def read(self) -> dict[str, Any]:
        async with asyncio.timeout(30):
            size = int.from_bytes(await self.reader.readexactly(4), "big")
            frame: dict[str, Any] = orjson.loads(await self.reader.readexactly(size))
        return frame

    async def call(self, target: str, method: str, body: Any) -> dict[str, Any]:
        """Ask, and give the whole reply."""
        self._last += 1
        self.send(t="call", id=self._last, target=target, method=method, body=body, within=20)
        while (frame := await self.read())["t"] != "reply":
            continue
        return frame

    async def closed(self) -> bool:
        """Say whether the hub hung up."""
        try:
            await self.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            return True
        return False
