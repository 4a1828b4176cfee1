"""A server that is deleted while its host is down stays known until the host has removed its guest."""

import asyncio
from pathlib import Path

import attrs
import pytest

from novakit import world
from novakit.bus import Unreachable
from novakit.conductor.retention import Retention
from novakit.conductor.verbs.delete import DELETE, Deleting, destroy, forget
from novakit.conductor.work import Work
from novakit.config import ConductorOptions
from novakit.store import Store, retention
from novakit.store.compute import servers
from tests.functional.guests.cloud import Cloud


async def _delete(cloud: Cloud, id: str) -> None:
    impatient = attrs.evolve(cloud.config, conductor=ConductorOptions(host_down_after=0.001))
    parts = attrs.evolve(cloud.parts, config=impatient)
    async with cloud.store.write() as session:
        await servers.change(session, id, task_state="deleting")
    work = Work(
        id=world.new_id(),
        kind="delete",
        moves=DELETE.moves,
        server_id=id,
        project_id="p",
        user_id="u",
        request_id="r",
        attempt=0,
        memory=Deleting(),
        events=[],
    )
    async with asyncio.timeout(20):
        while True:
            try:
                await destroy(work, parts)
                break
            except Unreachable:  # until it has been silent for long enough
                await asyncio.sleep(0.01)
    await parts.networks.release(id)
    commit = await forget(work, parts)
    async with cloud.store.write() as session:
        await commit(session)


async def test_a_guest_that_a_host_may_have_is_known_to_be_left_over_whatever_its_project_deletes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MOST_DELETED", 0)
    async with Cloud.on(store, tmp_path, ("a", "b")) as cloud:
        await cloud.begin()
        left, gone = await cloud.create("a"), await cloud.create("b")
        await cloud.report()
        bounds = Retention(store, cloud.config.retention)
        await cloud.stop_host("a")
        await _delete(cloud, left)
        await _delete(cloud, gone)
        await cloud.report()
        await cloud.start_host("a")
        assert (await bounds.bound())["servers"] == 1
        async with store.read() as session:
            assert await servers.server(session, gone, deleted=True) is None
            row = await servers.server(session, left, deleted=True)
        assert row is not None and row["terminated_at"] is None and row["metadata"] == {}
        assert await cloud.guests("a") == {left}
        await cloud.report(2)
        assert await cloud.guests("a") == set() and await cloud.strangers() == {}
