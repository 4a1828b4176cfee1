"""What a scheduler may write: the database itself refuses the rest."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from novakit.store import Store, servers, tables
from novakit.store.schema import metadata


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
