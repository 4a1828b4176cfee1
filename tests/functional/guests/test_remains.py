"""What a host has of an id that nobody knows and that is no guest goes by an operator's word, and by nothing else."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from novakit import world
from novakit.bus import RemoteRefused, Targets, Unreachable
from novakit.calls.host import HostCalls
from novakit.conductor.audit import Audit
from novakit.conductor.engine import Engine
from novakit.conductor.guests.remains import RemainsDesk
from novakit.store import Store, operations
from novakit.store.compute import servers
from novakit_simulated.journal import Journal
from tests.functional.guests.cloud import Cloud
from tests.support.service import Service
from tests.support.stores import sqlite_store

BUILDING = {"power": "building", "why": "", "devices": []}
"""What a host has of a guest whose making was cut off: a disk, and no domain."""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await sqlite_store(tmp_path / "cloud.db")
    yield store
    await store.close()


def _journal(directory: Path, host: str) -> Journal:
    return Journal.open(str(directory / "agents" / host / "virt" / "guests.journal"))


def _disks(directory: Path, host: str) -> set[str]:
    return {*_journal(directory, host).records}


@attrs.frozen
class _Late(Targets[HostCalls]):
    """Hosts of which b does not answer when it is asked first."""

    asked: list[str] = attrs.field(factory=list)

    def at(self, name: str) -> HostCalls:
        self.asked.append(name)
        if name == "b" and self.asked.count("b") == 1:
            raise Unreachable("b does not answer")
        return Targets.at(self, name)


async def _restart(cloud: Cloud, *hosts: str) -> None:
    for host in hosts:
        await cloud.stop_host(host)
        await cloud.start_host(host)
    await cloud.report(3)


async def test_a_host_that_did_not_answer_an_audit_once_stays_unchecked(store: Store, tmp_path: Path) -> None:
    async with Cloud.on(store, tmp_path, ("a", "b")) as cloud:
        left = world.new_id()
        for host in ("a", "b"):
            _journal(tmp_path, host).put(left, BUILDING)
        await _restart(cloud, "a", "b")
        hosts = _Late(HostCalls, cloud.parts.bus, cloud.config)
        report = await Audit(store, cloud.parts.images, hosts, pauses=(0.0, 0.0)).run()
        # Three looks, each with two questions: whoever hangs is waited for once.
        assert hosts.asked.count("a") == 6 and hosts.asked.count("b") == 1
        assert {each.host for each in report.orphaned} == {"a"} and report.unchecked == ("b",)


async def test_a_disk_of_nobody_outlives_everything_but_an_operators_word(store: Store, tmp_path: Path) -> None:
    async with Cloud.on(store, tmp_path, ("a", "b")) as cloud:
        await cloud.begin()
        mine, left = await cloud.create("a"), world.new_id()
        _journal(tmp_path, "a").put(left, BUILDING)
        _journal(tmp_path, "b").put(left, BUILDING)
        _journal(tmp_path, "b").put(mine, BUILDING)
        await _restart(cloud, "a", "b")
        desk = RemainsDesk(cloud.parts)
        things = {(each.kind, each.host, each.owner) for each in (await desk.listed()).things}
        assert things == {("disk", "a", left), ("disk", "b", left), ("disk", "b", mine)}
        assert {(each.kind, each.owner) for each in (await cloud.audit()).orphaned} == {("disk", left), ("disk", mine)}
        told = next(each.remedy for each in (await cloud.audit()).orphaned if each.owner == left)
        assert f"novakit host remove {left}" in told
        assert _disks(tmp_path, "a") == {mine, left} and _disks(tmp_path, "b") == {left, mine}, "nothing goes by itself"
        assert "a and b; name the host" in (await desk.remove(left, None)).why
        assert (await desk.remove(left, "a")).why == "" == (await desk.remove(left, "b")).why
        assert not (await desk.remove(left, None)).found
        assert (await desk.remove(mine, None)).why == "", "of a server that is on another host"
        assert await cloud.guests("a") == {mine} and _disks(tmp_path, "b") == set()
        assert (await cloud.audit()).orphaned == ()


async def test_a_copy_of_a_disk_and_a_note_of_nobody_are_told_of_and_removed(store: Store, tmp_path: Path) -> None:
    async with Cloud.on(store, tmp_path, ("a",)) as cloud:
        await cloud.begin()
        mine, gone = await cloud.create("a"), await cloud.create("a")
        await cloud.agents["a"].driver.destroy(gone)
        async with store.write() as session:
            await session.execute(servers.servers.delete().where(servers.servers.c.id == gone))
            await cloud.parts.placement.release(session, gone)
        await cloud.parts.networks.release(gone)
        await cloud.parts.wiring.ensure("a")
        home = tmp_path / "agents" / "a"
        (home / "snapshots").mkdir()
        for server in (mine, gone):
            (home / "snapshots" / f"{server}.{world.new_id()}.qcow2").write_bytes(b"disk")
        await _restart(cloud, "a")
        desk = RemainsDesk(cloud.parts)
        things = {(each.kind, each.name, each.owner) for each in (await desk.listed()).things}
        (copy,) = (home / "snapshots").glob(f"{gone}.*")
        note = f"{home}/guests/notes.journal#{gone}"
        assert things == {("file", str(copy), gone), ("file", note, gone)}
        assert (await desk.remove(gone, None)).why == "" and (await desk.listed()).things == ()
        assert {path.name.partition(".")[0] for path in (home / "snapshots").iterdir()} == {mine}
        assert (await cloud.audit()).orphaned == ()


async def test_what_is_somebodys_is_not_taken_for_nobodys(store: Store, tmp_path: Path) -> None:
    async with Cloud.on(store, tmp_path, ("a",)) as cloud:
        await cloud.begin()
        mine, strange, busy = await cloud.create("a"), await cloud.create("a"), world.new_id()
        async with store.write() as session:
            await session.execute(servers.servers.delete().where(servers.servers.c.id == strange))
            open_one = {"id": world.new_id(), "kind": "unshelve", "server_id": busy, "project_id": "p", "user_id": "u"}
            await operations.add(session, [{**open_one, "request_id": "r"}])
        desk = RemainsDesk(cloud.parts)
        for id in (mine, strange, busy, "a", "b", ""):
            found = await desk.remove(id, None)
            assert not found.found or id == busy, id
        assert await cloud.guests("a") == {mine, strange}
        for guest in (mine, strange):
            with pytest.raises(RemoteRefused, match="novakit guest list"):
                await cloud.parts.hosts.at("a").remove_remains(guest)
        assert await cloud.guests("a") == {mine, strange}


async def test_an_operation_whose_server_is_gone_ends_at_an_operators_word(store: Store, tmp_path: Path) -> None:
    async with Cloud.on(store, tmp_path, ("a",)) as cloud:
        await cloud.begin()
        open_one: dict[str, Any] = {"id": world.new_id(), "kind": "of a later version", "server_id": world.new_id()}
        async with store.write() as session:
            await operations.add(session, [{**open_one, "project_id": "p", "user_id": "u", "request_id": "r"}])
        engine = Engine(cloud.parts, {})
        running = asyncio.ensure_future(engine.run(alone=True))
        await asyncio.sleep(1)
        desk = RemainsDesk(cloud.parts)
        (thing,) = (await desk.listed()).things
        assert (thing.kind, thing.name, thing.owner) == ("operation", open_one["id"], open_one["server_id"])
        assert (await desk.remove(thing.name, None)).why == ""
        async with asyncio.timeout(40):  # the lease that it has runs out first
            while (await desk.listed()).things:
                await asyncio.sleep(0.1)
        await engine.stop(0)
        await running
        async with store.read() as session:
            (row,) = await operations.of_server(session, open_one["server_id"])
        assert row["state"] == "cancelled" and row["finished_at"] is not None


def _novakit(state: Path, *words: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "novakit", *words, "--state", str(state)]
    done = subprocess.run(
        command, text=True, capture_output=True, timeout=90, check=False, env={**os.environ, "COLUMNS": "300"}
    )
    return done.returncode, done.stdout + done.stderr


def test_an_operator_lists_and_removes_it_by_commands(tmp_path: Path) -> None:
    state, left = tmp_path / "state", world.new_id()
    with Service(state, "--simulate", "1") as service:
        assert _novakit(state, "host", "strangers") == (
            0,
            "Nothing on the hosts that answered belongs to nobody.\n",
        )
        (home,) = state.glob("agents/*/virt")
        assert service.stop() == 0
    Journal.open(str(home / "guests.journal")).put(left, BUILDING)
    with Service(state, "--simulate", "1"):
        code, said = _novakit(state, "host", "strangers")
        assert code == 1 and left in said and "Nothing has the id" in said
        code, said = _novakit(state, "host", "strangers", "--format", "json")
        assert [each["owner"] for each in json.loads(said)["strangers"]] == [left]
        _, said = _novakit(state, "doctor", "--format", "json")
        (row,) = [each for each in json.loads(said) if each["check"] == "hosts"]
        assert row["state"] == "warn" and "1 stranger on them" in row["found"]
        code, said = _novakit(state, "host", "remove", left)
        assert code == 2 and "Nothing was removed" in said, "the question was not answered"
        for kind, listing in (("host", "novakit host strangers"), ("guest", "novakit guest list")):
            absent = world.new_id()
            assert _novakit(state, kind, "remove", absent) == (1, f"{absent}  refused  `{listing}` does not name it.\n")
        code, said = _novakit(state, "guest", "remove", "a b?c#d", "--yes")
        assert code == 1 and "No host has a guest 'a b?c#d'" in said, "it is asked for under its whole name"
        assert _novakit(state, "guest", "remove", "--all") == (0, "There is no such guest.\n")
        assert _novakit(state, "host", "remove", left, "--yes") == (0, f"{left}  removed\n")
        code, said = _novakit(state, "host", "remove", left, "--yes")
        assert code == 1 and "There is no stranger" in said
        assert _novakit(state, "host", "strangers")[0] == 0
