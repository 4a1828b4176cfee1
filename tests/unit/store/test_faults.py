"""What the matter is with the database or the disk, and what a client is told of it."""

import errno
import sqlite3
import ssl
import traceback
from pathlib import Path

import pytest
import sqlalchemy as sa

from novakit.store import Store, faults


class Refused(Exception):
    """A driver's error with an SQLSTATE."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__("x")
        self.sqlstate = sqlstate


def _postgresql(sqlstate: str) -> sa.exc.DBAPIError:
    return sa.exc.OperationalError("SELECT 1", {}, Refused(sqlstate))


def _sqlite(code: int, said: str = "x") -> sa.exc.DBAPIError:
    cause = sqlite3.OperationalError(said)
    cause.sqlite_errorcode = code
    return sa.exc.OperationalError("SELECT 1", {}, cause)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (_postgresql("08006"), 503),
        (_postgresql("40001"), 503),
        (_postgresql("53300"), 503),
        (_postgresql("53100"), 507),
        (_postgresql("57P01"), 503),
        (_postgresql("42P01"), 503),
        (_postgresql("23505"), None),
        (_sqlite(sqlite3.SQLITE_BUSY), 503),
        (_sqlite(sqlite3.SQLITE_IOERR_WRITE), 503),
        (_sqlite(sqlite3.SQLITE_FULL), 507),
        (_sqlite(sqlite3.SQLITE_ERROR, "no such table: users"), 503),
        (_sqlite(sqlite3.SQLITE_ERROR), None),
        (_sqlite(sqlite3.SQLITE_CONSTRAINT_UNIQUE), None),
        (OSError(errno.ENOSPC, "x"), 507),
        (OSError(errno.EDQUOT, "x"), 507),
        (OSError(errno.EACCES, "x"), None),
        (faults.StoreAway("x"), 503),
        (sa.exc.TimeoutError(), 503),
        (ValueError(), None),
    ],
)
def test_what_passes_is_503_with_a_time_and_what_is_full_is_507(error: Exception, status: int | None) -> None:
    answer = faults.as_answer(error)
    assert (answer and int(answer.status)) == status
    if answer is not None and answer.status == 503:
        assert answer.headers["Retry-After"].isdigit()
        # What lacks a table passes with a restart alone: an operation that waited for it would wait for ever.
        assert faults.is_passing(error) != faults.lacks_schema(error)


@pytest.mark.parametrize(
    "error",
    [sa.exc.StatementError("no value", "SELECT secret", {}, None), _sqlite(sqlite3.SQLITE_ERROR, "SELECT secret")],
)
def test_no_statement_leaves_the_log(error: sa.exc.StatementError) -> None:
    told = faults.as_reply(error)
    assert told is not None and "SELECT" in str(error)
    assert told.kind == type(error).__name__
    assert "SELECT" not in str(told) + faults.shown(error) and faults.shown(error).startswith("the database failed: ")


def test_other_errors_are_told_and_shown_as_they_are() -> None:
    error = ValueError("x")
    assert faults.as_reply(error) is None and faults.shown(error) == "x"


def test_a_full_disk_of_postgresql_is_said_to_take_no_deletions_and_sqlites_asks_for_some() -> None:
    for error, deletes in ((_postgresql("53100"), False), (_sqlite(sqlite3.SQLITE_FULL), True)):
        said = str(faults.as_answer(error))
        assert ("nothing deleted either" in said, "Delete what is not needed" in said) == (not deletes, deletes)


async def test_a_refused_connection_is_a_passing_fault_and_says_nothing_of_where_it_went() -> None:
    store = await Store.open("postgresql+asyncpg://user:hunter2@127.0.0.1:1/secretname")
    for opened in (store.read, store.write):
        with pytest.raises(faults.StoreAway) as told:
            async with opened():
                raise AssertionError("there is no such server")
        assert faults.is_passing(told.value) and told.value.headers["Retry-After"].isdigit()
        assert "hunter2" not in str(told.value) and "secretname" not in str(told.value)
    await store.close()


def test_a_tls_connection_that_fails_is_not_told_in_words_of_the_operating_system() -> None:
    told = faults.on_connecting(ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed certificate"))
    assert "(no TLS connection with it could be made)" in str(told)


async def test_a_mistake_in_the_address_is_no_passing_fault(postgres_url: str) -> None:
    store = await Store.open(postgres_url.rpartition("/")[0] + "/nowhere")
    with pytest.raises(Exception, match="nowhere") as told:
        async with store.read():
            raise AssertionError("there is no such database")
    assert not faults.is_passing(told.value)
    await store.close()


async def test_a_database_that_is_really_full_is_507(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/x.db")
    async with store.write() as session:
        await session.execute(sa.text("CREATE TABLE notes (content TEXT)"))
        await session.execute(sa.text("PRAGMA max_page_count = 4"))
    with pytest.raises(sa.exc.OperationalError) as told:
        async with store.write() as session:
            await session.execute(sa.text("INSERT INTO notes VALUES (:content)"), {"content": "x" * 100_000})
    answer = faults.as_answer(told.value)
    assert answer is not None and int(answer.status) == 507
    await store.close()


CANARY = "kQ7canary3zWx"


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO notes VALUES (1, :value), (1, :value)",
        "SELECT CAST(:value AS uuid)",
        "INSERT INTO notes VALUES (2, repeat(:value, 100))",
        "INSERT INTO notes SELECT 4, :value FROM nowhere",
        "SELECT CAST(:value AS jsonb)",
    ],
)
async def test_errors_of_postgresql_say_nothing_of_what_was_written(postgres_url: str, statement: str) -> None:
    store = await Store.open(postgres_url)
    async with store.write() as session:
        await session.execute(sa.text("CREATE TABLE notes (id integer PRIMARY KEY, name varchar(50) UNIQUE)"))
    with pytest.raises(sa.exc.DBAPIError) as told:
        async with store.write() as session:
            await session.execute(sa.text(statement), {"value": CANARY})
    shown = "".join(traceback.format_exception(told.value)) + repr(told.value) + str(told.value)
    assert CANARY not in shown, shown
    assert "sqlalchemy" in shown
    assert (faults.as_answer(told.value) is None) == ("nowhere" not in statement)
    await store.close()
