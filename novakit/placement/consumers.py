"""What consumers hold, as clients of the Placement API ask and say it."""

from collections.abc import Awaitable, Callable, Collection, Sequence

import attrs

from novakit import errors
from novakit.concurrency.gather import Gather
from novakit.placement.allocations import AllocationRequest, replace, replace_each
from novakit.placement.names import Changes
from novakit.placement.records import Allocation, Consumer, ResourceProvider
from novakit.placement.reshaper import NewInventories, reshape
from novakit.store.engine import Session
from novakit.store.placement import allocations, names, resource_providers

AllocationRequests = Sequence[AllocationRequest]
TOGETHER = 20
"""Consumers of a request up to which it is done together with others: a larger one would only make small ones wait."""

LINGER = 0.003
"""Seconds that requests may wait for others: half of what one takes while eight clients ask."""


@attrs.frozen
class Consumers:
    """The holders of allocations by id. Methods that change something raise Conflict for another generation."""

    changes: Changes
    _release: Callable[[Session, str], Awaitable[bool]]
    _replacing: Gather[AllocationRequests, errors.NovakitError | None] = attrs.field(
        init=False,
        default=attrs.Factory(lambda self: Gather(self._replace_each, most=50, linger=LINGER), takes_self=True),
    )

    async def show(self, consumer_id: str) -> Consumer | None:
        """Return a consumer with what it holds; None for one that is not known."""
        async with self.changes.store.read() as session:
            rows = await allocations.of_consumer(session, consumer_id)
        return Consumer.of(rows) if rows else None

    async def of_provider(self, provider_id: str) -> tuple[ResourceProvider, Sequence[Allocation]]:
        """Return a provider, and what is held of it. Raises NotFound."""
        async with self.changes.store.read() as session:
            provider = await resource_providers.provider(session, provider_id)
            rows = await allocations.of_provider(session, provider_id)
        return ResourceProvider.of(provider), [*map(Allocation.of, rows)]

    async def replace(self, asked: AllocationRequests) -> None:
        """Replace what consumers hold, all or none. Raises BadRequest, Conflict."""
        if len(asked) > TOGETHER:
            await self.changes.write(lambda session: replace(session, asked))
        elif (refused := await self._replacing(asked)) is not None:
            raise refused

    async def _replace_each(self, requests: Sequence[AllocationRequests]) -> Sequence[errors.NovakitError | None]:
        return await self.changes.write(lambda session: replace_each(session, requests))

    async def release(self, consumer_id: str) -> bool:
        """Give back all that a consumer holds. Returns whether it held anything."""
        return await self.changes.write(lambda session: self._release(session, consumer_id))

    async def reshape(
        self, inventories: Sequence[NewInventories], asked: Sequence[AllocationRequest], aliases: Collection[str]
    ) -> None:
        """Replace inventories and what is held of them in one step; `aliases` are classes that are made if missing."""

        async def work(session: Session) -> None:
            await names.ensure_classes(session, aliases)
            await reshape(session, inventories, asked)

        await self.changes.write(work)
