"""The database: one writer at a time on SQLite, as many as it likes on PostgreSQL, the same calls for both.

The idea: all that outlives a process is in here, and is changed by a transaction or not at all.
The invariant: who has left `Store.write` without an error finds its changes after a kill, and after a power cut unless
it was told not to flush; what was to follow the commit is done whoever is cancelled, and never when it is rolled back.
The cost: 0.01 ms of CPU for a statement that is built once, on SQLite, and 0.1 to 0.2 ms for one built each time.
"""

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, cast

import attrs
import orjson
import sqlalchemy as sa

from novakit import world
from novakit.concurrency.uncut import begun, uncut
from novakit.errors import ConfigError
from novakit.store import faults
from novakit.store.postgresql import connected, make_engine
from novakit.store.schema import among, insert, metadata, several
from novakit.store.sqlite import HeldConnection, Hold, SqliteDatabase, WriteAheadLog, open_database
from novakit.store.sqlite.asynchronous import AsyncConnection, AsyncEngine
from novakit.store.sqlite.statements import Statements

Statement = sa.Executable
T = TypeVar("T")
R = TypeVar("R", sa.Row[Any], sa.RowMapping)
Values = Mapping[str, object]
"""Values of the parameters of a statement, by name."""

PIECE = 500
"""Rows that are turned into mappings in one turn of the loop: about a millisecond."""
FULL_FOR = 60.0
"""Seconds for which a disk of the database counts as full after a write ended so."""


@attrs.define
class StoreTally:
    """What one process asked of the database since it started."""

    statements: int = 0
    """One that is run for many rows is one."""
    transactions: int = 0
    """Those that were to write."""
    flushes: int = 0
    """Flushes of the log to the disk, of SQLite."""


@attrs.define
class Session:
    """One transaction, that writes or reads."""

    connection: AsyncConnection
    dialect: str
    tally: StoreTally = attrs.field(factory=StoreTally)
    _after_commit: list[Callable[[], object]] = attrs.field(factory=list)
    _following: list[Callable[[], Coroutine[object, object, None]]] = attrs.field(factory=list)
    changed_rows: int = 0
    """How many rows it has changed once it is at its end; 0 where the database is not SQLite."""
    _is_committed: bool = False
    _kept: HeldConnection | None = None
    """The connection, where it is SQLite's."""
    _statements: Statements | None = None

    async def execute(self, statement: Statement, rows: Values | Sequence[Values] | None = None) -> None:
        """Run a statement; with a list of rows once for each, so not at all where that is empty."""
        await self._run(statement, rows, sa.Row)

    async def _run(
        self, statement: Statement, values: Values | Sequence[Values] | None, kind: type[R]
    ) -> tuple[list[R], int]:
        """Run a statement. Returns the rows that it found, as one kind or the other, and how many it changed."""
        if not values and isinstance(values, list | tuple):
            # Once for each row of none; SQLAlchemy would run it once, without any values.
            return [], 0
        self.tally.statements += 1
        if self._kept is not None and self._statements is not None:
            ready = self._statements.ready(statement, values)
            if ready is not None:
                prepared, written, several = ready
                found, changed = await self._kept.run(prepared.text, written, several=several)
                return prepared.read(kind, found) if found else [], changed
        result = await self._through_sqlalchemy(statement, values)
        rows = result.all() if result.returns_rows else ()
        return [row if kind is sa.Row else row._mapping for row in rows], result.rowcount  # type: ignore[misc]

    async def _through_sqlalchemy(
        self, statement: Statement, values: Values | Sequence[Values] | None
    ) -> sa.CursorResult[Any]:
        # Not `AsyncConnection.execute`, which refuses a driver that answers without waiting, as ours for SQLite does.
        return await self.connection.run_sync(sa.Connection.execute, statement, values)

    async def insert_one(self, statement: sa.Insert) -> Any:
        """Insert a row whose key the database makes. Returns the key."""
        self.tally.statements += 1
        key = (await self._through_sqlalchemy(statement, None)).inserted_primary_key
        assert key is not None
        return key[0]

    async def all(self, statement: Statement, values: Values | None = None, *, of: type[T]) -> list[T]:
        """Fetch every row as a mapping of the type `of`, unchecked; `values` are those of a statement built once."""
        return cast("list[T]", (await self._run(statement, values, sa.RowMapping))[0])

    async def many(self, statement: Statement, *, of: type[T]) -> list[T]:
        """Fetch rows as `all` does, but so that others get their turn where there are thousands."""
        found: list[Any] = []
        await self._begin()
        async with self.connection.stream(statement) as result:
            async for some in result.mappings().partitions(PIECE):
                found += some
        return found

    async def rows(self, statement: Statement, values: Values | None = None) -> list[Any]:
        """Fetch every row as a tuple of its columns, of the types that the statement says."""
        return (await self._run(statement, values, sa.Row))[0]

    async def tuples(self, statement: Statement, values: Values | None = None) -> list[Any]:
        """Fetch rows as tuples, so that others get their turn where there are thousands."""
        found: list[Any] = []
        await self._begin()
        async with self.connection.stream(statement, values) as result:
            async for some in result.partitions(PIECE):
                found += some
        return found

    async def _begin(self) -> None:
        """Begin the transaction of SQLite, which a statement whose rows are streamed does not do by itself."""
        if self._kept is not None and not self._kept.real.in_transaction:
            await self._kept.run("SELECT 1", ())

    async def first(self, statement: Statement, values: Values | None = None, *, of: type[T]) -> T | None:
        """Fetch the first row, or None."""
        rows, _ = await self._run(statement, values, sa.RowMapping)
        return cast(T, rows[0]) if rows else None

    async def scalar(self, statement: Statement, values: Values | None = None) -> Any:
        """Fetch the first column of the first row, or None."""
        rows, _ = await self._run(statement, values, sa.Row)
        return rows[0][0] if rows else None

    async def scalars(self, statement: Statement, values: Values | None = None) -> list[Any]:
        """Fetch the first column of every row."""
        return [row[0] for row in (await self._run(statement, values, sa.Row))[0]]

    async def changed(self, statement: Statement, values: Values | None = None) -> int:
        """Run an UPDATE, DELETE or INSERT and say how many rows it touched."""
        return (await self._run(statement, values, sa.Row))[1]

    async def changed_each(self, statement: Statement, rows: Sequence[Mapping[str, object]]) -> int:
        """Run an UPDATE once for each of `rows` and say how many it touched in all; SQLite alone can tell."""
        return (await self._run(statement, rows, sa.Row))[1]

    def insert(self, table: sa.Table) -> Any:
        """Make an INSERT that knows `on_conflict_do_nothing` and `on_conflict_do_update`."""
        return insert(self.dialect, table)

    def among(self, column: sa.ColumnElement[str], values: Iterable[str]) -> sa.ColumnElement[bool]:
        """Make the condition that a column of text has one of many values.

        They are one parameter, so that the statement is the same however many there are: it is compiled once.
        """
        return among(self.dialect, column, sa.literal(several(self.dialect, values)))

    async def lock(self, statement: sa.Select[object], values: Values | None = None, *, of: type[T]) -> list[T]:
        """Fetch rows and keep other writers off them until the end of the transaction."""
        locking = statement.with_for_update() if self.dialect == "postgresql" else statement
        return await self.all(locking, values, of=of)

    async def serialise(self, name: str) -> None:
        """Let nobody else who names the same thing be inside a transaction until this one ends."""
        if self.dialect == "postgresql":
            await self.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(name, 0))))

    async def serialise_each(self, names: Iterable[str]) -> None:
        """Do as `serialise` does for several things, in an order that keeps everybody from waiting in a circle."""
        if self.dialect == "postgresql":
            keys = sa.func.unnest(sa.cast(sorted(set(names)), sa.ARRAY(sa.Text))).column_valued("name")
            hashes = sa.select(sa.func.hashtextextended(keys, 0).label("hash")).distinct().order_by("hash").subquery()
            await self.execute(sa.select(sa.func.pg_advisory_xact_lock(hashes.c.hash)))

    def after_commit(self, call: Callable[[], object]) -> None:
        """Call something once this transaction is durable, whoever is cancelled; never when it is rolled back."""
        self._after_commit.append(call)

    def followed_by(self, work: Callable[[], Coroutine[object, object, None]]) -> None:
        """Have work done once this transaction is durable, whoever is cancelled; `Store.write` raises its errors."""
        self._following.append(work)

    def committed(self, cancellation: asyncio.CancelledError | None) -> None:
        """Note that it is committed, and raise the cancellation that came meanwhile."""
        self._is_committed = True
        if cancellation is not None:
            raise cancellation


@attrs.define
class Store:
    """The way to the database."""

    url: str
    reader: AsyncEngine
    writer: AsyncEngine
    _log: WriteAheadLog | None = None
    _sqlite: SqliteDatabase | None = None
    _tally: StoreTally = attrs.field(factory=StoreTally)
    _commits: int = 1
    """Transactions of this process that changed something, and one for what a former process may have left."""
    _flushed: int = 0
    """How many of them are known to be on the disk."""
    _full_at: float | None = None
    """When a transaction of this process last ended because the database's disk is full, by the monotonic clock."""

    @classmethod
    async def open(cls, url: str, *, writes: Iterable[str] | None = None) -> "Store":
        """Connect to `sqlite+aiosqlite:///PATH` or `postgresql+asyncpg://...`.

        With `writes`, only the tables named can be written through this store: a role that has no business in other
        tables cannot touch them even by mistake.
        SQLite enforces it by its authorizer, and for PostgreSQL each statement is looked at before it is sent.
        """
        allowed = None if writes is None else frozenset(writes)
        if url.startswith("postgresql") and importlib.util.find_spec("asyncpg") is None:
            raise ConfigError(
                "`database` is PostgreSQL, and its driver is not installed: pip install 'novakit[postgresql]'."
            )
        options: dict[str, object] = {
            "json_serializer": lambda value: orjson.dumps(value).decode(),
            "json_deserializer": orjson.loads,
            # An error that shows what was being written shows passwords' hashes and user data to whoever reads the log.
            "hide_parameters": True,
        }
        if not url.startswith("sqlite"):
            engine = make_engine(url, allowed, **options)
            return cls(url, engine, engine)
        database = open_database(url, allowed, **options)
        return cls(url, database.reader, database.writer, database.log, database)

    @property
    def tally(self) -> StoreTally:
        """Return what was asked of the database through this object."""
        return attrs.evolve(self._tally, flushes=self._log.flushes if self._log is not None else 0)

    @property
    def path(self) -> Path | None:
        """Return the file of the database, or None where it is not a file of this machine."""
        return self._log.database if self._log is not None else None

    @property
    def fault(self) -> str:
        """Return why nothing is written any more, or nothing where all is well."""
        if self._log is not None and self._log.fault:
            return self._log.fault
        return "it is full; make room, since deleting needs some, too" if self._is_full else ""

    @property
    def _is_full(self) -> bool:
        # Not until the next write succeeds: a small one may find room in a page that is there.
        return self._full_at is not None and world.monotonic() - self._full_at < FULL_FOR

    async def reclaim(self) -> int:
        """Return free pages of SQLite's file to the file system. Returns how many bytes that were.

        PostgreSQL does the same by itself.
        """
        return 0 if self._sqlite is None else await self._sqlite.reclaim()

    def note(self, error: sa.exc.DBAPIError) -> None:
        """Remember that a transaction ended because the disk is full, where that is what the error says."""
        if faults.is_full(error):
            self._full_at = world.monotonic()

    async def reserve(self) -> None:
        """Set room on the disk aside for the database, so that deleting still works once everybody's is used up."""
        if self._log is not None:
            await self._log.reserve()

    def _on(self, kept: HeldConnection) -> Session:
        assert self._sqlite is not None
        return Session(kept.outer, "sqlite", self._tally, kept=kept, statements=self._sqlite.statements)

    @property
    def dialect(self) -> str:
        """Return which database this is: sqlite or postgresql."""
        return self.writer.dialect.name

    def read(self) -> AbstractAsyncContextManager[Session]:
        """Open a view of one moment, on PostgreSQL of one for each statement; nothing can be written through it."""
        return self._read_postgresql() if self._sqlite is None else Hold(self._sqlite.readers, self._on)

    @asynccontextmanager
    async def _read_postgresql(self) -> AsyncIterator[Session]:
        async with connected(self.reader) as connection:
            yield Session(connection, self.dialect, self._tally)

    def write(self, *, flushed: bool = True) -> AbstractAsyncContextManager[Session]:
        """Open a transaction: committed and on the disk at the end of the block, rolled back when it raises.

        With `flushed` false it is committed, and a power cut may still take it back until somebody's next flush: for
        what is done again after that, and is followed by a transaction that is flushed before anybody is told of it or
        anything outside of the database is done.
        """
        return _Writing(self, flushed)

    async def _tell(self, session: Session, *, flushed: bool) -> None:
        """Do what is to be done after a commit, once that is on the disk."""
        # What wrote nothing has nothing to flush: a conditional write that did not hold answers at once.
        changed = session.changed_rows > 0
        try:
            self._commits += changed
            if changed and flushed:
                await self.settled()
        finally:  # it is committed, also where the caller no longer waits for the disk
            for call in session._after_commit:
                call()
        for work in session._following:
            await work()

    @property
    def commits(self) -> int:
        """Return how far this process has come, for `settled`."""
        return self._commits

    async def settled(self, commits: int | None = None) -> None:
        """Wait until what is committed is on the disk, also what was not flushed: all, or what was by `commits`.

        Raises Unavailable.
        """
        commits = self._commits if commits is None else commits
        if self._log is not None and self._flushed < commits:
            began = self._commits
            await self._log.flush()
            self._flushed = max(self._flushed, began)

    @asynccontextmanager
    async def _begun_postgresql(self) -> AsyncIterator[Session]:
        async with connected(self.writer) as connection, connection.begin() as transaction:
            session = Session(connection, self.dialect, self._tally)
            yield session
            session.committed(await uncut(begun(transaction.commit(), name="store/commit")))

    async def retrying(
        self,
        work: Callable[[Session], Awaitable[T]],
        *,
        attempts: int = 5,
        twins: bool = False,
        flushed: bool = True,
    ) -> T:
        """Run `work` in a transaction, again when the database says that it collided with another one.

        With `twins`, again also where another one wrote a row that this one was about to write.
        Raises the database's error after the last attempt.
        """
        for attempt in range(1, attempts + 1):
            try:
                async with self.write(flushed=flushed) as session:
                    return await work(session)
            except sa.exc.DBAPIError as error:
                if attempt == attempts or not faults.is_collision(error, twins=twins):
                    raise
        raise AssertionError("unreachable")

    async def create_all(self) -> None:
        """Make every table, for tests; a service migrates instead."""
        async with self.writer.begin() as connection:
            await connection.run_sync(metadata.create_all)

    async def close(self) -> None:
        """Close every connection, once those who hold one have given it back, or did not within a time."""
        if self._sqlite is not None:
            await asyncio.gather(self._sqlite.readers.close(), self._sqlite.writers.close())
        await self.reader.dispose()
        if self.writer is not self.reader:
            await self.writer.dispose()
        if self._log is not None:
            self._log.close()


@attrs.define
class _Writing:
    """A block that writes; two generators in its place would cost 4 µs more each time, as much as all of this does."""

    _store: Store
    _flushed: bool
    _session: Session | None = None
    _postgresql: AbstractAsyncContextManager[Session] | None = None
    _changes_before: int = 0

    async def __aenter__(self) -> Session:
        store = self._store
        if store._log is not None:
            store._log.require_sound()
        if store._sqlite is None:
            self._postgresql = store._begun_postgresql()
            self._session = session = await self._postgresql.__aenter__()
        else:
            kept = await store._sqlite.writers.take()
            try:
                self._changes_before = kept.real.total_changes
            except BaseException as error:
                await store._sqlite.writers.give_back(kept, error)
                raise
            self._session = session = store._on(kept)
        store._tally.transactions += 1
        return session

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        store, session = self._store, self._session
        assert session is not None
        if isinstance(error, sa.exc.DBAPIError):
            store.note(error)
        try:
            if self._postgresql is not None:
                await self._postgresql.__aexit__(kind, error, trace)
            else:
                await self._end(session, error)
        except sa.exc.DBAPIError as failure:
            store.note(failure)
            raise
        finally:
            # Committed is committed, also where whoever wrote was cancelled during the commit or since.
            if session._is_committed:
                telling = store._tell(session, flushed=self._flushed)
                if not session._following:
                    await telling
                elif (cancellation := await uncut(begun(telling, name="store/after-commit"))) is not None:
                    raise cancellation

    async def _end(self, session: Session, error: BaseException | None) -> None:
        """Commit what was written on SQLite, unless the block failed, and give the connection back."""
        store, kept = self._store, session._kept
        assert store._sqlite and kept
        try:
            if error is None:
                session.changed_rows = kept.real.total_changes - self._changes_before
                flushing = store._log is not None and store._log.is_flushing
                session.committed(await kept.commit(session.changed_rows, is_flushing=flushing))
        except BaseException as failure:
            error = failure
            raise
        finally:
            await store._sqlite.writers.give_back(kept, error)
