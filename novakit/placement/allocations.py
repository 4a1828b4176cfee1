"""Changing what consumers hold as the API does it: guarded by consumer generations, all or nothing.

Requests that come together are decided one after another on one working copy and written by the same statements: eight
clients' requests cost about as many statements as one. Each is still all or nothing, and has its own answer.
"""

from collections.abc import Sequence

import attrs

from novakit import errors
from novakit.left_out import LEFT_OUT, LeftOut
from novakit.placement.ledger import CONCURRENT_UPDATE, AllocationClaim, Ledger, NoSuchStock, OutOfStock
from novakit.store.engine import Session
from novakit.store.placement import names


@attrs.frozen
class AllocationRequest:
    """What a consumer is to hold, and which generation of the consumer the caller has seen."""

    claim: AllocationClaim
    generation: int | LeftOut | None = LEFT_OUT
    """None when the caller expects that the consumer does not exist; left out for whatever it is now."""


async def replace(session: Session, asked: Sequence[AllocationRequest]) -> None:
    """Let consumers hold what is wished, all of them or none.

    Raises Conflict for a consumer that changed meanwhile or for inventory that does not suffice, BadRequest for
    providers and classes that do not exist.
    """
    for refused in await replace_each(session, [asked]):
        if refused is not None:
            raise refused


async def replace_each(
    session: Session, requests: Sequence[Sequence[AllocationRequest]]
) -> list[errors.NovakitError | None]:
    """Do requests in their order, each as `replace` does it, and return the error of each that was refused."""
    answers: list[errors.NovakitError | None] = []
    left = list(requests)
    while left:
        # The ledger knows what consumers held when it was opened; who asks about one again is for the next ledger.
        together = left[: _distinct(left)]
        left = left[len(together) :]
        ledger = await Ledger.open(session, [each.claim for asked in together for each in asked])
        answers += [await _refusal(session, ledger, asked) for asked in together]
        await ledger.write()
    return answers


def _distinct(requests: Sequence[Sequence[AllocationRequest]]) -> int:
    """Count the requests from the first on that name no consumer of an earlier one."""
    named: set[str] = set()
    for count, asked in enumerate(requests):
        consumers = {each.claim.consumer_id for each in asked}
        if named & consumers:
            return count
        named |= consumers
    return len(requests)


async def _refusal(session: Session, ledger: Ledger, asked: Sequence[AllocationRequest]) -> errors.NovakitError | None:
    """Let the ledger take one request. Returns why it cannot, and leaves the ledger as it was then."""
    claims = [each.claim for each in asked]
    try:
        for each in asked:
            check_generation(ledger, each)
        ledger.replace(claims)
    except OutOfStock as error:
        try:
            await _check_classes(session, error, claims)
        except errors.BadRequest as unknown:
            return unknown
        return errors.Conflict(f"Unable to allocate inventory: {error.message}")
    except errors.NovakitError as error:
        return error
    return None


def check_generation(ledger: Ledger, request: AllocationRequest) -> None:
    """Raise `Conflict` when the consumer is not as the caller has seen it."""
    if isinstance(request.generation, LeftOut):
        return
    row = ledger.consumers.get(request.claim.consumer_id)
    actual = row["generation"] if row else None
    if actual != request.generation:
        said = ["null" if one is None else str(one) for one in (actual, request.generation)]
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
