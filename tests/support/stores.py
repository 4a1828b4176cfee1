"""Databases with every table and no row: copies of one made once, for making the tables takes ten times as long.

What a process has compiled for one of them it knows for all, as a service does that has one database for years: to
compile the same statements again took up to 40 % of what a test did.
"""

import asyncio
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.util import LRUCache

from novakit.store import Session, Store, tables
from tests.support.rows import looked_at

for method in ("all", "many", "first", "lock"):
    setattr(Session, method, looked_at(getattr(Session, method)))
assert tables  # whole metadata: a copy has the tables of every service

_folder = tempfile.TemporaryDirectory(prefix="novakit-tables-")


class _Compiled(LRUCache[Any, Any]):
    """What SQLAlchemy has compiled for all databases of one kind; it asks for that of one engine's dialect."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(key[1:], default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        super().__setitem__(key[1:], compiled)


_compiled = {"sqlite": _Compiled(1500), "postgresql": _Compiled(1500)}
_known: dict[int, Any] = {}
"""What stores of SQLite know of statements by themselves."""


async def open_store(url: str) -> Store:
    """Open a database that is there; whoever asks closes it."""
    store = await Store.open(url)
    for engine in (store.reader, store.writer):
        engine.sync_engine.update_execution_options(compiled_cache=_compiled[engine.dialect.name])
    if store._sqlite is not None:
        store._sqlite.statements._known = _known
    return store


async def sqlite_store(path: Path) -> Store:
    """Open a new SQLite database at `path`; whoever asks closes it."""
    original = Path(_folder.name) / "original.db"
    if not original.exists():
        draft = original.with_name("draft.db")
        await _make_tables(_sqlite(draft))
        draft.rename(original)
    shutil.copyfile(original, path)
    return await open_store(_sqlite(path))


async def store_on(database: str, request: pytest.FixtureRequest, path: Path) -> Store:
    """Open a new database, sqlite at `path` or postgresql; whoever asks closes it."""
    if database == "sqlite":
        return await sqlite_store(path)
    return await open_store(request.getfixturevalue("postgres_with_tables"))


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
    store = await open_store(url)
    try:
        await store.create_all()
    finally:
        await store.close()


def _sqlite(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"
