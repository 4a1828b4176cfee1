"""What a scheduler may write: the database itself refuses the rest."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from novakit.store import Store, servers, tables
from novakit.store.schema import metadata
from tests.functional.postgres import postgres_cluster, postgres_url  # noqa: F401


async def test_on_postgresql_a_scheduler_is_kept_from_other_tables_before_a_statement_is_sent(
    postgres_url: str,  # noqa: F811
) -> None:
    owner = await Store.open(postgres_url)
    await owner.create_all()
    scheduler = await Store.open(postgres_url, writes=tables.SCHEDULER_WRITES)
    for name, table in metadata.tables.items():
        async with scheduler.read() as session:
            await session.all(sa.select(table).limit(1))
        if name in tables.SCHEDULER_WRITES:
            async with scheduler.write() as session:
                await session.execute(sa.delete(table))
        else:
            for statement in (sa.delete(table), sa.insert(table), sa.text(f"DELETE FROM {name}")):
                with pytest.raises(PermissionError, match=name):
                    async with scheduler.write() as session:
                        await session.execute(statement)
    await scheduler.close()
    await owner.close()


async def test_a_scheduler_can_write_its_own_tables_and_no_others(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/cloud.db"
    owner = await Store.open(url)
    await owner.create_all()
    scheduler = await Store.open(url, writes=tables.SCHEDULER_WRITES)
    assert set(metadata.tables) >= tables.SCHEDULER_WRITES
    for name, table in metadata.tables.items():
        if name in tables.SCHEDULER_WRITES:
            async with scheduler.write() as session:
                await session.execute(sa.delete(table))
        else:
            with pytest.raises(sa.exc.DBAPIError, match="not authorized"):
                async with scheduler.write() as session:
                    await session.execute(sa.delete(table))
    with pytest.raises(sa.exc.DBAPIError, match="not authorized"):
        async with scheduler.write() as session:
            await session.execute(sa.update(servers.servers).values(host="elsewhere"))
    await scheduler.close()
    await owner.close()
