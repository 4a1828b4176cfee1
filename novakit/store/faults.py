"""What is the matter when the database does not do what it is told: away, busy, full, or a mistake of ours.

The drivers say it in three ways: SQLSTATEs (PostgreSQL), result codes (SQLite), and, while a connection is being made,
bare errors of the operating system.
"""

import errno
import os
import socket
import sqlite3
import ssl

import sqlalchemy as sa

from novakit.errors import InsufficientStorage, NovakitError, Unavailable, in_words, kind_in_words

_PASSING = ("08", "40", "53", "55P03", "57P", "25P03")
"""How the SQLSTATEs begin of what passes: connections, collisions, resources, locks, a server that goes down."""
_FULL = "53100"
NO_SCHEMA = (
    "The database has no schema of novakit: it was made anew, or is being restored. Ask the operator to restore it, or"
    " to start novakit anew, which makes a new one."
)
_NO_TABLE = ("42P01", "3F000")
_BUSY_CODES = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_DISK_CODES = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
_OF_DATABASE = (sa.exc.SQLAlchemyError, sqlite3.Error)
"""Errors whose words may quote statements."""
_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT)


class StoreAway(Unavailable):
    """The database cannot be reached at this moment."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The database cannot be reached just now ({why}); try again in a moment.")


def is_passing(error: BaseException) -> bool:
    """Return whether it was for this moment only: the database was locked, full or away, or others were first."""
    if isinstance(error, StoreAway | sa.exc.TimeoutError):
        return True
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    code = _code(error)
    return (
        error.connection_invalidated
        or _state(error).startswith(_PASSING)
        or code in (*_BUSY_CODES, *_DISK_CODES, sqlite3.SQLITE_FULL)
        or "database is locked" in str(error.orig)
    )


def is_collision(error: sa.exc.DBAPIError, *, twins: bool) -> bool:
    """Return whether another transaction came between; with `twins`, also whether it wrote the same row first."""
    return _state(error) in ("40001", "40P01") or (twins and isinstance(error, sa.exc.IntegrityError))


def is_full(error: BaseException) -> bool:
    """Return whether a disk has no room: that of the database, or that of a file which was being written."""
    if isinstance(error, OSError):
        return error.errno in _FULL_ERRNOS
    return isinstance(error, sa.exc.DBAPIError) and (_state(error) == _FULL or _code(error) == sqlite3.SQLITE_FULL)


def lacks_schema(error: BaseException) -> bool:
    """Return whether a table of novakit is not there: the database was made anew, or is just being restored."""
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    return _state(error) in _NO_TABLE or (_code(error) is not None and "no such table: " in str(error.orig))


def as_answer(error: BaseException) -> NovakitError | None:
    """Return what a client is told of a fault of database or disk; None when the fault is another one."""
    if isinstance(error, NovakitError):
        return error
    if is_full(error):
        if isinstance(error, sa.exc.DBAPIError) and _state(error) == _FULL:
            # PostgreSQL has nothing set aside for deleting, as SQLite's file has.
            return InsufficientStorage(
                "There is no room left on the disk of the database: nothing is stored now, and nothing deleted either,"
                " until its operator makes room there."
            )
        return InsufficientStorage(
            "There is no room left on the disk of this service. Delete what is not needed, or ask its operator to."
        )
    if lacks_schema(error):
        return Unavailable(NO_SCHEMA)
    if is_passing(error):
        return Unavailable("The database could not do it just now; try again in a moment.")
    return None


def as_reply(error: BaseException) -> NovakitError | None:
    """Return what another role is told, which may show it to a client: as `as_answer`, and no statement of SQL."""
    answer = as_answer(error)
    if answer is None and isinstance(error, _OF_DATABASE):
        return NovakitError("The database could not do this; the service's log says why.", kind=type(error).__name__)
    return answer


def shown(error: BaseException) -> str:
    """Return an error in words, for operators: of one of the database its kind alone, as its words may quote SQL."""
    return _of_database(error) if isinstance(error, _OF_DATABASE) else in_words(error)


def _of_database(error: BaseException) -> str:
    if is_full(error):
        return "the database's disk is full"
    if lacks_schema(error):
        return "the database has no schema"
    original = getattr(error, "orig", None) or error
    code = getattr(original, "sqlstate", None) or getattr(original, "sqlite_errorname", None)
    return f"the database failed: {kind_in_words(error)}{f' ({code})' if code else ''}"


def on_connecting(error: BaseException) -> StoreAway | None:
    """Return what clients are told when no connection was got; None for what will not pass by itself."""
    if isinstance(error, StoreAway):
        return error
    state = getattr(error, "sqlstate", None) or ""
    if isinstance(error, OSError | TimeoutError) or state.startswith(_PASSING) or is_passing(error):
        # What the error says may hold an address or a name of the operator's; users get its kind.
        return StoreAway(_known(error) or kind_in_words(error))
    return None


def _known(error: BaseException) -> str | None:
    if isinstance(error, socket.gaierror):
        return "the name of its host is not known"
    if isinstance(error, ConnectionError) and "rejected SSL" in str(error):
        return "it offers no TLS, which ssl in its URL asks for"
    if isinstance(error, ssl.SSLError):
        # Its number is one of OpenSSL's, and none of the operating system's.
        return "no TLS connection with it could be made"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return os.strerror(error.errno).lower() if error.errno else "no connection"
    return None


def _state(error: sa.exc.DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None) or "")


def _code(error: sa.exc.DBAPIError) -> int | None:
    """Return SQLite's primary result code, or None where it is another database."""
    extended = getattr(error.orig, "sqlite_errorcode", None)
    return None if extended is None else int(extended) & 0xFF


def hide_values(engine: sa.Engine) -> None:
    """Let errors of the database say what happened and not what was being written.

    PostgreSQL's messages quote values ("invalid input syntax for type uuid: ..."), its details whole keys; logs, events
    of operations and traces keep what an error says.
    """

    @sa.event.listens_for(engine, "handle_error")
    def handle_error(context: sa.engine.ExceptionContext) -> BaseException | None:
        if isinstance(context.original_exception, TimeoutError):
            # Whoever waits on this connection again waits in vain: it is dropped, and so are those made before it.
            context.is_disconnect = True
            return StoreAway("no answer in time")
        seen: BaseException | None = context.original_exception
        while seen is not None:
            _scrub(seen)
            seen = seen.__cause__ or seen.__context__
        wrapped = context.sqlalchemy_exception
        if wrapped is not None and isinstance(wrapped, sa.exc.DBAPIError):
            kind = type(wrapped.orig)
            wrapped.args = (f"({kind.__module__}.{kind.__name__}) {wrapped.orig}",)
        return None


_QUOTING = ("22", "23", "P0")
"""How the SQLSTATEs begin whose messages quote values."""


def _scrub(error: BaseException) -> None:
    """Take what was being written out of one error of PostgreSQL's driver; SQLite's never quote a value."""
    if not type(error).__module__.startswith(("asyncpg", "sqlalchemy.dialects.postgresql")):
        return
    if type(error).__module__.startswith("asyncpg"):
        # Whatever went wrong below the driver was about one value, and says which.
        error.__cause__ = error.__context__ = None
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or ""
    for name in ("detail", "hint", "context", "where", "internal_query"):
        if getattr(error, name, None) is not None:
            setattr(error, name, None)
    if not state or state.startswith(_QUOTING):
        named = getattr(error, "constraint_name", None) or getattr(error, "column_name", None) or "values not shown"
        error.args = (f"{type(error).__name__} {state}: {named}",)
    elif error.args:
        # The adapter of SQLAlchemy puts the driver's whole text into its own message, details behind a line break.
        error.args = (str(error.args[0]).partition("\nDETAIL:")[0],)
