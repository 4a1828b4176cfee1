"""Why a database cannot be opened, in a sentence with what to do; clients are told by `faults` instead."""

import sqlite3

import sqlalchemy as sa


def why_not(error: BaseException) -> str | None:
    """Return what to tell an operator of an error of the database, and None for any other.

    It may be wrapped by SQLAlchemy, or come bare while connecting.
    """
    if isinstance(error, sa.exc.NoSuchModuleError | sa.exc.ArgumentError):
        return f"The database cannot be used: {_short(error)}. Correct `database` in novakit.toml."
    original = getattr(error, "orig", None) or error
    while getattr(original, "__cause__", None) is not None and not isinstance(original, sqlite3.Error):
        original = original.__cause__
    if isinstance(original, sqlite3.Error):
        return _of_sqlite(original)
    state = getattr(original, "sqlstate", None)
    if isinstance(state, str):
        return f"PostgreSQL refuses ({state}): {_short(original)}. {_of_state(state)}."
    if isinstance(error, sa.exc.SQLAlchemyError):
        return f"The database cannot be used: {_short(error)}. `novakit doctor` looks at it."
    return None


def _of_sqlite(error: sqlite3.Error) -> str:
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        doing = "It is damaged, or not a SQLite database; restore a backup, or move it away for an empty one"
    elif code == sqlite3.SQLITE_FULL:
        doing = "The disk is full; free some space, or name another `database`"
    elif code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR):
        doing = "Check the rights and the space of its directory, or name another `database`"
    elif code == sqlite3.SQLITE_BUSY:
        doing = "Another program has locked it; stop that program"
    else:
        doing = "`novakit doctor` looks at it"
    return f"The SQLite database cannot be used: {_short(error)}. {doing}."


def _of_state(state: str) -> str:
    if state.startswith("28"):
        return "Correct user and password in `database`"
    if state.startswith("3D"):
        return "Make the database (createdb), or correct its name in `database`"
    if state.startswith("53"):
        return "Check its disk, its memory and its number of connections"
    if state.startswith(("08", "57")):
        return "Start it, or wait until it is up"
    return "`novakit doctor` looks at it"


def _short(error: BaseException) -> str:
    """Return the first line of an error: what follows may be a statement with what it was to write."""
    lines = str(error).strip().splitlines()
    return (lines[0][:200] if lines else type(error).__name__).rstrip(".")
