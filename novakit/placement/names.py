"""The names that Placement counts and describes by: resource classes and traits."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import TypeVar

import attrs

from novakit.store import Store
from novakit.store.engine import Session
from novakit.store.placement import names, resource_classes, traits

T = TypeVar("T")
CUSTOM = names.CUSTOM
"""How names begin that are not standard ones."""


@attrs.frozen
class Changes:
    """Transactions on the ledger of which others are told once they are durable."""

    store: Store
    tell: Callable[[], object]

    async def write(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Do something in a transaction, again when the database says that it collided with another."""

        async def once(session: Session) -> T:
            session.after_commit(self.tell)
            return await work(session)

        return await self.store.retrying(once)


@attrs.frozen
class ResourceClasses:
    """The kinds of things that can be counted."""

    changes: Changes

    async def every(self) -> list[tuple[str, datetime]]:
        """Return every class with the time from which it is known."""
        async with self.changes.store.read() as session:
            return await resource_classes.every(session)

    async def unknown(self, wanted: Iterable[str]) -> set[str]:
        """Return which names are no class."""
        async with self.changes.store.read() as session:
            return await names.unknown_classes(session, wanted)

    async def since(self, name: str) -> datetime:
        """Return the time from which a class is known. Raises NotFound."""
        async with self.changes.store.read() as session:
            return await resource_classes.changed_at(session, name)

    async def create(self, name: str) -> None:
        """Make a custom class. Raises Conflict for one that is there."""
        await self.changes.write(lambda session: resource_classes.create(session, name))

    async def rename(self, old: str, new: str) -> None:
        """Give a custom class another name. Raises NotFound, Conflict, BadRequest."""
        await self.changes.write(lambda session: resource_classes.rename(session, old, new))

    async def ensure(self, name: str) -> bool:
        """Make a custom class unless it is there. Returns whether it was made."""
        return await self.changes.write(lambda session: resource_classes.ensure(session, name))

    async def delete(self, name: str) -> None:
        """Remove a custom class that nothing uses. Raises NotFound, Conflict, BadRequest."""
        await self.changes.write(lambda session: resource_classes.delete(session, name))


@attrs.frozen
class TraitNames:
    """What providers can be."""

    changes: Changes

    async def every(
        self, *, within: Iterable[str] | None = None, prefix: str = "", associated: bool | None = None
    ) -> list[str]:
        """Return the names of traits; `associated` keeps those that a provider has, or that none has."""
        async with self.changes.store.read() as session:
            return await traits.every(session, within=within, prefix=prefix, associated=associated)

    async def unknown(self, wanted: Iterable[str]) -> set[str]:
        """Return which names are no trait."""
        async with self.changes.store.read() as session:
            return await names.unknown_traits(session, wanted)

    async def since(self, name: str) -> datetime | None:
        """Return the time from which a trait is known; None for one that is not."""
        async with self.changes.store.read() as session:
            return await traits.since(session, name)

    async def ensure(self, name: str) -> bool:
        """Make a custom trait unless it is there. Returns whether it was made."""
        return await self.changes.write(lambda session: traits.ensure(session, name))

    async def delete(self, name: str) -> None:
        """Remove a custom trait that no provider has. Raises NotFound, Conflict, BadRequest."""
        await self.changes.write(lambda session: traits.delete(session, name))
