"""/allocations and /resource_providers/{uuid}/allocations: who holds how much of what."""

from collections.abc import Mapping, Sequence

from aiohttp import web

from novakit import errors
from novakit.api.documents import Document, Row, Text
from novakit.api.placement.frame import PlacementCall, answer, body, canonical_uuid, clean, one_spelling, require_json
from novakit.api.placement.schemas import allocations as schemas
from novakit.api.placement.schemas.allocations import WantedAllocations
from novakit.left_out import LEFT_OUT
from novakit.placement.allocations import AllocationRequest
from novakit.placement.ledger import AllocationClaim
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
    rows = await call.service.holders.allocations(clean(call.path["consumer_uuid"]))
    used = _amounts(rows, "provider_id")
    generations = {row["provider_id"]: row["provider_generation"] for row in rows}
    held = {id: {"resources": amounts, "generation": generations[id]} for id, amounts in used.items()}
    said: Document = {"allocations": held}
    if rows and call.version >= (1, 12):
        said["project_id"], said["user_id"] = rows[0]["project_id"], rows[0]["user_id"]
        if call.version >= (1, 28):
            said["consumer_generation"] = rows[0]["consumer_generation"]
        if call.version >= (1, 38):
            said["consumer_type"] = rows[0]["type"] or "unknown"
    return answer(call, said, modified=max((row["created_at"] for row in rows), default=None))


async def list_of_provider(call: PlacementCall) -> web.Response:
    """GET /resource_providers/{uuid}/allocations."""
    require_json(call, reads=True)
    provider, rows = await call.service.holders.of_provider(clean(call.path["uuid"]))
    held: dict[str, Document] = {id: {"resources": used} for id, used in _amounts(rows, "consumer_id").items()}
    if call.version >= (1, 28):
        for row in rows:
            held[row["consumer_id"]]["consumer_generation"] = row["consumer_generation"]
    said = {"allocations": held, "resource_provider_generation": provider["generation"]}
    return answer(call, said, modified=max((row["created_at"] for row in rows), default=None))


def _amounts(rows: Sequence[Row], holder: Text) -> dict[str, dict[str, int]]:
    """Return what is held by class, for each value of one column."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row[holder], {})[row["resource_class"]] = row["used"]
    return found


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
