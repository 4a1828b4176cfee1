"""A disk that is full while the log of SQLite is long: what is deleted finds room, at its second try at the latest."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.small_disk import SmallDisk

WRITER = """
import asyncio, os, sys
import sqlalchemy as sa
from novakit.store import Store
from novakit.store.faults import is_full

book = sa.MetaData()
notes = sa.Table("notes", book, sa.Column("id", sa.Integer, primary_key=True), sa.Column("text", sa.String))
mine = notes.c.id == sa.bindparam("key")
add, delete = sa.insert(notes), sa.delete(notes).where(mine)
change = sa.update(notes).where(mine).values(text=sa.bindparam("to"))
path, large = sys.argv[1] + "/x.db", int(sys.argv[2])

async def write(statement, values):
    async with store.write(flushed=False) as session:
        await session.execute(statement, values)

async def main():
    global store
    store = await Store.open("sqlite+aiosqlite:///" + path)
    async with store.writer.begin() as connection:
        await connection.run_sync(book.create_all)
    await write(add, [{"text": "x" * (large if key > 101 else 20000)} for key in range(1, 201)])
    await store.close()
    store = await Store.open("sqlite+aiosqlite:///" + path)
    await write(delete, {"key": 0})
    await store.reserve()
    # Up to the look at the log, just below the length from which it is copied, and many large ones before the next.
    for key in range(1, 102):
        await write(change, {"key": key, "to": "y" * 20000})
    for key in range(102, 192):
        await write(change, {"key": key, "to": "z" * large})
    with open(sys.argv[1] + "/other", "wb", buffering=0) as other:
        for size in (1 << 16, 1 << 12):
            try:
                while other.write(bytes(size)) == size:
                    pass
            except OSError:
                pass
    refused = 0
    for key in range(1, 201):
        try:
            await write(delete, {"key": key})
        except sa.exc.DBAPIError as error:
            assert is_full(error)
            refused += 1
    print(os.stat(path + "-wal").st_size >> 20, refused, flush=True)

asyncio.run(main())
os._exit(0)
"""


@pytest.mark.parametrize(("large", "refused"), [(64 << 10, 0), (240 << 10, 1)])
def test_deleting_goes_on_however_long_the_log_has_become(tmp_path: Path, large: int, refused: int) -> None:
    with SmallDisk(tmp_path / "disk", 160) as disk:
        command = disk.command(sys.executable, "-c", WRITER, str(disk.directory), str(large))
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[1]) == refused, done.stdout
