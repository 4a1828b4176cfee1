"""Requests that come together are written together, and each is answered for itself."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from novakit import errors
from novakit.bus import MemoryBus
from novakit.conductor.requests import Requests
from novakit.conductor.verbs.delete import DELETE
from novakit.context import RequestContext
from novakit.store import Store, operations
from novakit.store.compute.servers import servers
from tests.support.rows import FLAVOR
from tests.support.stores import sqlite_store

AT = datetime(2030, 1, 1, tzinfo=UTC)
CALLER = RequestContext(request_id="req-1", user_id="u", project_id="mine", roles=("member",))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await sqlite_store(tmp_path / "s.db")
    yield store
    await store.close()


async def make(store: Store, project: str, keys: Sequence[str]) -> None:
    size = {"flavor": FLAVOR, "vcpus": 1, "memory_mb": 64}
    what = {"project_id": project, "user_id": "u", "reservation_id": "r", "vm_state": "active", "host": "h"}
    rows = [
        {"id": key, "number": number, "name": key, "hostname": key, "created_at": AT, "updated_at": AT, **what, **size}
        for number, key in enumerate(keys)
    ]
    async with store.write() as session:
        await session.execute(sa.insert(servers), rows)


async def begun(store: Store) -> list[str]:
    async with store.read() as session:
        return await session.scalars(sa.select(operations.operations.c.server_id).order_by("server_id"))


async def test_requests_that_come_together_are_one_transaction(store: Store) -> None:
    keys = [f"s{number}" for number in range(8)]
    await make(store, "mine", keys)
    requests = Requests(store, MemoryBus().join("api"))
    before = store.tally
    await asyncio.gather(*(requests.begin(CALLER, key, DELETE) for key in [*reversed(keys), "s3"]))
    assert store.tally.transactions - before.transactions == 1
    assert await begun(store) == keys


async def test_one_that_is_refused_costs_only_itself(store: Store) -> None:
    await make(store, "mine", ["a", "c"])
    await make(store, "another's", ["b"])
    requests = Requests(store, MemoryBus().join("api"))
    asked = [requests.begin(CALLER, key, DELETE) for key in ("a", "b", "c", "d")]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None), errors.NotFound, type(None), errors.NotFound]
    assert await begun(store) == ["a", "c"]
