"""Connections of SQLite, which are kept open between transactions and handed from one to the next.

The idea: to take a connection from SQLAlchemy's pool, to begin on it, to roll back and to give it back costs 0.2 ms of
CPU, several times what a small transaction is. So a connection is taken once, with SQLAlchemy's own transaction begun
on it for good; what begins and ends in the database is told to SQLite itself.
The invariant: nobody gets a connection on which anything is under way. That of a block that failed or was cancelled is
rolled back first, in its thread, behind whatever may still run there. Nor is one closed that somebody holds.
The cost: 3 µs for a block that reads and 4 for one that writes, beside its statements and its commit.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, TypeVar

import attrs
import sqlalchemy as sa
import structlog

from novakit import world
from novakit.concurrency.uncut import uncut
from novakit.store.faults import StoreAway, is_full, on_connecting
from novakit.store.sqlite.asynchronous import AsyncConnection, AsyncEngine
from novakit.store.sqlite.dialect import FetchedRows, SqliteConnection

T = TypeVar("T")
log = structlog.get_logger(__name__)

WAITS = 30
"""Seconds in which one of the connections must become free."""
CLOSES_WITHIN = 5.0
"""Seconds for which a store that is closed waits for those who hold its connections."""

_WRITING = {9: "DELETE", 18: "INSERT", 23: "UPDATE"}


def prepare(engine: AsyncEngine, begin: str, *, allowed: frozenset[str] | None, reads: bool) -> None:
    """Set SQLite up for several readers beside one writer, with explicit transactions and guarded tables."""

    def authorize(action: int, table: str | None, *_: object) -> int:
        internal = table is not None and table.startswith("sqlite_")
        return 1 if action in _WRITING and not internal and table not in (allowed or ()) else 0

    @sa.event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        try:
            set_up(connection)
        except Exception:
            connection.close()  # the pool forgets it, and its thread would go on
            raise

    def set_up(connection: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        # Of the file itself the writer alone decides, before there is anything in it, so that it can shrink: both
        # take the write lock, and a reader would wait for a transaction that may be waiting for this very reader.
        of_file = () if reads else ("auto_vacuum=INCREMENTAL", "journal_mode=WAL")
        for pragma in ("busy_timeout=15000", *of_file, "synchronous=NORMAL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
        if allowed is not None:
            connection.run_async(lambda real: real.set_authorizer(authorize))
        connection.begin_with(begin, reads=reads)


@attrs.define(eq=False)
class HeldConnection:
    """One connection, as SQLAlchemy knows it and as SQLite does."""

    outer: AsyncConnection
    inner: SqliteConnection

    @property
    def real(self) -> sqlite3.Connection:
        """Return the connection of Python's own module. Raises sqlite3.ProgrammingError once it is closed."""
        return self.inner.real

    async def close(self) -> None:
        """End it, once nothing runs in its thread any more."""
        # One that SQLAlchemy holds to be broken, as its user was cancelled, it forgets without closing it.
        for end in (self.inner.end, self.outer.close):
            with suppress(Exception):
                await end()

    async def run(self, text: str, values: Sequence[object], *, several: bool = False) -> FetchedRows:
        """Run a statement. Returns what it found and how many rows it changed.

        With `several`, `values` are those of several rows. Raises sqlalchemy's DBAPIError.
        """
        try:
            return self.inner.run_here(text, values, several=several) or await self.inner.run_aside(
                text, values, several=several
            )
        except sqlite3.Error as error:
            raise _as_sqlalchemys(error, text) from error

    async def commit(self, rows: int, *, is_flushing: bool) -> asyncio.CancelledError | None:
        """End the transaction, if there is one; the rest is as in `SqliteConnection.commit_all`.

        Returns the cancellation that came meanwhile: its thread commits, whoever waits for that.
        Raises sqlalchemy's DBAPIError.
        """
        try:
            committing = self.inner.commit_all(rows, is_flushing=is_flushing)
            return None if committing is None else await uncut(committing)
        except sqlite3.Error as error:
            raise _as_sqlalchemys(error, "COMMIT") from error


def _as_sqlalchemys(error: sqlite3.Error, text: str) -> BaseException:
    """Return an error of SQLite's as SQLAlchemy raises it, without what was being written."""
    return sa.exc.DBAPIError.instance(text, None, error, sqlite3.Error, hide_parameters=True)


@attrs.define
class Connections:
    """At most so many connections to one database."""

    engine: AsyncEngine
    most: int
    waits: float | None = WAITS
    """Seconds for which one is waited for; None where that takes as long as it takes those before."""
    _free: list[HeldConnection] = attrs.field(factory=list)
    _room: asyncio.Semaphore = attrs.field(init=False)
    _is_closed: bool = False

    def __attrs_post_init__(self) -> None:
        self._room = asyncio.Semaphore(self.most)

    def connect(self) -> "Hold[HeldConnection]":
        """Hold a connection; what is not committed on it at the end is rolled back.

        Raises StoreAway while none can be had, and once they are closed, or about to be.
        """
        return Hold(self, lambda kept: kept)

    async def take(self) -> HeldConnection:
        """Take a connection, which is to be given back. Raises StoreAway."""
        try:
            return await self._taken()
        except Exception as error:
            away = on_connecting(error)
            if away is None or away is error:
                raise
            raise away from error

    async def give_back(self, kept: HeldConnection, error: BaseException | None) -> None:
        """Give a connection back after its use, or after the error that ended that."""
        if error is None:
            await self._give_back(kept)
        else:
            # Whoever asks next must find it rolled back, also where this one is cancelled once more.
            await asyncio.shield(world.spawn(self._take_back(kept, is_full=is_full(error)), name="store/rollback"))

    async def _taken(self) -> HeldConnection:
        """Take a connection that is free, or open one where there are fewer than may be."""
        self._require_open()
        if self.waits is None or not self._room.locked():
            await self._room.acquire()
        else:
            async with asyncio.timeout(self.waits):
                await self._room.acquire()
        try:
            self._require_open()
        except StoreAway:
            self._room.release()
            raise
        return self._free.pop() if self._free else await self._opened()

    def _require_open(self) -> None:
        if self._is_closed:
            raise StoreAway("this process has closed it")

    async def _opened(self) -> HeldConnection:
        opening = world.spawn(self._open(), name="store/open")
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            # Not cut off in the middle, where nobody would have it, and it might have a lock on the file.
            opening.add_done_callback(self._keep)
            raise
        except BaseException:
            self._room.release()
            raise

    def _keep(self, opening: asyncio.Task[HeldConnection]) -> None:
        """Keep a connection for the next one, as nobody waits for it any more."""
        if opening.cancelled() or opening.exception() is not None:
            self._room.release()
        else:
            world.spawn(self._take_back(opening.result()), name="store/keep")

    async def _open(self) -> HeldConnection:
        outer = await self.engine.connect()
        await outer.begin()
        # Out of the pool's hands, which would take a connection that is never given back for one that was lost.
        await outer.run_sync(sa.Connection.detach)
        inner = (await outer.get_raw_connection()).dbapi_connection
        assert isinstance(inner, SqliteConnection)
        return HeldConnection(outer, inner)

    async def _give_back(self, kept: HeldConnection) -> None:
        if kept.outer.invalidated or self._is_closed:
            await self._take_back(kept)
            return
        try:
            if kept.real.in_transaction:
                # Nothing was written through it, or it would be committed: nothing waits here.
                kept.real.rollback()
        except Exception:
            # Whatever is the matter with it, its place is the next one's.
            await kept.close()
        else:
            self._free.append(kept)
        finally:
            self._room.release()

    async def _take_back(self, kept: HeldConnection, *, is_full: bool = False) -> None:
        """Roll back a connection, or end it where that cannot be done."""
        try:
            if kept.outer.invalidated or self._is_closed:
                raise ValueError("nobody needs it any more")
            await kept.inner.roll_back_all(is_full=is_full)
            self._free.append(kept)
        except Exception:
            await kept.close()
        finally:
            self._room.release()

    async def close(self) -> None:
        """Close every connection, once those who hold them have given them back; nobody gets another one.

        One that is still held after `CLOSES_WITHIN` is closed when it is given back.
        """
        self._is_closed = True
        back = 0
        try:
            async with asyncio.timeout(CLOSES_WITHIN):
                while back < self.most:
                    await self._room.acquire()
                    back += 1
        except TimeoutError:
            log.warning(
                "the database is closed under transactions that did not end; their connections end with them",
                transactions=self.most - back,
                waited=CLOSES_WITHIN,
            )
        finally:
            for _ in range(back):
                self._room.release()
        while self._free:
            # Out of the list first: while one is being closed nobody may find it there.
            await self._free.pop().close()
        await self.engine.dispose()


@attrs.define
class Hold(Generic[T]):
    """A block in which a connection is held, as what `view` makes of it."""

    connections: Connections
    view: Callable[[HeldConnection], T]
    _kept: HeldConnection | None = None

    async def __aenter__(self) -> T:
        self._kept = await self.connections.take()
        return self.view(self._kept)

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        assert self._kept is not None
        await self.connections.give_back(self._kept, error)
