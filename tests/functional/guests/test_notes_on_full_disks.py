"""Hosts whose notes of guests find no room: nothing is built without one, and what is there can be deleted."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from novakit.agent.notes import GuestNotes
from novakit.conductor.verbs import VERBS
from novakit.store import Store
from tests.functional.guests.cloud import Cloud
from tests.functional.guests.test_older_at_boundaries import Site, _serve_scheduler
from tests.support.small_disk import SmallDisk
from tests.support.stores import sqlite_store

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await sqlite_store(tmp_path / "cloud.db")
    yield store
    await store.close()


async def test_without_room_for_its_note_no_guest_is_built_and_all_others_can_be_deleted(
    store: Store, tmp_path: Path
) -> None:
    with SmallDisk(tmp_path / "small", 1) as disk:
        async with Cloud.on(store, tmp_path, ("a", "b")) as cloud:
            for name, agent in cloud.agents.items():
                agent.notes_kept = GuestNotes(disk.path / name)
                agent.notes_kept.open()
            await cloud.begin()
            await _serve_scheduler(cloud)
            site = Site(cloud)
            kept = [await site.create() for _ in range(4)]
            await site.work()
            disk.fill()
            for _ in range(4):
                # What the last block of each file still takes is used up first.
                lost = await site.create()
                await site.work()
                if (await site.row(lost))["vm_state"] == "error":
                    break
                kept.append(lost)
            fault = (await site.row(lost))["fault"]
            assert fault["message"].endswith("could not be built on 2 hosts: the disks of 2 of them are full.")
            assert "A disk of the host" in fault["details"] and "Make room there" in fault["details"]
            assert await cloud.guests("a") | await cloud.guests("b") == {*kept}, "none without a note"
            for id in (lost, *kept):
                await site.ask(id, VERBS["delete"])
            await site.work()
            assert await cloud.guests("a") | await cloud.guests("b") == set()
            for name, agent in cloud.agents.items():
                again = GuestNotes(disk.path / name)
                again.open()
                assert agent.notes_kept.beside([]) == again.beside([]) == []
            disk.clear()
            made = await site.create()
            await site.work()
            assert (await site.row(made))["vm_state"] == "active"
