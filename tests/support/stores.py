"""Databases with every table and no row: copies of one made once, for making the tables takes ten times as long."""

import asyncio
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
