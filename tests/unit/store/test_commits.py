"""Commits of SQLite: made on the loop, but never where they would wait for the disk."""

import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from novakit.store import Store
from novakit.store.sqlite.commits import ROWS, TRIED_AGAIN, Commits, _waits
from tests.support.stores import store_with

book = sa.MetaData()
notes = sa.Table("notes", book, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(20)))
ADD = sa.insert(notes)

RECORDER = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
static int note(const char *name, int descriptor) {
  char link[64], path[4096] = {0};
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  if (readlink(link, path, sizeof path - 1) < 0) abort();
  FILE *log = fopen(getenv("FLUSHES"), "a");
  fprintf(log, "%s %s\\n", syscall(SYS_gettid) == getpid() ? "loop" : "thread", path);
  fclose(log);
  return ((int (*)(int))dlsym(RTLD_NEXT, name))(descriptor);
}
int fsync(int descriptor) { return note("fsync", descriptor); }
int fdatasync(int descriptor) { return note("fdatasync", descriptor); }
"""

WRITER = """
import asyncio, os, sqlite3, sys
import sqlalchemy as sa
from novakit.store import Store

book = sa.MetaData()
notes = sa.Table("notes", book, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(5000)))
add = sa.insert(notes)
path = sys.argv[1]

async def main():
    store = await Store.open(f"sqlite+aiosqlite:///{path}")
    async with store.writer.begin() as connection:
        await connection.run_sync(book.create_all)
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)

    def another_writes():
        other.execute("BEGIN IMMEDIATE")
        other.executemany("INSERT INTO notes (name) VALUES (?)", [("y" * 4000,)] * 1100)
        other.execute("COMMIT")

    for number in range(3000):
        async with store.write(flushed=number % 7 == 0) as session:
            await session.execute(add, [{"name": "x" * 4000}])
        if number % 500 == 499:
            await asyncio.to_thread(another_writes)
    print(os.stat(path + "-wal").st_size, flush=True)
    other.close()

asyncio.run(main())
os._exit(0)
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="compiles what records flushes")
def test_the_loop_never_flushes_and_the_log_does_not_grow_without_bounds(tmp_path: Path) -> None:
    (tmp_path / "recorder.c").write_text(RECORDER)
    library, log = tmp_path / "recorder.so", tmp_path / "flushes"
    compiled = ["gcc", "-shared", "-fPIC", "-o", str(library), str(tmp_path / "recorder.c"), "-ldl"]
    subprocess.run(compiled, check=True)
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(tmp_path / "x.db")],
        env={**os.environ, "LD_PRELOAD": str(library), "FLUSHES": str(log)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    flushes = [line.split() for line in log.read_text().splitlines()]
    assert {thread for thread, _ in flushes} == {"thread"}
    assert sum(path.endswith("x.db") for _, path in flushes) > 10, "it was copied into the database now and then"
    assert int(done.stdout) < 16 << 20


@pytest.fixture
async def store(tmp_path: Path):
    store = await store_with(book, tmp_path / "x.db")
    yield store
    await store.close()


class Places:
    """Notes where each commit is made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[str] = []
        here, aside = Commits.here, Commits.aside
        monkeypatch.setattr(Commits, "here", lambda *given: self.seen.append("loop") or here(*given))
        monkeypatch.setattr(Commits, "aside", lambda *given: self.seen.append("thread") or aside(*given))

    async def of(self, store: Store, rows: int = 1) -> str:
        async with store.write(flushed=False) as session:
            if rows:
                await session.execute(ADD, [{"name": "x"}] * rows)
            else:
                await session.execute(sa.delete(notes).where(notes.c.name == "nobody"))
        return self.seen.pop()


@pytest.fixture
async def places(store: Store, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Past the first two commits of a process, of which the log may be of a former one."""
    # A busy machine takes longer for some, whose next ones are made in the thread.
    monkeypatch.setattr("novakit.store.sqlite.commits.SLOW", 60.0)
    places = Places(monkeypatch)
    async with store.write() as session:
        await session.execute(sa.delete(notes))
    assert [await places.of(store) for _ in range(3)] == ["thread", "thread", "loop"]
    return places


async def test_small_transactions_are_committed_on_the_loop_until_the_log_is_looked_at(store, places):
    found = [await places.of(store) for _ in range(ROWS + 10)]
    looked = found.index("thread")
    assert found[looked : looked + 3] == ["thread", "thread", "loop"] and found.count("thread") == 2
    assert looked == ROWS - 2, "two were written before"


async def test_a_large_one_is_committed_in_the_thread_and_so_is_the_next(store, places):
    assert await places.of(store, ROWS + 1) == "thread"
    assert [await places.of(store, 0) for _ in range(2)] == ["loop", "loop"], "what wrote nothing begins no log anew"
    assert [await places.of(store) for _ in range(2)] == ["thread", "loop"]


async def test_after_another_process_has_written_a_commit_is_made_in_the_thread(store, places):
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("INSERT INTO notes (name) VALUES ('other')")
    other.close()
    assert [await places.of(store) for _ in range(2)] == ["thread", "loop"]


async def test_after_a_transaction_that_failed_the_next_commit_is_made_in_the_thread(store, places):
    with pytest.raises(RuntimeError):
        async with store.write() as session:
            await session.execute(ADD, [{"name": "x"}])
            raise RuntimeError
    assert [await places.of(store) for _ in range(2)] == ["thread", "loop"]


async def test_after_the_file_was_made_smaller_the_next_commit_is_made_in_the_thread(store, places):
    await store.reclaim()
    assert [await places.of(store) for _ in range(2)] == ["thread", "loop"]


async def test_while_the_log_is_flushed_commits_are_made_in_the_thread(store, places):
    store._log.is_flushing = True
    assert await places.of(store) == "thread"
    store._log.is_flushing = False
    assert await places.of(store) == "loop"


async def test_after_a_commit_that_has_waited_the_next_ones_are_made_in_the_thread(store, places, monkeypatch):
    waits = itertools.count()
    with monkeypatch.context() as slow:
        slow.setattr("novakit.store.sqlite.commits.SLOW", -1.0)
        slow.setattr("novakit.store.sqlite.commits._waits", lambda: next(waits))
        assert [await places.of(store) for _ in range(2)] == ["loop", "loop"], "of the first it is not known"
    assert [await places.of(store) for _ in range(TRIED_AGAIN)] == ["thread"] * (TRIED_AGAIN - 1) + ["loop"]


async def test_a_commit_that_others_kept_from_the_processor_has_not_waited(store, places, monkeypatch):
    monkeypatch.setattr("novakit.store.sqlite.commits.SLOW", -1.0)
    monkeypatch.setattr("novakit.store.sqlite.commits._waits", lambda: 7)
    assert [await places.of(store) for _ in range(TRIED_AGAIN)] == ["loop"] * TRIED_AGAIN


def test_it_is_told_whether_a_thread_has_waited():
    before = _waits()
    time.sleep(0.01)
    assert _waits() > before


async def test_it_is_asked_whether_commits_wait_only_after_a_slow_one(store, places, monkeypatch):
    def asked() -> int:
        raise AssertionError("nothing was slow")

    monkeypatch.setattr("novakit.store.sqlite.commits._waits", asked)
    assert await places.of(store) == "loop"
    with monkeypatch.context() as slow:
        slow.setattr("novakit.store.sqlite.commits.SLOW", -1.0)
        assert await places.of(store) == "loop"
    monkeypatch.setattr("novakit.store.sqlite.commits._waits", lambda: 7)
    assert [await places.of(store) for _ in range(TRIED_AGAIN)] == ["loop"] * TRIED_AGAIN
    monkeypatch.setattr("novakit.store.sqlite.commits._waits", asked)
    assert await places.of(store) == "loop"
