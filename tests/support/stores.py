"""Databases with every table and no row: copies of one made once, for making the tables takes ten times as long."""

import asyncio
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from novakit.store import Store, tables

assert tables  # whole metadata: a copy has the tables of every service

_folder = tempfile.TemporaryDirectory(prefix="novakit-tables-")


async def sqlite_store(path: Path) -> Store:
    """Open a new SQLite database at `path`; whoever asks closes it."""
    original = Path(_folder.name) / "original.db"
    if not original.exists():
        draft = original.with_name("draft.db")
        await _make_tables(_sqlite(draft))
        draft.rename(original)
    shutil.copyfile(original, path)
    return await Store.open(_sqlite(path))


async def store_on(database: str, request: pytest.FixtureRequest, path: Path) -> Store:
    """Open a new database, sqlite at `path` or postgresql; whoever asks closes it."""
    if database == "sqlite":
        return await sqlite_store(path)
    return await Store.open(request.getfixturevalue("postgres_with_tables"))


async def store_with(book: sa.MetaData, url: str | Path) -> Store:
    """Open an empty database, at the path of an SQLite file or at a URL, and make a test's own tables in it."""
    store = await Store.open(_sqlite(url) if isinstance(url, Path) else url)
    async with store.writer.begin() as connection:
        await connection.run_sync(book.create_all)
    return store


def make_tables(url: str) -> None:
    """Make every table in an empty database, whether or not an event loop runs in this thread."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _make_tables(url)).result()


async def _make_tables(url: str) -> None:
    store = await Store.open(url)
    try:
        await store.create_all()
    finally:
        await store.close()


def _sqlite(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"
