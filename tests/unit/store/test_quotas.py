"""What a project has of its quota."""

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from novakit.store.compute.servers import USAGE
from tests.support.stores import sqlite_store


async def test_what_servers_take_is_summed_without_a_look_at_each_of_them(tmp_path: Path) -> None:
    store = await sqlite_store(tmp_path / "x.db")
    asked = USAGE.params(project="p").compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    async with store.read() as session:
        plan = await session.all(sa.text(f"EXPLAIN QUERY PLAN {asked}"), of=sa.RowMapping)
    await store.close()
    assert [row["detail"].partition(" (")[0] for row in plan] == ["SEARCH servers USING COVERING INDEX ix_servers_page"]
