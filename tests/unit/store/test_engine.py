import asyncio
import sqlite3
import threading
from contextlib import AsyncExitStack, closing, suppress
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from novakit import world
from novakit.store import UTC, Session, Store
from novakit.store.faults import StoreAway
from novakit.store.sqlite import connections
from novakit.store.sqlite.database import READERS
from novakit.store.sqlite.wal import WriteAheadLog
from tests.support.stores import store_with

book = sa.MetaData()
notes = sa.Table(
    "notes",
    book,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(20), unique=True),
    sa.Column("at", UTC),
    sa.Column("extra", sa.JSON),
)
secrets = sa.Table("secrets", book, sa.Column("id", sa.Integer, primary_key=True))


@pytest.fixture
async def store(tmp_path):
    store = await store_with(book, tmp_path / "x.db")
    yield store
    await store.close()


async def names(store):
    async with store.read() as session:
        return await session.scalars(sa.select(notes.c.name).order_by(notes.c.id))


async def test_rows_come_back_as_they_were_written(store):
    now = world.now()
    async with store.write() as session:
        await session.execute(sa.insert(notes), [{"name": "a", "at": now, "extra": {"b": [1, "ü", None]}}])
    async with store.read() as session:
        row = await session.first(sa.select(notes), of=sa.RowMapping)
    assert dict(row) == {"id": 1, "name": "a", "at": now, "extra": {"b": [1, "ü", None]}}


async def test_counts_keys_and_returned_rows_are_right(store):
    async with store.write() as session:
        assert await session.insert_one(sa.insert(notes).values(name="a")) == 1
        await session.execute(sa.insert(notes), [{"name": "b"}, {"name": "c"}])
        assert await session.changed(sa.update(notes).where(notes.c.id > 1).values(extra=1)) == 2
        back = await session.all(sa.delete(notes).where(notes.c.name == "b").returning(notes.c.id), of=sa.RowMapping)
        assert [row["id"] for row in back] == [2]
        assert await session.changed(sa.delete(notes).where(notes.c.name == "nobody")) == 0


async def test_a_statement_for_no_rows_is_not_run(store):
    adding, renaming = sa.insert(notes), sa.update(notes).values(name=sa.bindparam("to"))
    for _ in range(3):
        async with store.write() as session:
            before = store.tally.statements
            await session.execute(adding, [])
            assert await session.changed_each(renaming, []) == 0
            assert store.tally.statements == before
    assert await names(store) == []


async def test_a_condition_of_many_values_is_one_parameter(store):
    async with store.write() as session:
        await session.execute(sa.insert(notes), [{"name": name} for name in ("a", "b'\"", "ü")])
    async with store.read() as session:
        for asked in ([], ["a"], ["ü", "b'\"", "c"], [str(number) for number in range(2000)] + ["a"]):
            found = await session.scalars(sa.select(notes.c.name).where(session.among(notes.c.name, asked)))
            assert set(found) == {"a", "b'\"", "ü"} & set(asked)


async def test_a_block_that_raises_writes_nothing_and_tells_nobody(store):
    told = []
    with pytest.raises(RuntimeError):
        async with store.write() as session:
            session.after_commit(lambda: told.append("committed"))
            await session.execute(sa.insert(notes).values(name="a"))
            raise RuntimeError
    assert await names(store) == [] and told == []
    async with store.write() as session:
        session.after_commit(lambda: told.append("committed"))
        await session.execute(sa.insert(notes).values(name="b"))
    assert await names(store) == ["b"] and told == ["committed"]


async def test_a_duplicate_is_an_integrity_error(store):
    with pytest.raises(sa.exc.IntegrityError):
        async with store.write() as session:
            await session.execute(sa.insert(notes), [{"name": "a"}, {"name": "a"}])
    assert await names(store) == []


async def test_a_reader_cannot_write(store):
    with pytest.raises(sa.exc.DBAPIError, match="not authorized"):
        async with store.read() as session:
            await session.execute(sa.insert(notes).values(name="a"))


async def test_a_reader_sees_one_moment(store):
    async with store.read() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(notes)) == 0
        async with store.write() as other:
            await other.execute(sa.insert(notes).values(name="a"))
        assert await session.scalar(sa.select(sa.func.count()).select_from(notes)) == 0
    assert await names(store) == ["a"]


@pytest.mark.parametrize("streamed", [partial(Session.many, of=sa.RowMapping), Session.tuples], ids=["many", "tuples"])
async def test_a_reader_that_begins_with_streamed_rows_sees_one_moment(store, streamed):
    async with store.read() as session:
        assert await streamed(session, sa.select(notes)) == []
        async with store.write() as other:
            await other.execute(sa.insert(notes).values(name="later"))
        assert await session.scalars(sa.select(notes.c.name)) == []
    assert await names(store) == ["later"]


@pytest.mark.parametrize("streamed", [partial(Session.many, of=sa.RowMapping), Session.tuples], ids=["many", "tuples"])
async def test_a_write_that_begins_with_streamed_rows_keeps_another_process_from_writing(store, streamed, tmp_path):
    with closing(sqlite3.connect(tmp_path / "x.db", timeout=0)) as other:
        async with store.write() as session:
            await streamed(session, sa.select(notes))
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")


async def test_a_connection_that_broke_while_it_was_held_takes_no_place_with_it(store):
    for _ in range(2 * READERS):
        with suppress(sa.exc.DBAPIError, sqlite3.ProgrammingError):
            async with store.read() as session:
                await session.scalars(sa.select(notes.c.name))
                await session._kept.inner._connection.close()
    async with asyncio.timeout(5):
        assert await names(store) == []


async def test_a_connection_that_broke_before_it_was_taken_takes_no_place_with_it(store):
    async with store.write() as session:
        kept = session._kept
    await kept.inner._connection.close()
    with pytest.raises(sqlite3.ProgrammingError):
        async with store.write():
            pass
    async with asyncio.timeout(5), store.write() as session:
        await session.execute(sa.insert(notes).values(name="a"))
    assert await names(store) == ["a"]


async def test_a_restricted_store_writes_only_its_tables(store, tmp_path):
    narrow = await Store.open(store.url.replace("onetrip", "aiosqlite"), writes={"notes"})
    async with narrow.write() as session:
        await session.execute(sa.insert(notes).values(name="a"))
    with pytest.raises(sa.exc.DBAPIError, match="not authorized"):
        async with narrow.write() as session:
            await session.execute(sa.insert(secrets).values(id=1))
    await narrow.close()


async def test_fifty_writers_at_once_lose_nothing(store):
    async def add(number):
        async with store.write() as session:
            count = await session.scalar(sa.select(sa.func.count()).select_from(notes))
            await session.execute(sa.insert(notes).values(name=f"{count}-{number}"))

    await asyncio.gather(*(add(number) for number in range(50)))
    assert sorted(int(name.partition("-")[0]) for name in await names(store)) == list(range(50))


async def test_writers_wait_in_order_for_as_long_as_it_takes_and_readers_for_a_time(store):
    store._sqlite.readers.waits = 0.05
    order, done = [], asyncio.Event()

    async def write(number):
        async with store.write() as session:
            order.append(number)
            await session.execute(sa.insert(notes).values(name=f"n{number}"))
            await done.wait()

    writers = [asyncio.create_task(write(number)) for number in range(5)]
    async with AsyncExitStack() as stack:
        for _ in range(READERS):
            await stack.enter_async_context(store.read())
        with pytest.raises(StoreAway):
            await names(store)
    assert order == [0] and store._sqlite.writers.waits is None
    done.set()
    await asyncio.gather(*writers)
    assert order == [0, 1, 2, 3, 4] and await names(store) == [f"n{number}" for number in range(5)]


async def test_a_task_cancelled_in_a_transaction_leaves_the_store_usable(store):
    begun = asyncio.Event()

    async def hold():
        async with store.write() as session:
            await session.execute(sa.insert(notes).values(name="lost"))
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(hold())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(10):
        async with store.write() as session:
            await session.execute(sa.insert(notes).values(name="kept"))
    assert await names(store) == ["kept"]


async def test_tasks_cancelled_at_any_moment_leave_the_store_usable(store):
    async def work(number):
        async with store.write() as session:
            await session.execute(sa.insert(notes).values(name=f"w{number}"))
            await session.scalar(sa.select(sa.func.count()).select_from(notes))
        async with store.read() as session:
            await session.scalar(sa.select(sa.func.count()).select_from(notes))

    for turns in range(60):
        task = asyncio.ensure_future(work(turns))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(10):
        async with store.write() as session:
            await session.execute(sa.insert(notes).values(name="kept"))
    assert "kept" in await names(store)


@pytest.fixture(params=["sqlite", "postgresql"])
async def either_store(request, tmp_path):
    """A store of either database, with the tables of these tests."""
    is_postgresql = request.param == "postgresql"
    url = request.getfixturevalue("postgres_url") if is_postgresql else f"sqlite+aiosqlite:///{tmp_path}/x.db"
    store = await store_with(book, url)
    yield store
    await store.close()


@pytest.mark.parametrize("turns", [-1, 0, 1, 2, 3, 5, 8, 13])
async def test_what_was_committed_is_told_of_whenever_whoever_wrote_it_was_cancelled(either_store, turns):
    """`turns` of the loop after the end of the block, when the commit is what is waited for; or before that."""
    told = []

    def cancel(after):
        if after:
            asyncio.get_running_loop().call_soon(cancel, after - 1)
        else:
            task.cancel()

    async def write():
        async with either_store.write() as session:
            session.after_commit(lambda: told.append("a"))
            await session.execute(sa.insert(notes).values(name="a"))
            asyncio.get_running_loop().call_soon(cancel, max(turns, 0))
            if turns < 0:
                await asyncio.sleep(0)

    task = asyncio.ensure_future(write())
    await asyncio.wait([task])
    assert turns > 0 or task.cancelled()
    assert told == await names(either_store) == ([] if turns < 0 else ["a"])


async def test_what_follows_a_commit_is_done_where_whoever_wrote_it_was_cancelled_before_it_is_on_the_disk(
    store, monkeypatch
):
    """The disk is what is waited for the longest, so it is then that a client hangs up."""
    told, flush = [], WriteAheadLog.flush

    async def cut(log):
        task.cancel()
        await flush(log)

    async def tell(name):
        await asyncio.sleep(0)
        told.append(name)

    async def write():
        async with store.write() as session:
            session.followed_by(lambda: tell("b"))
            session.followed_by(lambda: tell("c"))
            session.after_commit(lambda: told.append("a"))
            await session.execute(sa.insert(notes).values(name="a"))

    monkeypatch.setattr(WriteAheadLog, "flush", cut)
    task = asyncio.ensure_future(write())
    await asyncio.wait([task])
    assert task.cancelled()
    assert told == ["a", "b", "c"] and await names(store) == ["a"]


async def _until_closed(work):
    """Do something over and over. Returns how often it was done before the store was closed."""
    done = 0
    with suppress(StoreAway):
        while True:
            await work()
            done += 1
    return done


async def test_what_was_not_flushed_is_once_it_is_waited_for_and_nothing_is_flushed_twice(tmp_path):
    store = await store_with(book, tmp_path / "x.db")
    await store.settled()
    assert store.tally.flushes == 1, "what a process before this one committed may not be on the disk"
    await store.settled()
    assert store.tally.flushes == 1
    async with store.write(flushed=False) as session:
        await session.execute(sa.insert(notes), {"extra": 1})
    assert store.tally.flushes == 1
    await store.settled()
    assert store.tally.flushes == 2
    async with store.write() as session:
        await session.execute(sa.insert(notes), {"extra": 2})
    await store.settled()
    assert store.tally.flushes == 3
    await store.close()


@pytest.mark.parametrize("turn", range(8))
async def test_a_store_that_is_closed_under_reads_and_writes_ends_each_of_them_first(tmp_path, turn):
    """Where a thread closes a connection that the loop reads through, the process ends by a signal."""
    await asyncio.to_thread(int)  # which starts the first thread of the loop's own
    before = set(threading.enumerate())
    store = await store_with(book, tmp_path / "x.db")
    count, add, read_whole = sa.select(sa.func.count()).select_from(notes), sa.insert(notes), []

    async def read():
        async with store.read() as session:
            seen = [await session.scalar(count)]
            await asyncio.sleep(0)
            seen.append(await session.scalar(count))
        read_whole.append(seen[0] == seen[1])

    async def write():
        async with store.write(flushed=False) as session:
            await session.execute(add, [{"extra": turn}] * 150)  # so many that its thread does it
            await session.execute(add, {"extra": turn})

    working = [asyncio.create_task(_until_closed(work)) for work in [read] * 20 + [write] * 4]
    await asyncio.sleep(0.1 + turn * 0.007)
    async with asyncio.timeout(30):
        await store.close()
        done = await asyncio.gather(*working)
    assert all(read_whole) and sum(done[:20]) == len(read_whole) > 0
    for thread in set(threading.enumerate()) - before:
        await asyncio.to_thread(thread.join, 10)
        assert not thread.is_alive(), "a connection is still open"
    with closing(sqlite3.connect(tmp_path / "x.db")) as after:
        assert after.execute("SELECT count(*) FROM notes").fetchone() == (sum(done[20:]) * 151,)


async def test_a_store_is_closed_under_a_transaction_that_does_not_end_and_its_connection_with_it(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(connections, "CLOSES_WITHIN", 0.05)
    store = await store_with(book, tmp_path / "x.db")
    with capture_logs() as said:
        async with store.read() as session:
            await store.close()
            assert await session.scalar(sa.select(sa.func.count()).select_from(notes)) == 0
            real = session._kept.inner
            with pytest.raises(StoreAway, match="closed"):
                await names(store)
    assert [(line["log_level"], line["transactions"]) for line in said] == [("warning", 1)]
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        real.run_here("SELECT 1", (), several=False)


async def test_a_new_reading_connection_waits_for_no_writer(tmp_path):
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/x.db")
    await store.create_all()
    async with store.write() as session:
        await session.execute(sa.text("CREATE TABLE held (x)"))
        async with asyncio.timeout(12), AsyncExitStack() as stack:
            for _ in range(10):  # more than any pool has at the start, so that each is new
                reader = await stack.enter_async_context(store.read())
                assert await reader.scalar(sa.text("SELECT count(*) FROM sqlite_master WHERE name = 'held'")) == 0
    await store.close()


async def test_a_write_that_waits_for_another_process_holds_nobody_up(store):
    assert await names(store) == []
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        async def write():
            async with store.write() as session:
                await session.execute(sa.insert(notes).values(name="late"))

        waiting = asyncio.create_task(write())
        for _ in range(20):
            # Were it waiting on the loop, none of these would come back before the other one ends.
            assert await asyncio.wait_for(names(store), 30) == []
            await asyncio.sleep(0.01)
        assert not waiting.done()
        other.execute("COMMIT")
        await asyncio.wait_for(waiting, 10)
    assert await names(store) == ["late"]


async def test_a_slow_statement_leaves_the_loop_once_it_was_slow_twice(store):
    slow = sa.text(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) SELECT count(*) FROM n"
    )
    turns = []
    for _ in range(3):
        others = asyncio.create_task(count_turns())
        await asyncio.sleep(0)
        async with store.read() as session:
            await session.scalar(sa.text("SELECT 1"))
            before = TURNS["taken"]
            assert await session.scalar(slow) == 1000000
            turns.append(TURNS["taken"] - before)
        others.cancel()
    assert turns[:2] == [0, 0] and turns[2] > 10, turns


TURNS = {"taken": 0}


async def count_turns():
    while True:
        TURNS["taken"] += 1
        await asyncio.sleep(0)


@pytest.mark.parametrize("content", [b"no database " * 100, None], ids=["no database", "a directory"])
async def test_what_cannot_be_opened_leaves_no_thread_whose_last_word_finds_the_loop_closed(
    content: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "novakit.db"
    path.mkdir() if content is None else path.write_bytes(content)
    before = set(threading.enumerate())
    store = await Store.open(f"sqlite+aiosqlite:///{path}")
    with pytest.raises((sa.exc.DatabaseError, StoreAway)) as refused:
        async with store.write():
            raise AssertionError("opened")
    left = set(threading.enumerate()) - before
    if content is not None:  # it was opened, and who closed it has heard the thread's last word
        for thread in left:
            thread.join(5)
    assert not any(thread.is_alive() for thread in left), refused
    await store.close()


@pytest.mark.parametrize("twins", [True, False])
async def test_a_row_that_another_one_wrote_first_is_tried_again_where_that_is_asked_for(store, twins):
    wanted = ["same", "other"]
    async with store.write() as session:
        await session.execute(sa.insert(notes), [{"name": "same"}])

    async def work(session):
        await session.execute(sa.insert(notes), [{"name": wanted.pop(0)}])

    if twins:
        await store.retrying(work, twins=True)
    else:
        with pytest.raises(sa.exc.IntegrityError):
            await store.retrying(work)
    assert await names(store) == (["same", "other"] if twins else ["same"])
