"""A guest that stayed on a host that was down stays known until that host says that it is gone, or is revoked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from novakit import world
from novakit.bus import RemoteError, Unreachable
from novakit.bus.enrolments import Enrolments
from novakit.conductor.retention import Retention
from novakit.conductor.steps import building, clearing
from novakit.conductor.steps.clearing import clear_host
from novakit.conductor.verbs.create import CREATE, LEFT, Creating
from novakit.conductor.verbs.delete import DELETE, Deleting, destroy
from novakit.conductor.work import Rewind, Work
from novakit.config import ConductorOptions
from novakit.store import Store
from novakit.store.compute import left_guests, servers
from tests.functional.guests.cloud import Cloud, rewrite
from tests.support.stores import store_on

LATER = timedelta(days=400)


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store = await store_on(request.param, request, tmp_path / "cloud.db")
    yield store
    await store.close()


class Ahead(world.SystemWorld):
    """More than a year later."""

    def now(self) -> object:  # type: ignore[override]
        return super().now() + LATER


async def _purge(cloud: Cloud) -> int:
    with world.using(Ahead()):
        return (await Retention(cloud.store, cloud.config.retention).purge())["servers"]


async def _left(cloud: Cloud, host: str) -> set[str]:
    async with cloud.store.read() as session:
        return {*await left_guests.of_host(session, host)}


async def _move_off(cloud: Cloud, id: str, host: str) -> None:
    """Take a server off a host that is down, as shelving does, and build it elsewhere."""
    impatient = attrs.evolve(cloud.config, conductor=ConductorOptions(host_down_after=0.001))
    parts = attrs.evolve(cloud.parts, config=impatient)
    async with asyncio.timeout(20):
        while not await _left(cloud, host):
            with suppress(Unreachable):  # until it has been silent for long enough
                await clear_host(parts, id, host)
    await cloud.leave(id, host)


async def test_the_guest_on_an_earlier_host_is_removed_though_its_server_was_deleted_long_ago(
    store: Store, tmp_path: Path
) -> None:
    async with Cloud.on(store, tmp_path, ("a", "b")) as cloud:
        await cloud.begin()
        id, other = await cloud.create("a"), await cloud.create("b")
        await cloud.report(2)
        await cloud.stop_host("a")
        await _move_off(cloud, id, "a")
        await cloud.come_back(id, "b")
        await cloud.delete(id, "b")
        await cloud.delete(other, "b")
        assert await _left(cloud, "a") == {id}
        assert await _purge(cloud) == 1, "the other one is forgotten, and it is not"
        await cloud.start_host("a")
        assert await cloud.guests("a") == {id} and await _left(cloud, "a") == {id}
        await cloud.report(2)
        assert await cloud.guests("a") == set() and await cloud.strangers() == {}, "removed by what is known of it"
        async with store.write() as session:  # as a delete leaves it whose host was down
            await session.execute(servers.servers.update().where(servers.servers.c.id == id).values(terminated_at=None))
        await cloud.report(2)
        async with store.read() as session:
            row = await servers.server(session, id, deleted=True)
        assert row is not None and row["terminated_at"] is not None, "now it is known to be gone"
        assert await _left(cloud, "a") == set() and await _purge(cloud) == 1


async def test_a_host_that_a_create_left_is_known_before_it_is_asked_to_clear_up(store: Store, tmp_path: Path) -> None:
    async with Cloud.on(store, tmp_path, ("a",)) as cloud:
        await cloud.begin()
        id = await cloud.create("a")
        async with store.write() as session:
            await servers.change(session, id, vm_state="building", task_state="spawning")
        work = Work(kind="create", moves=CREATE.moves, memory=Creating(host="a"), **_about(id))
        rewind = building.elsewhere(work, cloud.parts, RemoteError("X", "no"), LEFT)
        assert isinstance(rewind, Rewind) and rewind.commit is not None and work.memory.left == "a"
        async with store.write() as session:
            await rewind.commit(session)
            left = await servers.server(session, id)
        assert left is not None and (left["host"], left["node"], left["task_state"]) == (None, None, "scheduling")
        assert await _left(cloud, "a") == {id}
        await cloud.report(3)
        assert await _left(cloud, "a") == {id}, "the guest is there still: only its server is elsewhere"
        async with store.write() as session:
            await servers.change(session, id, host="a", vm_state="active", task_state=None)
        await cloud.report()
        assert await _left(cloud, "a") == set(), "it is the server's again"


async def _leave(cloud: Cloud, id: str, host: str) -> None:
    """Have a create leave a host whose build has failed, and end before it asks the host to clear up."""
    async with cloud.store.write() as session:
        await servers.change(session, id, vm_state="building", task_state="spawning")
    work = Work(kind="create", moves=CREATE.moves, memory=Creating(host=host), **_about(id))
    rewind = building.elsewhere(work, cloud.parts, RemoteError("X", "no"), LEFT)
    assert isinstance(rewind, Rewind) and rewind.commit is not None
    async with cloud.store.write() as session:
        await rewind.commit(session)


def _about(id: str) -> dict[str, Any]:
    about = {"server_id": id, "project_id": "p", "user_id": "u", "request_id": "r", "attempt": 0, "events": []}
    return {"id": world.new_id(), **about}


@pytest.mark.parametrize("has_guest", [True, False], ids=["with the guest", "with its note alone"])
async def test_a_delete_clears_the_host_that_a_create_had_left(store: Store, tmp_path: Path, has_guest: bool) -> None:
    async with Cloud.on(store, tmp_path, ("a", "b")) as cloud:
        await cloud.begin()
        id, agent = await cloud.create("a"), cloud.agents["a"]
        if not has_guest:
            await agent.driver.destroy(id)
        await _leave(cloud, id, "a")
        assert agent.notes_kept.version(id) is not None
        work = Work(kind="delete", moves=DELETE.moves, memory=Deleting(), **_about(id))
        await destroy(work, cloud.parts)
        assert await cloud.guests("a") == set() and agent.notes_kept.version(id) is None
        assert not (await agent.holdings()).guests and all(
            each.owner != id for each in (await agent.holdings()).holdings
        )


async def test_a_delete_waits_for_a_host_that_is_there_a_moment_later(store: Store, tmp_path: Path) -> None:
    async with Cloud.on(store, tmp_path, ("a", "b")) as cloud:
        await cloud.begin()
        id = await cloud.create("a")
        await _leave(cloud, id, "a")
        await cloud.stop_host("a")
        work = Work(kind="delete", moves=DELETE.moves, memory=Deleting(), **_about(id))
        _, _ = await asyncio.gather(destroy(work, cloud.parts), cloud.start_host("a"))
        assert await cloud.guests("a") == set()


async def test_a_delete_does_not_wait_long_for_a_host_that_a_create_had_left(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Cloud.on(store, tmp_path, ("a", "b")) as cloud:
        await cloud.begin()
        id = await cloud.create("a")
        await _leave(cloud, id, "a")
        monkeypatch.setattr(clearing, "LEFT_WITHIN", 0.1)
        monkeypatch.setattr(clearing, "leave", lambda *_: asyncio.sleep(60))
        work = Work(kind="delete", moves=DELETE.moves, memory=Deleting(), **_about(id))
        async with asyncio.timeout(20):
            await destroy(work, cloud.parts)
        assert await _left(cloud, "a") == {id}, "its reports ask it again"


async def test_a_note_that_a_left_host_has_without_a_guest_goes_with_its_reports(store: Store, tmp_path: Path) -> None:
    async with Cloud.on(store, tmp_path, ("a", "b")) as cloud:
        await cloud.begin()
        id, agent = await cloud.create("a"), cloud.agents["a"]
        await agent.driver.destroy(id)
        await _leave(cloud, id, "a")
        await cloud.report()
        assert agent.notes_kept.version(id) is not None and await _left(cloud, "a") == {id}, "one report may be old"
        await cloud.report()
        assert agent.notes_kept.version(id) is None and await _left(cloud, "a") == set()


async def test_what_unknown_guests_of_a_revoked_host_held_is_given_back(store: Store, tmp_path: Path) -> None:
    async def used(cloud: Cloud) -> list[dict[str, int]]:
        async with store.read() as session:
            return [dict(each) for each in (await cloud.parts.placement.usages(session)).values() if any(each.values())]

    enrolments = Enrolments(tmp_path)
    enrolments.enrol("agent:a")
    async with Cloud.on(store, tmp_path, ("a", "b")) as cloud:
        await cloud.begin()
        lost, mine = await cloud.create("a"), await cloud.create("a")
        async with store.write() as session:
            await cloud.parts.placement.release(session, lost)
            await session.execute(servers.servers.delete().where(servers.servers.c.id == lost))
            await left_guests.put(session, "a", world.new_id())
        await rewrite(cloud.agents["a"].notes_kept, lost, lambda note: attrs.evolve(note, seal=f"0{note.seal}"))
        await cloud.report(2)
        assert {*await cloud.strangers()} == {lost} and await used(cloud) == [
            {"VCPU": 2, "MEMORY_MB": 1024, "DISK_GB": 2}
        ]
        await cloud.conductor.sweep()
        assert {*await cloud.strangers()} == {lost}, "a host that is enrolled keeps what it holds"
        await cloud.stop_host("a")
        enrolments.revoke("agent:a")
        assert enrolments.revoked_hosts() == ["a"]
        await cloud.conductor.sweep()
        assert await cloud.strangers() == {} and await _left(cloud, "a") == set()
        assert await used(cloud) == [{"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 1}], "its server holds what it needs"
        assert (await cloud.audit()).foreign == ()
        enrolments.enrol("agent:a")
        assert enrolments.revoked_hosts() == []
        await cloud.start_host("a")
        await cloud.report(2)
        assert {*await cloud.strangers()} == {lost} and mine in await cloud.guests("a")
        assert await used(cloud) == [{"VCPU": 2, "MEMORY_MB": 1024, "DISK_GB": 2}]
