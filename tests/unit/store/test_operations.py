"""What is kept of what was done to a server."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from novakit import world
from novakit.store import Store, operations
from novakit.store.operations import OperationRow
from tests.support.stores import sqlite_store


async def test_whoever_locks_and_unlocks_a_server_all_day_fills_nothing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(operations, "MOST_OF_SERVER", 20)
    store = await sqlite_store(tmp_path / "x.db")
    busy, other, now = world.new_id(), world.new_id(), world.now()

    def row(server: str, kind: str, *, ended: bool = True) -> dict[str, object]:
        ids = {"project_id": "p", "user_id": "u", "request_id": "r"}
        finished = now if ended else None
        return {"id": world.new_id(), "kind": kind, "server_id": server, "finished_at": finished, **ids}

    async with store.write() as session:
        await operations.add(session, [row(busy, "create"), row(busy, "stop", ended=False), row(other, "create")])
        await operations.add(session, [row(busy, "shelve"), shelved := row(busy, "shelve")])
        for number in range(50):
            await operations.add(session, [row(busy, f"lock{number}")])
            await operations.add(session, [row(other, "lock")] if number < 10 else [row(busy, "unlock")])
            await operations.trim(session, busy)
        kinds = list(
            await session.scalars(
                sa.select(operations.operations.c.kind).where(operations.operations.c.server_id == busy)
            )
        )
        image = await operations.last_of(session, busy, "shelve")
        others = await session.scalar(sa.select(sa.func.count()).where(operations.operations.c.server_id == other))
    assert {"create", "stop", "lock49"} <= set(kinds) and "lock0" not in kinds
    assert len(kinds) == 20 + 3 and others == 11
    assert image == shelved["id"], "the image of its disk is named by how it was shelved last"
    await store.close()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await sqlite_store(tmp_path / "x.db")
    yield store
    await store.close()


async def leased(store: Store, owner: str, count: int = 1) -> list[str]:
    """Make operations, each on a server of its own, and lease them; give their ids."""
    more = {"kind": "stop", "project_id": "p", "user_id": "u", "request_id": "r"}
    made = [{"id": world.new_id(), "server_id": world.new_id(), **more} for _ in range(count)]
    async with store.write() as session:
        await operations.add(session, made)
        taken = await operations.lease(session, owner, world.now() + timedelta(seconds=15), count)
    assert [row["attempt"] for row in taken] == [1] * count
    return [row["id"] for row in taken]


async def row_of(store: Store, id: str) -> OperationRow:
    async with store.read() as session:
        (row,) = [row for row in await operations.unfinished(session) if row["id"] == id]
    return row


async def test_a_lease_is_renewed_by_who_has_it_and_by_nobody_else(store: Store) -> None:
    [id] = await leased(store, "one")
    before, later = (await row_of(store, id))["lease_until"], world.now() + timedelta(hours=1)
    for owner, expected in (("two", before), ("one", later)):
        async with store.write() as session:
            assert await operations.renew(session, owner, [id], later) == set()
        assert (await row_of(store, id))["lease_until"] == expected


async def test_a_lease_is_void_only_as_it_was_seen(store: Store) -> None:
    [id] = await leased(store, "one")
    async with store.write() as session:
        [seen] = (await operations.leases(session)).values()
        for owner, until in (("two", seen.until), ("one", seen.until + timedelta(seconds=1))):
            void = {id: operations.OperationLease(owner, until)}
            assert await operations.lease(session, "three", world.now(), 9, void=void) == []
        [taken] = await operations.lease(session, "three", world.now(), 9, void={id: seen})
    assert (taken["id"], taken["owner"], taken["attempt"]) == (id, "three", 2)


@pytest.mark.parametrize("count", [1, 3])
async def test_of_what_is_cancelled_or_somebody_elses_nothing_is_written(store: Store, count: int) -> None:
    ids = await leased(store, "one", count)
    cancelled = ids[-1]
    async with store.write() as session:
        await operations.cancel(session, (await row_of(store, cancelled))["server_id"])
    async with store.write() as session:
        assert await operations.change_many(session, "two", {id: {"step": "x"} for id in ids}) == {}
        told = await operations.change_many(session, "one", {id: {"step": "down"} for id in ids})
    assert told == {id: id == cancelled for id in ids}
    assert [(await row_of(store, id))["step"] for id in ids] == [None if id == cancelled else "down" for id in ids]
    async with store.write() as session:
        ended = {"state": "cancelled", "finished_at": world.now()}
        assert await operations.change_many(session, "one", {cancelled: ended}) == {cancelled: True}
        assert cancelled not in {row["id"] for row in await operations.unfinished(session)}


async def test_what_is_written_unread_is_all_ours_or_nothing_of_it_stays(store: Store) -> None:
    ids = await leased(store, "one", 3)
    async with store.write() as session:
        told = await operations.change_many(session, "one", {id: {"step": "down"} for id in ids}, unread=True)
    assert told == dict.fromkeys(ids, False)
    async with store.write() as session:
        await operations.cancel(session, (await row_of(store, ids[1]))["server_id"])
    for owner in ("one", "two"):
        with pytest.raises(operations.Contested):
            async with store.write() as session:
                await operations.change_many(session, owner, {id: {"step": "up"} for id in ids}, unread=True)
    assert [(await row_of(store, id))["step"] for id in ids] == ["down"] * 3
    ended = {"state": "cancelled", "finished_at": world.now()}
    async with store.write() as session:
        told = await operations.change_many(session, "one", {ids[0]: {"step": "up"}, ids[1]: ended}, unread=True)
    assert told == {ids[0]: False, ids[1]: True}


@pytest.mark.parametrize("count", [1, 3])
async def test_of_an_operation_that_ended_nothing_is_written_renewed_or_cancelled(store: Store, count: int) -> None:
    ids = await leased(store, "one", count)
    ended, later = world.now(), world.now() + timedelta(hours=1)
    async with store.write() as session:
        done = {"state": "done", "finished_at": ended}
        assert await operations.change_many(session, "one", dict.fromkeys(ids, done)) == dict.fromkeys(ids, False)
    async with store.read() as session:
        before = await session.all(sa.select(operations.operations).order_by("number"), of=OperationRow)
    assert [row["owner"] for row in before] == ["one"] * count
    async with store.write() as session:
        assert await operations.change_many(session, "one", {id: {"step": "late"} for id in ids}) == {}
        assert await operations.renew(session, "one", ids, later) == set()
        for row in before:
            assert await operations.cancel(session, row["server_id"]) == []
    async with store.read() as session:
        assert await session.all(sa.select(operations.operations).order_by("number"), of=OperationRow) == before


async def test_a_delete_cancels_what_is_open_of_its_own_server_and_not_itself(store: Store) -> None:
    mine, other = await leased(store, "one", 2)
    server = (await row_of(store, mine))["server_id"]
    more = {"server_id": server, "project_id": "p", "user_id": "u", "request_id": "r"}
    waiting, delete = world.new_id(), world.new_id()
    async with store.write() as session:
        rows = [{"id": waiting, "kind": "start", **more}, {"id": delete, "kind": "delete", **more}]
        await operations.add(session, rows)
        assert set(await operations.cancel(session, server, except_for=delete)) == {mine, waiting}
    async with store.write() as session:
        assert await operations.renew(session, "one", [mine, other], world.now()) == {mine}
    for id, is_cancelled in ((mine, True), (waiting, True), (delete, False), (other, False)):
        assert bool((await row_of(store, id))["cancelled"]) is is_cancelled
