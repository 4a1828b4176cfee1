"""Connections of SQLite: closing one ends, whoever loses patience meanwhile."""

import asyncio
from pathlib import Path

import pytest

from novakit.store import Store


@pytest.mark.parametrize("patient", [True, False])
async def test_a_close_ends_when_its_caller_is_cancelled(tmp_path: Path, patient: bool) -> None:
    """SQLAlchemy then ends the connection by force, beside the close that goes on."""
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/x.db")
    async with store.reader.connect() as connection:
        real = (await connection.get_raw_connection()).dbapi_connection
        assert real is not None
        closing = asyncio.create_task(real._terminate_graceful_close())
        await asyncio.sleep(0)
        if not patient:
            real._terminate_force_close()
        async with asyncio.timeout(10):
            await closing
        thread = real._connection._thread
        await asyncio.to_thread(thread.join, 10)
        assert not thread.is_alive()
        await connection.invalidate()
    await store.close()


async def test_a_connection_that_nobody_closes_is_ended_by_force(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/x.db")
    async with store.reader.connect() as connection:
        real = (await connection.get_raw_connection()).dbapi_connection
        assert real is not None
        real._terminate_force_close()
        thread = real._connection._thread
        await asyncio.to_thread(thread.join, 10)
        assert not thread.is_alive()
        await connection.invalidate()
    await store.close()
