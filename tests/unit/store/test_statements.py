"""What is run on SQLite's own connection comes to the same as through SQLAlchemy."""

import asyncio
import gc
import warnings
import weakref
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from novakit.store import UTC as MOMENT
from novakit.store.sqlite import statements
from novakit.store.sqlite.statements import PADDED, SHAPES
from tests.support.stores import store_with

book = sa.MetaData()
things = sa.Table(
    "things",
    book,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(20), unique=True),
    sa.Column("state", sa.String(20), nullable=False, default="new"),
    sa.Column("done", sa.Boolean, nullable=False, default=False),
    sa.Column("at", MOMENT),
    sa.Column("data", sa.JSON, nullable=False, default=dict),
    sa.Column("changes", sa.Integer, default=0, onupdate=lambda: 7),
)
parts = sa.Table(
    "parts", book, sa.Column("id", sa.Integer, primary_key=True), sa.Column("thing", sa.ForeignKey("things.id"))
)
words = sa.Table("words", book, sa.Column("word", sa.String(20), primary_key=True), sa.Column("length", sa.Integer))
AT = datetime(2030, 2, 3, 4, 5, 6, 789, UTC)
ADD = sa.insert(things)
ALL = sa.select(things).order_by(things.c.id)
OF_NAMES = sa.select(things.c.id).where(things.c.name.in_(sa.bindparam("names", expanding=True))).order_by(things.c.id)
NOT_OF_NAMES = sa.select(things.c.id).where(things.c.name.not_in(sa.bindparam("names", expanding=True)))
AT_LEAST = sa.select(sa.func.count(), sa.func.coalesce(sa.func.max(things.c.id), 0).label("most")).where(
    things.c.at >= sa.bindparam("at", type_=MOMENT), things.c.done == sa.bindparam("done")
)
JOINED = sa.select(things.c.id, parts.c.id).join(parts, parts.c.thing == things.c.id)
FIXED = sa.select(things.c.name).where(things.c.name.in_(["a", "c"])).order_by(things.c.name)
CHANGE = sa.update(things).where(things.c.name == sa.bindparam("key")).values(data=sa.bindparam("new", type_=sa.JSON))
TAKE = (
    sa.update(things)
    .where(things.c.state == "new")
    .values(state=sa.bindparam("to"))
    .returning(things.c.id, things.c.at)
)
DROP = sa.delete(things).where(things.c.name == sa.bindparam("name"))


@pytest.fixture
async def store(tmp_path):
    store = await store_with(book, tmp_path / "x.db")
    yield store
    await store.close()


class Spy:
    """Counts what goes through SQLAlchemy."""

    def __init__(self, store, monkeypatch):
        self.ran = 0
        run = sa.Connection.execute

        def execute(*args, **options):
            self.ran += 1
            return run(*args, **options)

        monkeypatch.setattr(sa.Connection, "execute", execute)


async def thrice(store, work):
    """Do the same thrice and return what each came to: the first time SQLAlchemy runs it."""
    found = []
    for _ in range(3):
        async with store.write() as session:
            found.append(await work(session))
            await session.execute(sa.text("ROLLBACK"))
    return found


@pytest.fixture
async def three(store):
    rows = [
        {"name": "a", "at": AT, "data": {"x": [1, None, "ü"]}, "done": True},
        {"name": "b", "at": AT.astimezone(timezone(timedelta(hours=3))) + timedelta(days=1), "data": [], "done": False},
        {"name": "c", "at": None, "data": "text", "done": True},
    ]
    async with store.write() as session:
        await session.execute(sa.insert(things), rows)
        await session.execute(sa.insert(parts), [{"thing": 1}, {"thing": 1}, {"thing": 3}])
    return store


@pytest.mark.parametrize(
    ("statement", "values", "right"),
    [
        (OF_NAMES, {"names": []}, []),
        (OF_NAMES, {"names": ["b"]}, [(2,)]),
        (OF_NAMES, {"names": {"a", "b", "c"}}, [(1,), (2,), (3,)]),
        (OF_NAMES, {"names": [*(str(number) for number in range(PADDED + 1)), "c"]}, [(3,)]),
        (NOT_OF_NAMES, {"names": []}, [(1,), (2,), (3,)]),
        (NOT_OF_NAMES, {"names": ["a", "b", "x"]}, [(3,)]),
        (AT_LEAST, {"at": AT, "done": True}, [(1, 1)]),
        (AT_LEAST, {"at": AT, "done": False}, [(1, 2)]),
        (JOINED, None, [(1, 1), (1, 2), (3, 3)]),
        (FIXED, None, [("a",), ("c",)]),
        (TAKE, {"to": "old"}, [(1, AT), (2, AT + timedelta(days=1)), (3, None)]),
    ],
)
async def test_rows_are_the_same_each_time(three, monkeypatch, statement, values, right):
    first = await thrice(three, lambda session: session.rows(statement, values))
    assert first == [right] * 3
    spy = Spy(three, monkeypatch)
    assert (
        await thrice(three, lambda session: session.all(statement, values, of=sa.RowMapping))
        == [[dict(row) for row in await mappings(three, statement, values)]] * 3
    )
    assert spy.ran == 3 + 1 + 1, "each ROLLBACK, and what was run for comparison, which is a copy"


async def test_nobody_is_warned_of_a_statement_whose_key_is_given(store):
    add = sa.insert(words).values(length=sa.literal(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert await thrice(store, lambda session: session.changed(add, [{"word": "a"}])) == [1, 1, 1]


async def mappings(store, statement, values):
    """Have SQLAlchemy run a copy, which it has not seen."""
    copy = statement.execution_options()
    async with store.write() as session:
        found = await session.all(copy, values, of=sa.RowMapping)
        await session.execute(sa.text("ROLLBACK"))
    return found


async def test_every_type_and_default_is_as_sqlalchemy_writes_and_reads_it(store):
    async with store.write() as session:
        for name in ("a", "b", "c"):
            await session.execute(ADD, {"name": name, "at": AT})
        await session.execute(
            ADD, [{"name": "d", "done": True, "data": None}, {"name": "e", "done": False, "data": [1]}]
        )
    async with store.read() as session:
        for _ in range(3):
            rows = [dict(row) for row in await session.all(ALL, of=sa.RowMapping)]
            assert rows[:3] == [
                {"id": number, "name": name, "state": "new", "done": False, "at": AT, "data": {}, "changes": 0}
                for number, name in enumerate("abc", 1)
            ]
            assert [(row["done"], row["data"], row["at"]) for row in rows[3:]] == [
                (True, None, None),
                (False, [1], None),
            ]
            assert all(type(row["done"]) is bool for row in rows)
    assert rows[0]["data"] is not rows[1]["data"], "what is worked out anew for each row is not shared"


async def test_changes_are_counted_and_columns_changed_with_them(three):
    async with three.write() as session:
        for new in (1, 2, 3):
            assert await session.changed(CHANGE, {"key": "a", "new": {"n": new}}) == 1
        assert await session.changed(CHANGE, {"key": "nobody", "new": 0}) == 0
        assert await session.changed_each(CHANGE, [{"key": "a", "new": 5}, {"key": "x", "new": 5}]) == 1
        for name in ("a", "b"):
            await session.execute(sa.delete(parts))
            await session.changed(DROP, {"name": name})
    async with three.read() as session:
        assert [
            dict(row) for row in await session.all(sa.select(things.c.name, things.c.changes), of=sa.RowMapping)
        ] == [{"name": "c", "changes": 0}]


async def test_an_update_sets_what_is_worked_out_at_each_change(three):
    async with three.write() as session:
        for _ in range(3):
            await session.changed(CHANGE, {"key": "b", "new": []})
            assert await session.scalar(sa.select(things.c.changes).where(things.c.name == "b")) == 7


async def test_what_sqlite_refuses_is_the_same_error(three):
    for _ in range(3):
        with pytest.raises(sa.exc.IntegrityError, match="UNIQUE constraint failed") as caught:
            async with three.write() as session:
                await session.execute(ADD, {"name": "a"})
        assert caught.value.orig.sqlite_errorcode == 2067
        assert "'a'" not in str(caught.value), "no error says what was being written"
        with pytest.raises(sa.exc.DBAPIError, match="not authorized"):
            async with three.read() as session:
                await session.execute(ADD, {"name": "z"})
    async with three.read() as session:
        assert len(await session.all(ALL, of=sa.RowMapping)) == 3


async def test_a_value_that_is_missing_is_said_to_be(three):
    for _ in range(3):
        with pytest.raises(sa.exc.StatementError, match="at"):
            async with three.read() as session:
                await session.all(AT_LEAST, {"done": True}, of=sa.RowMapping)


async def test_shapes_are_few_and_compiled_once(three, monkeypatch):
    compiled = []
    real = statements._compiled
    monkeypatch.setattr(statements, "_compiled", lambda *given, **how: compiled.append(given[0]) or real(*given, **how))
    async with three.read() as session:
        for count in range(700):
            await session.rows(OF_NAMES, {"names": [str(number) for number in range(count)]})
        shapes = session._statements._known[id(OF_NAMES)].shapes
    assert len(shapes) <= 12 < SHAPES
    assert compiled == [OF_NAMES] * 2, "once to find its lists, and once for whatever length they have"


@pytest.mark.parametrize(
    "build",
    [
        lambda: sa.select(things.c.id).where(things.c.name.in_(sa.bindparam("names", expanding=True))),
        lambda: sa.union_all(
            sa.select(things.c.id).where(things.c.name.in_(sa.bindparam("names", expanding=True))),
            sa.select(parts.c.id),
        ),
        lambda: sa.update(things).where(things.c.name.in_(sa.bindparam("names", expanding=True))).values(state="old"),
        lambda: sa.delete(parts).where(
            parts.c.thing.in_(
                sa.select(things.c.id).where(things.c.name.in_(sa.bindparam("names", expanding=True))).scalar_subquery()
            )
        ),
    ],
)
def test_of_a_statement_that_is_gone_nothing_is_kept(build):
    known, statement = statements.Statements(sqlite.dialect()), build()
    found = [known.prepared(statement, {"names": ["x"] * count}, several=False) for count in range(4)]
    assert found[0] is None and all(found[1:])
    gone = weakref.ref(statement)
    del statement
    gc.collect()
    assert gone() is None and not known._known


async def test_a_slow_statement_leaves_the_loop(store, monkeypatch):
    monkeypatch.setattr("novakit.store.sqlite.dialect.MANY", 1)
    async with store.write() as session:
        await session.execute(ADD, [{"name": "x"}, {"name": "y"}])
        await session.execute(ADD, [{"name": "x1"}, {"name": "y1"}])
        working = asyncio.ensure_future(session.execute(ADD, [{"name": "x2"}, {"name": "y2"}]))
        await asyncio.sleep(0)
        assert not working.done()
        await working
        assert await session.scalar(sa.select(sa.func.count()).select_from(things)) == 6


async def test_a_connection_that_was_cancelled_in_its_thread_is_rolled_back_before_the_next_has_it(store, monkeypatch):
    monkeypatch.setattr("novakit.store.sqlite.dialect.MANY", 0)

    async def work():
        async with store.write() as session:
            for number in range(6):
                await session.execute(ADD, {"name": f"n{number}"})

    for turns in range(1, 40):
        task = asyncio.ensure_future(work())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with store.write() as session:
            # All of it or nothing: it may have been committed before it was cancelled.
            assert await session.scalar(sa.select(sa.func.count()).select_from(things)) in (0, 6)
            await session.execute(sa.delete(things))
