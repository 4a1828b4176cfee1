"""A database of SQLite as a store opens it: connections that read, one that writes, and the log."""

from pathlib import Path

import attrs

from novakit.store.sqlite.asynchronous import AsyncEngine, create_async_engine
from novakit.store.sqlite.connections import Connections, prepare
from novakit.store.sqlite.dialect import DRIVER, make_incremental, vacuum_some
from novakit.store.sqlite.statements import Statements
from novakit.store.sqlite.wal import WriteAheadLog

READERS = 12
"""Connections that read, each with a thread of its own."""


@attrs.frozen
class SqliteDatabase:
    """What a store has where the database is SQLite's."""

    reader: AsyncEngine
    writer: AsyncEngine
    readers: Connections
    writers: Connections
    statements: Statements
    log: WriteAheadLog | None

    async def reclaim(self) -> int:
        """Return free pages of its file to the file system. Returns how many bytes that were."""
        if self.log is None:
            return 0
        before, more = self.log.database.stat().st_size, True
        async with self.writers.connect() as kept:
            await make_incremental(kept.inner)
        while more:
            async with self.writers.connect() as kept:
                more = await vacuum_some(kept.inner)
        return max(0, before - self.log.database.stat().st_size)


def open_database(url: str, allowed: frozenset[str] | None, **options: object) -> SqliteDatabase:
    """Open `sqlite+aiosqlite:///PATH`, where only the tables `allowed` are written.

    `options` are SQLAlchemy's.
    """
    url = url.replace("sqlite+aiosqlite", DRIVER, 1)
    reader = create_async_engine(url, **options)
    # One writer: SQLite has one write lock, and those who wait for its connection wait in order, without polling,
    # and as long as it takes those before them; SQLite's own busy handler sleeps, and may starve one of them.
    writer = create_async_engine(url, **options)
    prepare(reader, "BEGIN", allowed=frozenset(), reads=True)
    # IMMEDIATE: a transaction that read first and takes the write lock later fails with SQLITE_BUSY where another
    # process wrote in between, and no time-out helps then.
    prepare(writer, "BEGIN IMMEDIATE", allowed=allowed, reads=False)
    path = writer.url.database
    return SqliteDatabase(
        reader,
        writer,
        readers=Connections(reader, most=READERS),
        writers=Connections(writer, most=1, waits=None),
        statements=Statements(writer.dialect),
        log=WriteAheadLog(Path(path)) if path and path != ":memory:" else None,
    )
