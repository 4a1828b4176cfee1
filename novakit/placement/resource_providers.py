"""What hangs on one resource provider: inventories, traits, aggregates, usages."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

import attrs

from novakit.left_out import LEFT_OUT, LeftOut
from novakit.placement.names import Changes
from novakit.placement.records import ProjectUsage, ProviderInventory, ResourceProvider
from novakit.store.engine import PIECE, Session
from novakit.store.placement import aggregates, inventories, names, resource_providers, traits, usages
from novakit.store.placement.inventories import StatedInventory as StatedInventory

Inventories = tuple[ResourceProvider, Sequence[ProviderInventory]]
"""A provider, and all that it holds."""


@attrs.frozen
class Providers:
    """The resource providers by id. Whatever changes something of one is guarded by its generation.

    Methods raise NotFound for a provider that is not there, and Conflict for another generation than the one given.
    """

    changes: Changes

    async def require(self, id: str) -> None:
        """Go on only if there is such a provider."""
        async with self.changes.store.read() as session:
            await resource_providers.provider(session, id)

    async def show(self, id: str) -> ResourceProvider:
        """Return a provider."""
        async with self.changes.store.read() as session:
            return await _provider(session, id)

    async def search(
        self,
        *,
        id: str | None,
        name: str | None,
        in_tree: str | None,
        resources: Mapping[str, int],
        member_of: Sequence[set[str]],
        not_member_of: set[str],
        required: Sequence[set[str]],
        forbidden: set[str],
    ) -> Sequence[ResourceProvider]:
        """Return the providers that match all that is given.

        `resources` are amounts that must still fit; of each set in `member_of` and `required` one must be there.
        """
        async with self.changes.store.read() as session:
            rows = await resource_providers.search(
                session,
                id=id,
                name=name,
                in_tree=in_tree,
                resources=resources,
                member_of=member_of,
                not_member_of=not_member_of,
                required=required,
                forbidden=forbidden,
            )
        found: list[ResourceProvider] = []
        for start in range(0, len(rows), PIECE):
            if start:  # others get their turn, as there may be ten thousand
                await asyncio.sleep(0)
            found += map(ResourceProvider.of, rows[start : start + PIECE])
        return found

    async def create(self, id: str, name: str, parent_id: str | None) -> ResourceProvider:
        """Make a provider and return it. Raises Conflict for a name or id that is taken, BadRequest for the parent."""
        row = await self.changes.write(
            lambda session: resource_providers.create(session, id=id, name=name, parent_id=parent_id)
        )
        return ResourceProvider.of(row)

    async def update(
        self, id: str, *, name: str, parent_id: str | LeftOut | None = LEFT_OUT, may_move: bool
    ) -> ResourceProvider:
        """Rename a provider, put it below another, and return it. Raises Conflict, BadRequest."""
        row = await self.changes.write(
            lambda session: resource_providers.update(session, id, name=name, parent_id=parent_id, may_move=may_move)
        )
        return ResourceProvider.of(row)

    async def delete(self, id: str) -> None:
        """Remove a provider of which nothing is held. Raises Conflict."""
        await self.changes.write(lambda session: resource_providers.delete(session, id))

    async def usages(self, id: str) -> tuple[ResourceProvider, dict[str, int]]:
        """Return a provider, and what is used of it by class."""
        async with self.changes.store.read() as session:
            provider = await _provider(session, id)
            return provider, (await usages.of_providers(session, [id])).get(id, {})

    async def usages_of_project(
        self, project_id: str, *, user_id: str | None, consumer_type: str | None
    ) -> Sequence[ProjectUsage]:
        """Return what a project uses, by class and type of consumer."""
        async with self.changes.store.read() as session:
            rows = await usages.by_project(session, project_id, user_id=user_id, consumer_type=consumer_type)
        return [*map(ProjectUsage.of, rows)]

    async def aggregates(self, id: str) -> tuple[ResourceProvider, list[str]]:
        """Return a provider, and the aggregates it is in."""
        async with self.changes.store.read() as session:
            found = await aggregates.of_provider(session, id)
            return await _provider(session, id), found

    async def set_aggregates(
        self, id: str, wanted: Sequence[str], generation: int | None, *, guarded: bool
    ) -> ResourceProvider:
        """Put a provider into these aggregates and no others; `guarded` raises its generation. Returns it."""

        async def work(session: Session) -> ResourceProvider:
            await resource_providers.locked(session, id, generation=generation)
            await aggregates.replace(session, id, wanted, raise_generation=guarded)
            return await _provider(session, id)

        return await self.changes.write(work)

    async def traits(self, id: str) -> tuple[ResourceProvider, list[str]]:
        """Return a provider, and its traits."""
        async with self.changes.store.read() as session:
            return await _traits(session, id)

    async def set_traits(
        self, id: str, wanted: Sequence[str], generation: int | None = None
    ) -> tuple[ResourceProvider, list[str]]:
        """Give a provider these traits and no others. Returns both. Raises BadRequest for an unknown trait."""

        async def work(session: Session) -> tuple[ResourceProvider, list[str]]:
            await resource_providers.locked(session, id, generation=generation)
            await traits.replace(session, id, wanted)
            return await _traits(session, id)

        return await self.changes.write(work)

    async def inventories(self, id: str) -> Inventories:
        """Return a provider, and its inventories."""
        async with self.changes.store.read() as session:
            return await _inventories(session, id)

    async def add_inventory(self, id: str, name: str, stock: StatedInventory, aliases: Collection[str]) -> Inventories:
        """Give a provider one more inventory; `aliases` are classes that are made where they are missing.

        Returns it and all its inventories. Raises Conflict for one that is there, BadRequest for an unknown class.
        """

        async def work(session: Session) -> Inventories:
            await resource_providers.locked(session, id)
            await names.ensure_classes(session, aliases)
            await inventories.create(session, id, name, stock)
            return await _inventories(session, id)

        return await self.changes.write(work)

    async def set_inventories(
        self,
        id: str,
        wanted: Mapping[str, StatedInventory],
        generation: int | None = None,
        *,
        aliases: Collection[str] = (),
        may_reserve_all: bool = True,
    ) -> Inventories:
        """Give a provider these inventories and no others. Returns both.

        Raises Conflict where more is allocated, BadRequest for unknown classes and for inventories without capacity.
        """

        async def work(session: Session) -> Inventories:
            await resource_providers.locked(session, id, generation=generation)
            refuse_without_capacity(id, wanted, may_reserve_all=may_reserve_all)
            await names.ensure_classes(session, aliases)
            await inventories.replace(session, id, wanted)
            return await _inventories(session, id)

        return await self.changes.write(work)

    async def set_inventory(
        self, id: str, name: str, stock: StatedInventory, generation: int, *, may_reserve_all: bool
    ) -> Inventories:
        """Change one inventory of a provider. Returns it and all its inventories. Raises BadRequest, Conflict."""

        async def work(session: Session) -> Inventories:
            await resource_providers.locked(session, id, generation=generation)
            refuse_without_capacity(id, {name: stock}, may_reserve_all=may_reserve_all)
            await inventories.update(session, id, name, stock)
            return await _inventories(session, id)

        return await self.changes.write(work)

    async def remove_inventory(self, id: str, name: str) -> None:
        """Take one inventory from a provider. Raises NotFound, Conflict where something is allocated from it."""

        async def work(session: Session) -> None:
            await resource_providers.locked(session, id)
            await inventories.delete(session, id, name)

        await self.changes.write(work)


def refuse_without_capacity(
    id: str, wanted: Mapping[str, StatedInventory], *, may_reserve_all: bool, doing: str = "update"
) -> None:
    """Refuse inventories of which nothing could ever be allocated. Raises BadRequest."""
    inventories.refuse_without_capacity(id, list(wanted.items()), may_reserve_all=may_reserve_all, doing=doing)


async def _provider(session: Session, id: str) -> ResourceProvider:
    return ResourceProvider.of(await resource_providers.provider(session, id))


async def _traits(session: Session, id: str) -> tuple[ResourceProvider, list[str]]:
    return await _provider(session, id), await traits.of_provider(session, id)


async def _inventories(session: Session, id: str) -> Inventories:
    rows = await inventories.of_provider(session, id)
    return await _provider(session, id), [*map(ProviderInventory.of, rows)]
