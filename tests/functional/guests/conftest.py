"""The database of a cloud that loses its guests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from novakit.store import Store
from tests.support.stores import sqlite_store, store_on


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await sqlite_store(tmp_path / "cloud.db")
    yield store
    await store.close()


@pytest.fixture(params=["sqlite", "postgresql"])
async def either_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """The same on each kind of database."""
    store = await store_on(request.param, request, tmp_path / "cloud.db")
    yield store
    await store.close()
