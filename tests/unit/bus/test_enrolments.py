"""Who may join the bus, and how that ends."""

import asyncio
import json
import os
import stat
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from novakit.bus import MemoryBus, enrolments
from novakit.bus.enrolments import Enrolments
from novakit.bus.hub import HOST_CALLS, HOST_LIMIT, STRANGERS, LocalHub
from novakit.bus.places import HOST_AT_WORK
from novakit.errors import ConfigError
from tests.functional.roles.intruder import Intruder
from tests.support.credentials import credential_of, joining


@pytest.fixture
async def hub(tmp_path: Path) -> Any:
    made = LocalHub(MemoryBus(), tmp_path / "bus.sock", Enrolments(tmp_path), beat=0.02, silent_after=0.2)
    await made.start()
    yield made
    await made.stop()


def test_a_credential_opens_one_door_and_what_is_kept_of_it_opens_none(tmp_path: Path) -> None:
    known = Enrolments(tmp_path)
    one, other = known.enrol("agent:h1"), known.enrol("agent:h2")
    stamp = known.admits("agent:h1", one.secret)
    assert stamp and stamp != one.secret
    for identity in ("agent:h2", "agent:h11", "agent:H1", "api", "scheduler", "conductor", "", "agent:", "agent:../h1"):
        assert known.admits(identity, one.secret) is None, identity
    for secret in (other.secret, stamp, "", one.secret[:-1], one.secret.upper()):
        assert known.admits("agent:h1", secret) is None
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert one.secret.encode() not in kept


def test_schedulers_have_names_of_their_own_and_one_credential(tmp_path: Path) -> None:
    known = Enrolments(tmp_path)
    known.ensure_roles()
    secret = enrolments.read(enrolments.directory(tmp_path) / "scheduler").secret
    assert known.admits("scheduler:north", secret) and known.admits("scheduler", secret)
    assert known.admits("api", secret) is None
    known.ensure_roles()
    assert known.admits("scheduler:north", secret), "what is there stays"


def test_rotated_and_revoked_ones_open_nothing_and_nobody_is_enrolled_twice(tmp_path: Path) -> None:
    known = Enrolments(tmp_path)
    first = known.enrol("agent:h1")
    with pytest.raises(ConfigError, match="agent:h1 is enrolled already; rotate"):
        known.enrol("agent:h1")
    second = known.rotate("agent:h1")
    assert known.admits("agent:h1", first.secret) is None and known.admits("agent:h1", second.secret)
    assert not known.is_revoked("h1") and not known.is_revoked("h2")
    known.revoke("agent:h1")
    assert known.is_revoked("h1")
    assert known.admits("agent:h1", second.secret) is None
    for end in (known.revoke, known.rotate):
        with pytest.raises(ConfigError, match="agent:h1 is not enrolled"):
            end("agent:h1")
    assert known.admits("agent:h1", known.enrol("agent:h1").secret)
    assert not known.is_revoked("h1"), "it was enrolled again"


def test_credentials_are_their_owners_alone(tmp_path: Path) -> None:
    path = enrolments.write(Enrolments(tmp_path / "a").enrol("agent:h1"), tmp_path / "b" / "credentials")
    assert enrolments.read(path).participant == "agent:h1"
    for each in (path, path.parent, tmp_path / "a" / "enrolled", tmp_path / "a" / "enrolled" / "agent.h1.json"):
        assert stat.S_IMODE(each.stat().st_mode) & 0o077 == 0, each


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", '{"participant": "agent:h1"', "\0" * 64])
def test_an_empty_or_cut_credential_is_refused_with_a_sentence(tmp_path: Path, content: str) -> None:
    path = enrolments.write(Enrolments(tmp_path).enrol("agent:h1"), tmp_path / "credentials")
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"agent\.h1 is not a credential of the bus"):
        enrolments.read(path)


@pytest.mark.parametrize("change", [{"secret": ""}, {"secret": "0" * 63}, {"participant": "api"}, {"secret": None}])
def test_a_credential_of_another_kind_or_name_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = enrolments.write(Enrolments(tmp_path).enrol("agent:h1"), tmp_path / "credentials")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ConfigError, match="is not a credential"):
        enrolments.read(path)


@pytest.mark.parametrize("content", [b"", b"{}", b"\0" * 10])
def test_an_emptied_file_of_who_is_enrolled_lets_nobody_in(tmp_path: Path, content: bytes) -> None:
    known = Enrolments(tmp_path)
    secret = known.enrol("agent:h1").secret
    (tmp_path / "enrolled" / "agent.h1.json").write_bytes(content)
    assert known.admits("agent:h1", secret) is None
    assert known.admits("agent:h1", known.rotate("agent:h1").secret)


@pytest.mark.parametrize("name", ["", "..", "../evil", "a/b", "a..b", ".a", "a.", "a b", "a\n", "ä", "a" * 254, "-a"])
def test_a_host_is_not_called_what_is_no_name(name: str) -> None:
    with pytest.raises(ConfigError, match="host's name"):
        enrolments.host_name(name)
    assert enrolments.host_name("compute-1.example.org")


async def test_whose_credential_is_revoked_or_rotated_is_hung_up_on_at_once(tmp_path: Path, hub: LocalHub) -> None:
    for end in (hub.enrolments.rotate, hub.enrolments.revoke):
        async with (
            Intruder.joined(tmp_path, "agent:h1", "agent:h1") as ended,
            Intruder.joined(tmp_path, "agent:h2", "agent:h2") as other,
        ):
            assert [(await each.read())["t"] for each in (ended, other)] == ["welcome", "welcome"]
            began = asyncio.get_running_loop().time()
            end("agent:h1")
            assert await ended.closed()
            assert asyncio.get_running_loop().time() - began < 1
            other.send(t="call", id=1, target="nowhere", method="x", body={}, within=1)
            assert (await other.read())["t"] == "reply", "nobody else is hung up on"
        async with Intruder.joined(tmp_path, "agent:h1", "agent:h2") as again:
            assert (await again.read())["t"] == "refused"
        (tmp_path.parent / f"{tmp_path.name}-credentials" / "agent.h1").unlink()


async def test_an_agent_takes_a_rotated_credential_from_its_file_and_comes_back(tmp_path: Path, hub: LocalHub) -> None:
    path = enrolments.write(hub.enrolments.enrol("agent:h1"), tmp_path / "host" / "credentials")
    from novakit.bus.local import LocalBus

    agent = LocalBus("agent:h1", lambda: enrolments.read(path))
    await agent.open()
    await agent.connected()
    enrolments.write(hub.enrolments.rotate("agent:h1"), path.parent)
    async with asyncio.timeout(10):
        while hub.bus.members["agent:h1"]:
            await asyncio.sleep(0.01)
        while not hub.bus.members["agent:h1"]:
            await asyncio.sleep(0.01)
        await agent.connected()
    await agent.close()


async def test_a_second_agent_of_one_name_is_refused_with_a_sentence(tmp_path: Path, hub: LocalHub) -> None:
    first = joining(tmp_path, "agent:h1")
    await first.open()
    await first.connected()
    second = joining(tmp_path, "agent:h1")
    await second.open()
    await second.tried()
    assert "another process is joined as agent:h1; stop it first" in second.refused
    await first.close()
    async with asyncio.timeout(10):
        await second.connected()
    await second.close()


async def test_an_agent_of_this_process_keeps_its_name_too(tmp_path: Path, hub: LocalHub) -> None:
    here = hub.bus.join("agent:h1")
    async with Intruder.joined(tmp_path, "agent:h1", "agent:h1") as second:
        assert "another process is joined as agent:h1" in (await second.read())["why"]
    await here.close()
    await here.close()
    async with Intruder.joined(tmp_path, "agent:h1", "agent:h1") as second:
        assert (await second.read())["t"] == "welcome"


async def test_an_agent_that_hangs_loses_its_name_to_the_next_one(tmp_path: Path, hub: LocalHub) -> None:
    async with Intruder.joined(tmp_path, "agent:h1", "agent:h1") as hangs:
        assert (await hangs.read())["t"] == "welcome"
        async with Intruder.joined(tmp_path, "agent:h1", "agent:h1") as second:
            assert (await second.read())["t"] == "welcome"
            while not await hangs.closed():
                continue


async def test_strangers_are_few_and_say_little(tmp_path: Path, hub: LocalHub) -> None:
    credential_of(tmp_path, "agent:h1")
    silent = [await asyncio.open_unix_connection(hub.path) for _ in range(STRANGERS)]
    await asyncio.sleep(0.1)
    async with Intruder.joined(tmp_path, "agent:h1", "agent:h1") as late:
        assert (await late.read())["t"] == "welcome", "who says nothing keeps nobody out"
        async with asyncio.timeout(30):
            assert await silent[0][0].read() == b"", "the oldest made room"
        assert not any(reader.at_eof() for reader, _ in silent[1:])
        late.send(t="call", id=1, target="nowhere", method="x", body={}, within=1)
        silent += [await asyncio.open_unix_connection(hub.path) for _ in range(STRANGERS)]
        assert (await late.read())["t"] == "reply", "who has joined is no stranger any more"
    for _, writer in silent:
        writer.close()
    reader, writer = await asyncio.open_unix_connection(hub.path)
    writer.write((1 << 20).to_bytes(4, "big"))
    assert await reader.read() == b"", "nobody sends a megabyte before saying who it is"
    async with Intruder.joined(tmp_path, "agent:h1", "agent:h1") as welcome:
        assert (await welcome.read())["t"] == "welcome"


async def test_a_host_that_asks_without_waiting_is_told_to_ask_again_and_a_huge_message_ends_it(
    tmp_path: Path, hub: LocalHub
) -> None:
    hold = asyncio.Event()

    async def metadata(message: Any) -> None:
        await hold.wait()

    async def heartbeat(message: Any) -> str:
        return "heard"

    hub.bus.join("conductor").serve("conductor", {"metadata": metadata, "heartbeat": heartbeat})
    async with (
        Intruder.joined(tmp_path, "agent:h1", "agent:h1") as rogue,
        Intruder.joined(tmp_path, "agent:h2", "agent:h2") as honest,
    ):
        assert [(await each.read())["t"] for each in (rogue, honest)] == ["welcome", "welcome"]
        for number in range(HOST_CALLS + 5):
            rogue.send(t="call", id=number, target="conductor", method="metadata", body={}, within=20)
        refused = [await rogue.read() for _ in range(5)]
        assert [(one["id"], one["kind"]) for one in refused] == [(HOST_CALLS + n, "Busy") for n in range(5)]
        assert (await honest.call("conductor", "heartbeat", {}))["ok"] == "heard"
        hold.set()
        assert {(await rogue.read())["id"] for _ in range(HOST_CALLS)} == set(range(HOST_CALLS))
        rogue.writer.write((HOST_LIMIT + 1).to_bytes(4, "big"))
        assert await rogue.closed()


async def test_who_uses_the_number_of_an_open_question_again_is_hung_up_on_with_a_reason(
    tmp_path: Path, hub: LocalHub
) -> None:
    begun, ended = 0, asyncio.Event()

    async def metadata(message: Any) -> None:
        nonlocal begun
        begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    hub.bus.join("conductor").serve("conductor", {"metadata": metadata})
    async with Intruder.joined(tmp_path, "agent:h1", "agent:h1") as rogue:
        assert (await rogue.read())["t"] == "welcome"
        for _ in range(HOST_CALLS * 2):
            rogue.send(t="call", id=7, target="conductor", method="metadata", body={}, within=20)
        told = await rogue.read()
        assert (told["t"], told["why"]) == ("refused", "'7' is not the number of a new question")
        assert await rogue.closed()
    assert begun <= 1, "no call beyond the first was begun"
    if begun:
        await asyncio.wait_for(ended.wait(), 30)
    async with Intruder.joined(tmp_path, "agent:h1", "agent:h1") as again:
        assert (await again.read())["t"] == "welcome"
        again.send(t="call", id=[7], target="conductor", method="metadata", body={}, within=20)
        assert "not the number" in (await again.read())["why"]


async def test_few_calls_of_a_host_are_at_work_at_a_time_and_the_others_take_turns(
    tmp_path: Path, hub: LocalHub
) -> None:
    at_work, most, go = 0, 0, asyncio.Event()

    async def metadata(message: Any) -> str:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await go.wait()
        at_work -= 1
        return str(message.sender)

    async def heartbeat(message: Any) -> str:
        return "heard"

    hub.bus.join("conductor").serve("conductor", {"metadata": metadata, "heartbeat": heartbeat})
    async with (
        Intruder.joined(tmp_path, "agent:h1", "agent:h1") as rogue,
        Intruder.joined(tmp_path, "agent:h2", "agent:h2") as honest,
    ):
        assert [(await each.read())["t"] for each in (rogue, honest)] == ["welcome", "welcome"]
        for number in range(50):
            kind = ("call", "call each")[number % 2]
            rogue.send(t=kind, id=number, target="conductor", method="metadata", body={}, within=20)
        rogue.send(t="call", id=50, target="conductor", method="metadata", body={}, within=0.2)
        rogue.send(t="call", id=51, target="conductor", method="heartbeat", body={}, within=20)
        first, second = await rogue.read(), await rogue.read()
        assert (first["id"], first["ok"]) == (51, "heard"), "one method does not keep another waiting"
        assert second["id"] == 50 and second["unreachable"] and "calls of metadata were taken" in second["error"]
        assert at_work == HOST_AT_WORK
        go.set()
        assert (await honest.call("conductor", "metadata", {}))["ok"] == "agent:h2"
        assert {(await rogue.read())["id"] for _ in range(50)} == set(range(50))
        assert most <= HOST_AT_WORK + 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
async def test_the_user_with_most_silent_connections_loses_one(tmp_path: Path, hub: LocalHub) -> None:
    credential_of(tmp_path, "agent:h1")
    own, _ = await asyncio.open_unix_connection(hub.path)
    await asyncio.sleep(0.1)
    flood = (
        "import os, socket, sys\n"
        "os.setuid(65534)\n"
        f"held = [socket.socket(socket.AF_UNIX) for _ in range({STRANGERS * 2})]\n"
        "for one in held: one.connect(sys.argv[1])\n"
        "print('all', flush=True)\n"
        "sys.stdin.read()\n"
    )
    # The other user must reach the socket.
    for part in (hub.path, *hub.path.parents):
        if part.is_relative_to("/tmp") and part != Path("/tmp"):
            part.chmod(part.stat().st_mode | (0o666 if part == hub.path else 0o011))
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", flood, str(hub.path), stdin=PIPE, stdout=PIPE)
    assert other.stdout is not None
    assert await other.stdout.readline() == b"all\n"
    async with Intruder.joined(tmp_path, "agent:h1", "agent:h1") as late:
        assert (await late.read())["t"] == "welcome"
    assert not own.at_eof(), "the oldest of all, and of another user"
    await other.communicate(b"")


async def test_one_at_a_time_waits_for_a_name(tmp_path: Path, hub: LocalHub) -> None:
    async with (
        Intruder.joined(tmp_path, "agent:h1", "agent:h1") as hangs,
        Intruder.joined(tmp_path, "agent:h1", "agent:h1") as second,
        Intruder.joined(tmp_path, "agent:h1", "agent:h1") as third,
    ):
        assert (await hangs.read())["t"] == "welcome"
        assert (await third.read())["t"] == "refused"
        assert (await second.read())["t"] == "welcome"
