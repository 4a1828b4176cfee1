"""Which operations an engine may take: when it takes the lease of another one for void."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import attrs
import pytest

from novakit import world
from novakit.conductor.leases import LEASE, Leases
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


async def test_a_lease_is_void_a_lease_after_it_was_seen_last_renewed(store: Store) -> None:
    id, clock = world.new_id(), Clock()
    asked = {"kind": "stop", "project_id": "p", "user_id": "u", "request_id": "r", "server_id": world.new_id()}
    leases = Leases(store, "me", 64)
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
