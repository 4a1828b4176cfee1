"""Pages of servers: each server is on one page, whatever the order and whoever is equal to whom."""

import itertools
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from novakit.store.compute.server_list import ServerQuery, listed
from novakit.store.compute.servers import servers
from tests.support.rows import FLAVOR
from tests.support.stores import sqlite_store, store_on

AT = datetime(2030, 1, 1, tzinfo=UTC)


def _row(number: int, name: str, key: str) -> dict[str, object]:
    owner = {"project_id": "p", "user_id": "u", "reservation_id": "r"}
    size = {"flavor": FLAVOR, "vcpus": 1, "memory_mb": 64}
    what = {"id": key, "number": number, "name": name, "hostname": name, "vm_state": "active"}
    return {**what, **owner, **size, "created_at": AT, "updated_at": AT}


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3])
async def test_servers_that_are_equal_in_all_that_is_sorted_by_are_each_on_one_page(
    tmp_path: Path, size: int, down: bool
) -> None:
    """Two transactions of PostgreSQL may give two servers one number."""
    store = await sqlite_store(tmp_path / "s.db")
    keys = [f"{place}-{number}" for number, place in itertools.product((1, 2), "cab")]
    async with store.write() as session:
        rows = [_row(int(key[2:]), "same", key) for key in keys]
        await session.execute(sa.insert(servers), rows)
    seen: list[str] = []
    async with store.read() as session:
        while True:
            wanted = ServerQuery(sort=(("name", down),), limit=size, marker=seen[-1] if seen else None)
            page = [row.id for row in await listed(session, wanted, ("id",))]
            seen += page
            if not page:
                break
    await store.close()
    assert seen == sorted(keys, key=lambda key: (key[2:], key), reverse=down)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_a_page_has_the_columns_asked_for_in_their_order_and_none_where_one_is_left_out(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store = await store_on(database, request, tmp_path / "s.db")
    async with store.write() as session:
        rows = [_row(1, "one", "a"), {**_row(2, "two", "b"), "tags": ["x"]}]
        await session.execute(sa.insert(servers), [{"tags": [], "user_data": "c2VjcmV0", **row} for row in rows])
    async with store.read() as session:
        found = await listed(
            session, ServerQuery(), ("name", "user_data", "tags", "flavor", "created_at", "fault"), ("user_data",)
        )
    await store.close()
    assert [tuple(row) for row in found] == [
        ("two", None, ["x"], FLAVOR, AT, None),
        ("one", None, [], FLAVOR, AT, None),
    ]
