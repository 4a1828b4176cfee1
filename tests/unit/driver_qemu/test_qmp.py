"""The QMP client against a QEMU made of a few lines."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from novakit_driver_qemu.qmp import QmpMonitor
from novakit_hookspecs.errors import Busy


@pytest.fixture
async def deep(tmp_path: Path) -> AsyncIterator[Path]:
    """A directory whose path is longer than a socket's may be, with a QEMU that listens in it."""
    directory = tmp_path / ("d" * 100)
    directory.mkdir()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'{"QMP": {}}\n')
        while line := await reader.readline():
            asked = json.loads(line)
            writer.write(b'{"event": "NOISE"}\n')
            match asked["execute"]:
                case "quit":
                    writer.write(b'{"event": "SHUTDOWN", "data": {"guest": false}}\n{"torn')
                    break
                case "query-status":
                    answer = {"return": {"status": "paused"}}
                case "system_powerdown":
                    answer = {"error": {"class": "GenericError", "desc": "no such button"}}
                case _:
                    answer = {"return": {}}
            writer.write(json.dumps({**answer, "id": asked["id"]}).encode() + b"\n")
        writer.close()

    (tmp_path / "short").symlink_to(directory)
    server = await asyncio.start_unix_server(serve, tmp_path / "short/nk.qmp")
    yield directory
    server.close()


async def test_commands_are_answered_and_events_told_until_qemu_ends(deep: Path) -> None:
    heard = []
    async with QmpMonitor.connect(deep, "nk.qmp") as monitor:
        assert monitor.status == "paused"

        async def listen() -> None:
            with pytest.raises(ValueError):
                async for name, data in monitor.events():
                    heard.append((name, dict(data)))

        listening = asyncio.get_running_loop().create_task(listen())
        assert await monitor.execute("cont") == {}
        with pytest.raises(Busy, match="no such button"):
            await monitor.execute("system_powerdown")
        ending = asyncio.get_running_loop().create_task(monitor.execute("quit"))
        await asyncio.wait_for(listening, 10)
    await asyncio.gather(ending, return_exceptions=True)
    assert heard[:2] == [("NOISE", {}), ("NOISE", {})], "events from before anybody listened are kept"
    assert heard[-1] == ("SHUTDOWN", {"guest": False})


async def test_a_socket_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        async with QmpMonitor.connect(tmp_path, "nk.qmp"):
            pass
