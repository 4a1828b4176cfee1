"""Moving inventory from one provider to another together with what is allocated from it."""

from collections.abc import Mapping, Sequence

import attrs

from novakit import errors
from novakit.placement.allocations import AllocationRequest, replace
from novakit.store.engine import Session
from novakit.store.placement import inventories, resource_providers
from novakit.store.placement.inventories import StatedInventory


@attrs.frozen
class NewInventories:
    """What a provider is to hold, and which generation of it the caller has seen."""

    provider_id: str
    generation: int
    inventories: Mapping[str, StatedInventory]


async def reshape(session: Session, wanted: Sequence[NewInventories], asked: Sequence[AllocationRequest]) -> None:
    """Replace inventories and allocations in one step.

    New inventory is there before allocations move, old inventory goes after they moved.
    Raises Conflict for a stale generation, for inventory that would go while held, or that does not suffice.
    """
    for one in sorted(wanted, key=lambda one: one.provider_id):
        try:
            await resource_providers.locked(session, one.provider_id, generation=one.generation)
        except errors.NotFound as error:
            raise errors.BadRequest(
                f"Resource provider {one.provider_id} in inventories not found: {error.message}",
                kind="placement.resource_provider.not_found",
            ) from error
    for one in wanted:
        await inventories.add(session, one.provider_id, one.inventories)
    await replace(session, asked)
    for one in wanted:
        await inventories.replace(session, one.provider_id, one.inventories)
