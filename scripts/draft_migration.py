"""Draft the next migration: `python scripts/draft_migration.py 0002 "Say what changes"`, then review the file."""

import asyncio
import sys
import tempfile

from sqlalchemy.ext.asyncio import create_async_engine

from novakit.store import migrate


async def main(revision: str, message: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite+aiosqlite:///{directory}/draft.db"
        if revision != "0001":
            await migrate.migrate(url)
        engine = create_async_engine(url)
        async with engine.begin() as connection:
            await connection.run_sync(migrate.draft, revision, message)
        await engine.dispose()


asyncio.run(main(*sys.argv[1:]))
