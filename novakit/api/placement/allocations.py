"""/allocations and /resource_providers/{uuid}/allocations: who holds how much of what."""

from collections.abc import Iterable, Mapping

from aiohttp import web

from novakit import errors
from novakit.api.documents import Document
from novakit.api.placement.frame import PlacementCall, answer, body, canonical_uuid, clean, one_spelling, require_json
from novakit.api.placement.schemas import allocations as schemas
from novakit.api.placement.schemas.allocations import WantedAllocations
from novakit.left_out import LEFT_OUT
from novakit.placement.allocations import AllocationRequest
from novakit.placement.ledger import AllocationClaim
from novakit.placement.records import Allocation
from novakit.resource_classes import by_class


def request_of(call: PlacementCall, consumer: str, given: WantedAllocations) -> AllocationRequest:
    """Make of a body what one consumer is to hold."""
    stated = given.allocations
    if isinstance(stated, Mapping):
        resources = {provider: one.resources for provider, one in stated.items()}
    else:
        resources = {one.resource_provider.uuid: one.resources for one in stated}
    kept = one_spelling(resources, "resource provider")
    amounts = {provider: by_class(amounts) for provider, amounts in kept.items()}
    claim = AllocationClaim(
        consumer_id=consumer,
        project_id=given.project_id,
        user_id=given.user_id,
        consumer_type=given.consumer_type,
        allocations=amounts,
    )
    return AllocationRequest(claim, given.consumer_generation if call.version >= (1, 28) else LEFT_OUT)


def requests_of(call: PlacementCall, given: Mapping[str, WantedAllocations]) -> list[AllocationRequest]:
    """Make of a body what several consumers are to hold. Raises BadRequest when one is named twice."""
    return [request_of(call, consumer, one) for consumer, one in one_spelling(given, "consumer").items()]


async def show(call: PlacementCall) -> web.Response:
    """GET /allocations/{consumer_uuid}; an unknown consumer holds nothing."""
    require_json(call, reads=True)
    consumer = await call.service.holders.show(clean(call.path["consumer_uuid"]))
    if consumer is None:
        return answer(call, {"allocations": {}})
    used = _amounts((one.provider_id, one) for one in consumer.allocations)
    held = {id: {"resources": amounts, "generation": consumer.provider_generations[id]} for id, amounts in used.items()}
    said: Document = {"allocations": held}
    if call.version >= (1, 12):
        said["project_id"], said["user_id"] = consumer.project_id, consumer.user_id
        if call.version >= (1, 28):
            said["consumer_generation"] = consumer.generation
        if call.version >= (1, 38):
            said["consumer_type"] = consumer.type or "unknown"
    return answer(call, said, modified=max(one.created_at for one in consumer.allocations))


async def list_of_provider(call: PlacementCall) -> web.Response:
    """GET /resource_providers/{uuid}/allocations."""
    require_json(call, reads=True)
    provider, found = await call.service.holders.of_provider(clean(call.path["uuid"]))
    amounts = _amounts((one.consumer_id, one) for one in found)
    held: dict[str, Document] = {id: {"resources": used} for id, used in amounts.items()}
    if call.version >= (1, 28):
        for one in found:
            held[one.consumer_id]["consumer_generation"] = one.consumer_generation
    said = {"allocations": held, "resource_provider_generation": provider.generation}
    return answer(call, said, modified=max((one.created_at for one in found), default=None))


def _amounts(found: Iterable[tuple[str, Allocation]]) -> dict[str, dict[str, int]]:
    """Return what is held by class, by the id that stands beside each."""
    amounts: dict[str, dict[str, int]] = {}
    for id, one in found:
        amounts.setdefault(id, {})[one.resource_class] = one.used
    return amounts


async def put(call: PlacementCall) -> web.Response:
    """PUT /allocations/{consumer_uuid}: replace what one consumer holds."""
    require_json(call, writes=True)
    consumer = canonical_uuid(call.path["consumer_uuid"])
    if consumer is None:
        raise errors.BadRequest(f"Malformed consumer_uuid: {call.path['consumer_uuid']}")
    given = await body(call, schemas.PUT)
    await call.service.holders.replace([request_of(call, consumer, given)])
    return answer(call, None, 204)


async def post(call: PlacementCall) -> web.Response:
    """POST /allocations: replace what several consumers hold, all or none."""
    require_json(call, writes=True)
    given = await body(call, schemas.POST)
    await call.service.holders.replace(requests_of(call, given))
    return answer(call, None, 204)


async def delete(call: PlacementCall) -> web.Response:
    """DELETE /allocations/{consumer_uuid}: give everything back."""
    require_json(call)
    consumer = clean(call.path["consumer_uuid"])
    if not await call.service.holders.release(consumer):
        raise errors.NotFound(f"No allocations for consumer '{consumer}'")
    return answer(call, None, 204)
