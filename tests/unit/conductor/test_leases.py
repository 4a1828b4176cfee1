"""When an engine takes the lease of another one for void."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from novakit import world
from novakit.conductor.engine import LEASE, Engine
from novakit.store import Store, operations
from tests.support.stores import sqlite_store

PART = LEASE.total_seconds() * 2 / 3


@attrs.define
class Clock(world.SystemWorld):
    """A monotonic clock that is set by hand."""

    at: float = 1000.0

    def monotonic(self) -> float:
        return self.at


@attrs.frozen
class Parts:
    store: Store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await sqlite_store(tmp_path / "x.db")
    yield store
    await store.close()


async def test_a_lease_is_void_a_lease_after_it_was_seen_last_renewed(store: Store) -> None:
    id, clock = world.new_id(), Clock()
    asked = {"kind": "stop", "project_id": "p", "user_id": "u", "request_id": "r", "server_id": world.new_id()}
    parts: Any = Parts(store)
    engine = Engine(parts, {})
    until = world.now()
    with world.using(clock):
        async with store.write() as session:
            await operations.add(session, [{"id": id, **asked}])
            await operations.lease(session, "killed later", until, 1)
        assert await engine._void_leases() == {}, "seen for the first time"
        clock.at += PART
        async with store.write() as session:
            await operations.renew(session, "killed later", [id], until + timedelta(seconds=1))
        assert await engine._void_leases() == {}
        clock.at += PART
        assert await engine._void_leases() == {}, "renewed since"
        clock.at += PART
        void = await engine._void_leases()
        assert void == {id: operations.OperationLease("killed later", until + timedelta(seconds=1))}
        async with store.write() as session:
            assert [row["id"] for row in await operations.lease(session, engine.owner, until, 1, void=void)] == [id]
