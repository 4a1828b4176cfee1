"""Which operations an engine may take: when it takes the lease of another one for void."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from novakit import world
from novakit.conductor.leases import LEASE, Leases
from novakit.conductor.work import HandedOver
from novakit.store import Store, operations
from tests.support.stores import sqlite_store

PART = LEASE.total_seconds() * 2 / 3


@attrs.define
class Clock(world.SystemWorld):
    """A monotonic clock that is set by hand."""

    at: float = 1000.0

    def monotonic(self) -> float:
        return self.at


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await sqlite_store(tmp_path / "x.db")
    yield store
    await store.close()


def _begin(row: operations.OperationRow, handed: HandedOver | None) -> None:
    """Begin nothing."""


def _asked() -> dict[str, Any]:
    id, server = world.new_id(), world.new_id()
    return {"id": id, "server_id": server, "kind": "go", "project_id": "p", "user_id": "u", "request_id": "r"}


async def test_what_was_committed_although_nobody_was_told_so_is_found_at_once(store: Store) -> None:
    leases = Leases(store, "me", 64, _begin, is_open=True)
    (leased,) = leases.reserve([_asked()])
    async with store.write() as session:
        await operations.add(session, [leased])
    leases.give_up([leased])
    (taken,) = await leases.take()
    assert (taken["id"], taken["attempt"]) == (leased["id"], 2) and leases.held == {leased["id"]}


async def test_what_is_asked_for_while_a_look_is_under_way_takes_no_place_of_what_that_finds(store: Store) -> None:
    leases, reserved = Leases(store, "me", 2, _begin, is_open=True), []
    async with store.write() as session:
        await operations.add(session, [_asked(), _asked()])

    class Meanwhile(world.SystemWorld):
        """Something is asked for whenever somebody asks what time it is."""

        def now(self) -> datetime:
            with world.using(world.SystemWorld()):
                reserved.extend(leases.reserve([_asked()]))
            return super().now()

    with world.using(Meanwhile()):
        taken = await leases.take()
    assert len(taken) + len(reserved) <= 2 and taken


async def test_nothing_is_leased_with_a_request_before_older_work_was_looked_for_or_twice(store: Store) -> None:
    leases, asked = Leases(store, "me", 64, _begin), _asked()
    assert leases.reserve([asked]) == []
    leases.is_open = True
    (leased,) = leases.reserve([asked])
    assert leases.reserve([asked]) == [], "it is held"
    assert leased["owner"] == "me" and leases.free == 63


async def test_a_lease_is_void_a_lease_after_it_was_seen_last_renewed(store: Store) -> None:
    id, clock = world.new_id(), Clock()
    asked = {"kind": "stop", "project_id": "p", "user_id": "u", "request_id": "r", "server_id": world.new_id()}
    leases = Leases(store, "me", 64, _begin)
    until = world.now()
    with world.using(clock):
        async with store.write() as session:
            await operations.add(session, [{"id": id, **asked}])
            await operations.lease(session, "killed later", until, 1)
        assert await leases.void() == {}, "seen for the first time"
        clock.at += PART
        async with store.write() as session:
            await operations.renew(session, "killed later", [id], until + timedelta(seconds=1))
        assert await leases.void() == {}
        clock.at += PART
        assert await leases.void() == {}, "renewed since"
        clock.at += PART
        void = await leases.void()
        assert void == {id: operations.OperationLease("killed later", until + timedelta(seconds=1))}
        async with store.write() as session:
            assert [row["id"] for row in await operations.lease(session, leases.owner, until, 1, void=void)] == [id]
