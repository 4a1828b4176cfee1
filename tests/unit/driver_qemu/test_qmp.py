"""The QMP client against a QEMU made of a few lines."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from novakit_driver_qemu.qmp import EARLY, LINE, QmpMonitor
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


HOSTILE = {
    "no object": b"[1]\n",
    "no JSON": b"hello\n",
    "too long": b'"' + b"x" * (LINE + 10) + b'"\n',
    "too deep": b"[" * 200_000 + b"\n",
    "no status": b'{"return": 5, "id": 2}\n',
    "data that is none": b'{"event": "STOP", "data": []}\n' * 2,
    "an id that is none": b'{"return": {}, "id": []}\n{"event": "STOP", "data": 1}\n',
    "a flood": b'{"event": "NOISE"}\n' * (EARLY * 20) + b"[]\n",
}


@pytest.mark.parametrize("when", [0, 1, 2, 3])
@pytest.mark.parametrize("said", HOSTILE.values(), ids=HOSTILE)
async def test_a_qemu_that_was_taken_over_ends_its_connection_and_nothing_else(
    tmp_path: Path, said: bytes, when: int
) -> None:
    """It is polite for `when` lines, and then says what it likes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        polite = [b'{"QMP": {}}', b'{"return": {}, "id": 1}', b'{"return": {"status": "running"}, "id": 2}']
        for line in polite[:when]:
            writer.write(line + b"\n")
        writer.write(said)
        writer.close()

    server = await asyncio.start_unix_server(serve, tmp_path / "nk.qmp")
    with pytest.raises((EOFError, ValueError, OSError)):
        async with asyncio.timeout(20), QmpMonitor.connect(tmp_path, "nk.qmp") as monitor:
            assert len(monitor._early) <= EARLY
            async for _ in monitor.events():
                pass
            raise EOFError
    server.close()


async def test_a_flood_of_events_takes_turns_with_everything_else(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'{"QMP": {}}\n{"return": {}, "id": 1}\n{"return": {"status": "running"}, "id": 2}\n')
        for _ in range(2):
            await reader.readline()
        writer.write(b'{"event": "RESET"}\n' * 20_000)
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(serve, tmp_path / "nk.qmp")
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.get_running_loop().create_task(others())
    async with QmpMonitor.connect(tmp_path, "nk.qmp") as monitor:
        heard = [name async for name, _ in monitor.events()]
    beside.cancel()
    server.close()
    assert len(heard) == 20_000
    assert turns >= 10_000
