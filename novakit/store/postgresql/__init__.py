"""How a store takes connections to PostgreSQL, and what may be written through them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import sqlalchemy as sa

from novakit.store import faults
from novakit.store.sqlite.asynchronous import AsyncConnection, AsyncEngine, create_async_engine

STALLED = 10
"""Seconds a transaction may wait for its own process: PostgreSQL ends one that a stopped process left open, so that
what it has locked is free for others; nothing ends it on SQLite."""

CONNECTS_WITHIN = 10
"""Seconds in which PostgreSQL must take a connection, or one of the pool must become free."""

ANSWERS_WITHIN = 20
"""Seconds in which PostgreSQL must answer a statement, waits for locks included: the longest of ours takes one on a
loaded machine. A server that hangs answers nothing, and neither refuses nor ends a connection."""


def make_engine(url: str, allowed: frozenset[str] | None, **options: object) -> AsyncEngine:
    """Make the engine of a PostgreSQL database; with `allowed`, it writes no other tables."""
    # A process stopped inside a transaction (SIGSTOP, a suspended VM) keeps its locks until this ends it.
    settings = {"idle_in_transaction_session_timeout": f"{STALLED}s"}
    arguments = {"server_settings": settings, "timeout": CONNECTS_WITHIN, "command_timeout": ANSWERS_WITHIN}
    # The ping costs a round trip and saves the first request after a restart of PostgreSQL from an error.
    pool = {"pool_pre_ping": True, "pool_size": 10, "max_overflow": 20, "pool_timeout": CONNECTS_WITHIN}
    engine = create_async_engine(url, connect_args=arguments, **pool, **options)
    faults.hide_values(engine.sync_engine)
    if allowed is not None:
        _guard(engine, allowed)
    return engine


@asynccontextmanager
async def connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Hold a connection. Raises StoreAway while the database cannot be reached."""
    async with AsyncExitStack() as stack:
        try:
            connection = await stack.enter_async_context(engine.connect())
        except Exception as error:
            away = faults.on_connecting(error)
            if away is None or away is error:
                raise
            raise away from error
        yield connection


def _guard(engine: AsyncEngine, allowed: frozenset[str]) -> None:
    """Refuse statements that write other tables; those that are no expression of SQLAlchemy's are refused, too."""

    @sa.event.listens_for(engine.sync_engine, "before_execute")
    def before_execute(_connection: object, statement: object, *_: object) -> None:
        if isinstance(statement, sa.Select | sa.CompoundSelect):
            return
        table = getattr(getattr(statement, "table", None), "name", None)
        if table not in allowed:
            raise PermissionError(f"This process may not write {table or statement}.")
