"""What is said of a database that cannot be used, for each way in which SQLite and PostgreSQL refuse."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from novakit.store.opening import why_not


def damaged(path: Path) -> None:
    path.write_bytes(b"no database " * 100)
    sqlite3.connect(path).execute("SELECT * FROM sqlite_master")


def nowhere(path: Path) -> None:
    sqlite3.connect(path / "under" / "x.db")


def read_only(path: Path) -> None:
    sqlite3.connect(path).execute("CREATE TABLE t (n)")
    sqlite3.connect(f"file:{path}?mode=ro", uri=True).execute("INSERT INTO t VALUES (1)")


def held(path: Path) -> None:
    first = sqlite3.connect(path)
    first.execute("BEGIN EXCLUSIVE")
    try:
        sqlite3.connect(path, timeout=0).execute("SELECT * FROM sqlite_master")
    finally:
        first.close()


def misspelt(path: Path) -> None:
    sqlite3.connect(path).execute("SELECT * FROM nothing")


def full(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE t (n)")
    database.execute("PRAGMA max_page_count = 2")
    database.execute("INSERT INTO t VALUES (zeroblob(100000))")


SQLITE: tuple[tuple[Callable[[Path], None], str], ...] = (
    (damaged, "restore a backup, or move it away for an empty one."),
    (nowhere, "Check the rights and the space of its directory, or name another `database`."),
    (read_only, "Check the rights and the space of its directory, or name another `database`."),
    (held, "Another program has locked it; stop that program."),
    (full, "The disk is full; free some space, or name another `database`."),
    (misspelt, "`novakit doctor` looks at it."),
)


@pytest.mark.parametrize(("refused", "doing"), SQLITE)
def test_each_way_in_which_sqlite_refuses_has_its_own_advice(
    refused: Callable[[Path], None], doing: str, tmp_path: Path
) -> None:
    with pytest.raises(sqlite3.Error) as caught:
        refused(tmp_path / "x.db")
    bare = why_not(caught.value)
    assert bare is not None and bare.startswith("The SQLite database cannot be used: ") and bare.endswith(doing)
    assert why_not(sa.exc.OperationalError("INSERT secret", {}, caught.value)) == bare


@pytest.mark.parametrize(
    ("error", "doing"),
    [
        ("InvalidPasswordError", "Correct user and password in `database`."),
        ("InvalidCatalogNameError", "Make the database (createdb), or correct its name in `database`."),
        ("TooManyConnectionsError", "Check its disk, its memory and its number of connections."),
        ("DiskFullError", "Check its disk, its memory and its number of connections."),
        ("CannotConnectNowError", "Start it, or wait until it is up."),
        ("ConnectionFailureError", "Start it, or wait until it is up."),
        ("UndefinedTableError", "`novakit doctor` looks at it."),
    ],
)
def test_each_kind_of_refusal_of_postgresql_has_its_own_advice(error: str, doing: str) -> None:
    asyncpg = pytest.importorskip("asyncpg")
    raised = getattr(asyncpg, error)("so it says")
    assert why_not(raised) == f"PostgreSQL refuses ({raised.sqlstate}): so it says. {doing}"


def test_an_error_of_something_else_is_not_explained_as_one_of_the_database() -> None:
    assert why_not(ValueError("x")) is None and why_not(OSError(2, "x")) is None
    assert str(why_not(sa.exc.ArgumentError("not a URL"))).endswith("Correct `database` in novakit.toml.")
