"""Commits that are on the disk: one flush for all that wait, none for who changed nothing, no promise after a fault."""

import asyncio
import os
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from novakit.errors import Unavailable
from tests.support.stores import store_with

book = sa.MetaData()
notes = sa.Table("notes", book, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(20)))


@pytest.fixture
async def store(tmp_path: Path):
    store = await store_with(book, tmp_path / "x.db")
    yield store
    await store.close()


class Disk:
    """A disk whose flushes last until they are let go."""

    def __init__(self, monkeypatch):
        self.begun, self.free, self.flushes, self.fault = threading.Event(), threading.Event(), 0, None
        monkeypatch.setattr(os, "fdatasync", self.flush)

    def flush(self, descriptor):
        self.flushes += 1
        self.begun.set()
        assert self.free.wait(20)
        if self.fault:
            raise self.fault


async def add(store, name, told=None):
    async with store.write() as session:
        if told is not None:
            session.after_commit(lambda: told.append(name))
        await session.execute(sa.insert(notes).values(name=name))


async def test_who_commits_during_a_flush_waits_for_the_next_one_and_all_of_them_for_the_same(store, monkeypatch):
    disk, told = Disk(monkeypatch), []
    first = asyncio.ensure_future(add(store, "first", told))
    await asyncio.to_thread(disk.begun.wait, 20)
    others = [asyncio.ensure_future(add(store, f"n{number}", told)) for number in range(30)]
    async with asyncio.timeout(20):
        while True:  # each of them has committed, and is seen, while the disk is still busy with the first
            async with store.read() as session:
                if await session.scalar(sa.select(sa.func.count()).select_from(notes)) == 31:
                    break
            await asyncio.sleep(0.01)
    assert not first.done() and not any(each.done() for each in others) and told == []
    disk.free.set()
    await asyncio.gather(first, *others)
    assert disk.flushes == 2 and sorted(told)[0] == "first" and len(told) == 31


async def test_who_changes_nothing_waits_for_no_disk(store, monkeypatch):
    disk = Disk(monkeypatch)
    async with asyncio.timeout(10), store.write() as session:
        await session.changed(sa.update(notes).where(notes.c.name == "nobody").values(name="x"))
    assert disk.flushes == 0


async def test_after_a_flush_that_failed_nothing_is_acknowledged_any_more(store, monkeypatch):
    disk = Disk(monkeypatch)
    disk.fault = OSError(5, "Input/output error")
    disk.free.set()
    with pytest.raises(Unavailable, match="Input/output error"):
        await add(store, "a")
    disk.fault = None
    with pytest.raises(Unavailable, match="restart novakit"):
        await add(store, "b")


async def test_whatever_goes_wrong_in_a_flush_those_who_wait_hear_of_it(store, monkeypatch):
    disk = Disk(monkeypatch)
    disk.fault = MemoryError("no room")
    disk.free.set()
    async with asyncio.timeout(20):
        with pytest.raises(Unavailable, match="no room"):
            await add(store, "a")


async def test_who_is_cancelled_while_the_disk_is_busy_has_still_told_of_the_commit(store, monkeypatch):
    disk, told = Disk(monkeypatch), []
    task = asyncio.ensure_future(add(store, "a", told))
    await asyncio.to_thread(disk.begun.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told == ["a"]
    disk.free.set()


async def test_what_may_be_lost_waits_for_no_disk_and_is_on_it_with_what_comes_next(store, monkeypatch):
    disk = Disk(monkeypatch)
    async with asyncio.timeout(10), store.write(flushed=False) as session:
        await session.execute(sa.insert(notes).values(name="lease"))
    assert disk.flushes == 0
    async with store.read() as session:
        assert await session.scalars(sa.select(notes.c.name)) == ["lease"]
    disk.free.set()
    await add(store, "outcome")
    assert disk.flushes == 1
