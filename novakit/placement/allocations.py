"""Changing what consumers hold as the API does it: guarded by consumer generations, all or nothing."""

from collections.abc import Sequence
from typing import Any, Final

import attrs

from novakit import errors
from novakit.placement.ledger import CONCURRENT_UPDATE, AllocationClaim, Ledger, NoSuchStock, OutOfStock
from novakit.store.engine import Session
from novakit.store.placement import names

UNCHECKED: Final[Any] = object()
"""In place of a generation: whatever it is now."""


@attrs.frozen
class AllocationRequest:
    """What a consumer is to hold, and which generation of the consumer the caller has seen."""

    claim: AllocationClaim
    generation: int | None = UNCHECKED
    """None when the caller expects that the consumer does not exist."""


async def replace(session: Session, wishes: Sequence[AllocationRequest]) -> None:
    """Let consumers hold what is wished, all of them or none.

    Raises Conflict for a consumer that changed meanwhile or for inventory that does not suffice, BadRequest for
    providers and classes that do not exist.
    """
    claims = [wish.claim for wish in wishes]
    ledger = await Ledger.open(session, claims)
    for wish in wishes:
        check_generation(ledger, wish)
    try:
        ledger.replace(claims)
    except OutOfStock as error:
        await _check_classes(session, error, claims)
        raise errors.Conflict(f"Unable to allocate inventory: {error.message}") from error
    await ledger.write()


def check_generation(ledger: Ledger, wish: AllocationRequest) -> None:
    """Raise `Conflict` when the consumer is not as the caller has seen it."""
    if wish.generation is UNCHECKED:
        return
    row = ledger.consumers.get(wish.claim.consumer_id)
    actual = row["generation"] if row else None
    if actual != wish.generation:
        said = ["null" if one is None else str(one) for one in (actual, wish.generation)]
        raise errors.Conflict(
            f"consumer generation conflict - expected {said[0]} but got {said[1]}", kind=CONCURRENT_UPDATE
        )


async def _check_classes(session: Session, error: OutOfStock, claims: Sequence[AllocationClaim]) -> None:
    if not isinstance(error, NoSuchStock):
        return
    asked = {name for claim in claims for classes in claim.allocations.values() for name in classes}
    if unknown := await names.unknown_classes(session, asked):
        raise errors.BadRequest(
            f"Unable to allocate inventory for consumer {claims[0].consumer_id}: "
            f"No such resource class {', '.join(sorted(unknown))}."
        )
