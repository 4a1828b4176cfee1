"""How a store takes connections to PostgreSQL, and what may be written through them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import sqlalchemy as sa

from novakit.store import faults
from novakit.store.sqlite.asynchronous import AsyncConnection, AsyncEngine


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


def guard(engine: AsyncEngine, allowed: frozenset[str]) -> None:
    """Refuse statements that write other tables; those that are no expression of SQLAlchemy's are refused, too."""

    @sa.event.listens_for(engine.sync_engine, "before_execute")
    def before_execute(_connection: object, statement: object, *_: object) -> None:
        if isinstance(statement, sa.Select | sa.CompoundSelect):
            return
        table = getattr(getattr(statement, "table", None), "name", None)
        if table not in allowed:
            raise PermissionError(f"This process may not write {table or statement}.")
