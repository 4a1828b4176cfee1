"""One collection of the network API as its handlers ask for it: seen, made, changed, deleted and tagged.

Each noun has a module (`ports`, `networks`) whose functions work inside a transaction, so that one noun can use
another. `Resources` puts them behind typed methods that open the transaction, tell the hosts that must see the change,
and hide what is somebody else's. Invariant: whoever calls a `Resources` holds no transaction, and gets records.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

import attrs
import sqlalchemy as sa

from novakit import errors
from novakit.context import RequestContext
from novakit.network.access import reach, the_own
from novakit.network.refusals import not_found
from novakit.store.engine import Session, Store
from novakit.store.faults import is_collision
from novakit.store.network import rows
from novakit.store.network.rows import Condition, StoredResource
from novakit.store.network.touched import Touched, touch

T = TypeVar("T")
R = TypeVar("R", bound=StoredResource)
D = TypeVar("D")
N = TypeVar("N")
C = TypeVar("C")
NetworkWork = Callable[[Session, Touched], Awaitable[T]]
OnChange = Callable[[set[str]], object]
Listed = Callable[[Session, Sequence[Condition]], Awaitable[list[T]]]
"""Fetches what meets all conditions, the oldest first, to show it."""


def _nobody(_hosts: set[str]) -> None:
    return None


@attrs.define
class Transactions:
    """Writes that raise the revisions of the hosts that must see them, and tell of it once they are durable."""

    store: Store
    on_change: OnChange = _nobody
    """Called after a commit with the hosts whose topology changed; may be set later."""

    async def write(self, work: NetworkWork[T], *, attempts: int = 6, flushed: bool = True) -> T:
        """Do `work` in one transaction, again when another one came between. Raises Conflict when they keep coming.

        `flushed` is what it is to `Store.write`.
        """

        async def once(session: Session) -> T:
            touched = Touched()
            answer = await work(session, touched)
            if hosts := await touch(session, touched):
                session.after_commit(partial(self._tell, hosts))
            return answer

        try:
            return await self.store.retrying(once, attempts=attempts, twins=True, flushed=flushed)
        except sa.exc.DBAPIError as error:
            if not is_collision(error, twins=True):
                raise
            raise errors.Conflict(
                "Other requests kept changing the same resources; try again.", kind="RetryRequest"
            ) from error

    def _tell(self, hosts: set[str]) -> None:
        self.on_change(hosts)


@attrs.frozen(kw_only=True)
class ResourceKind(Generic[R, D, N, C]):
    """What one noun of the API is made of: its row, its details, and what makes it from a request's values."""

    called: str
    """What errors call it."""
    stored: type[R]
    seen_by: Callable[[str | None], list[Condition]]
    """Keeps to what a project may see; None keeps everything."""
    listed: Listed[D]
    """Finds things with what stands in other tables, in a fixed number of statements for any number of them."""
    create: Callable[[Session, Touched, RequestContext, N], Awaitable[D]]
    update: Callable[[Session, Touched, RequestContext, str, C], Awaitable[D]] | None
    """None for what cannot be changed."""
    delete: Callable[[Session, Touched, RequestContext, str], Awaitable[None]]
    before_looking: Callable[[Transactions, str], Awaitable[None]] | None = None
    """Makes what a project has from its first look on."""


@attrs.frozen
class Resources(Generic[R, D, N, C]):
    """All things of one noun, as one caller at a time sees them."""

    noun: ResourceKind[R, D, N, C]
    transactions: Transactions

    async def find(self, context: RequestContext, **wanted: Sequence[str]) -> list[D]:
        """List what the caller may see and whose columns have one of the wanted values, the oldest first."""
        noun = self.noun
        if noun.before_looking is not None and context.project_id:
            await noun.before_looking(self.transactions, context.project_id)
        async with self.transactions.store.read() as session:
            conditions = [*noun.seen_by(reach(context)), *rows.matching(noun.stored.table, wanted)]
            return await noun.listed(session, conditions)

    async def by_id(self, context: RequestContext, key: str) -> D:
        """Show one; what belongs to others is not found. Raises NotFound."""
        found = await self.find(context, id=[key])
        if not found:
            raise not_found(self.noun.called, key)
        return found[0]

    async def create(self, context: RequestContext, values: Sequence[N]) -> list[D]:
        """Make several in one transaction, all or none."""

        async def work(session: Session, touched: Touched) -> list[D]:
            return [await self.noun.create(session, touched, context, one) for one in values]

        return await self.transactions.write(work)

    @property
    def changeable(self) -> bool:
        """Return whether anything of one can be changed."""
        return self.noun.update is not None

    async def update(self, context: RequestContext, key: str, values: C) -> D:
        """Change one that the caller owns. Raises BadRequest where nothing of its kind can be changed."""
        change = self.noun.update
        if change is None:
            raise errors.BadRequest(f"A {self.noun.called} cannot be changed; delete it and make another.")
        return await self.transactions.write(lambda session, touched: change(session, touched, context, key, values))

    async def delete(self, context: RequestContext, key: str) -> None:
        """Delete one that the caller owns and that is not in use."""
        await self.transactions.write(lambda session, touched: self.noun.delete(session, touched, context, key))

    async def tags(self, context: RequestContext, key: str) -> list[str]:
        """List the tags of one that the caller owns. Raises NotFound."""
        async with self.transactions.store.read() as session:
            return (await the_own(session, context, self.noun.stored, self.noun.called, key)).tags

    async def change_tags(
        self, context: RequestContext, key: str, change: Callable[[list[str]], list[str]]
    ) -> list[str]:
        """Let `change` make the new tags of one from those it has; return them. Raises NotFound."""

        async def work(session: Session, _: Touched) -> list[str]:
            row = await the_own(session, context, self.noun.stored, self.noun.called, key)
            tags = change(list(row.tags))
            if tags != row.tags:
                await rows.change(session, self.noun.stored, row.id, tags=tags)
            return tags

        return await self.transactions.write(work)


def in_rows(stored: type[R], details: Callable[[Session, Sequence[R]], Awaitable[list[D]]]) -> Listed[D]:
    """Make what reads whole rows and adds their details."""

    async def listed(session: Session, conditions: Sequence[Condition]) -> list[D]:
        return await details(session, await rows.shown(session, stored, conditions))

    return listed


async def as_it_is(_: Session, found: Sequence[T]) -> list[T]:
    """Return rows as details, for a noun that is nothing but its row."""
    return list(found)
