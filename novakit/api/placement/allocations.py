"""/allocations and /resource_providers/{uuid}/allocations: who holds how much of what."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from novakit import errors
from novakit.api.documents import Document
from novakit.api.placement import query
from novakit.api.placement.frame import Asked, answer, body, canonical_uuid, clean, one_spelling, require_json
from novakit.api.placement.schemas import allocations as schemas
from novakit.placement.allocations import UNCHECKED, AllocationRequest
from novakit.placement.ledger import AllocationClaim
from novakit.resource_classes import by_class

NOBODY = "00000000-0000-0000-0000-000000000000"
"""Project and user of consumers that were made in versions without them."""


def request_of(call: Asked, consumer: str, given: Mapping[str, Any]) -> AllocationRequest:
    """Make of a body what one consumer is to hold."""
    stated = given["allocations"]
    if isinstance(stated, list):
        stated = {item["resource_provider"]["uuid"]: item for item in stated}
    amounts = {
        provider: {name: int(amount) for name, amount in by_class(one["resources"]).items()}
        for provider, one in one_spelling(stated, "resource provider").items()
    }
    claim = AllocationClaim(
        consumer_id=consumer,
        project_id=given.get("project_id", NOBODY),
        user_id=given.get("user_id", NOBODY),
        consumer_type=given.get("consumer_type"),
        allocations=amounts,
    )
    return AllocationRequest(claim, given["consumer_generation"] if call.version >= (1, 28) else UNCHECKED)


def requests_of(call: Asked, given: Mapping[str, Mapping[str, object]]) -> list[AllocationRequest]:
    """Make of a body what several consumers are to hold. Raises BadRequest when one is named twice."""
    return [request_of(call, consumer, one) for consumer, one in one_spelling(given, "consumer").items()]


async def show(call: Asked) -> web.Response:
    """GET /allocations/{consumer_uuid}; an unknown consumer holds nothing."""
    require_json(call, reads=True)
    rows = await call.service.holders.allocations(clean(call.path["consumer_uuid"]))
    held: dict[str, Document] = {}
    for row in rows:
        one = held.setdefault(row["provider_id"], {"resources": {}, "generation": row["provider_generation"]})
        one["resources"][row["resource_class"]] = row["used"]
    said: Document = {"allocations": held}
    if rows and call.version >= (1, 12):
        said["project_id"], said["user_id"] = rows[0]["project_id"], rows[0]["user_id"]
        if call.version >= (1, 28):
            said["consumer_generation"] = rows[0]["consumer_generation"]
        if call.version >= (1, 38):
            said["consumer_type"] = rows[0]["type"] or "unknown"
    return answer(call, said, modified=max((row["created_at"] for row in rows), default=None))


async def list_of_provider(call: Asked) -> web.Response:
    """GET /resource_providers/{uuid}/allocations."""
    require_json(call, reads=True)
    provider, rows = await call.service.holders.of_provider(clean(call.path["uuid"]))
    held: dict[str, Document] = {}
    for row in rows:
        one = held.setdefault(row["consumer_id"], {"resources": {}})
        one["resources"][row["resource_class"]] = row["used"]
        if call.version >= (1, 28):
            one["consumer_generation"] = row["consumer_generation"]
    said = {"allocations": held, "resource_provider_generation": provider["generation"]}
    return answer(call, said, modified=max((row["created_at"] for row in rows), default=None))


async def put(call: Asked) -> web.Response:
    """PUT /allocations/{consumer_uuid}: replace what one consumer holds."""
    require_json(call, writes=True)
    consumer = canonical_uuid(call.path["consumer_uuid"])
    if consumer is None:
        raise errors.BadRequest(f"Malformed consumer_uuid: {call.path['consumer_uuid']}")
    given = await body(call, query.by_version(schemas.PUT, call.version))
    await call.service.holders.replace([request_of(call, consumer, given)])
    return answer(call, None, 204)


async def post(call: Asked) -> web.Response:
    """POST /allocations: replace what several consumers hold, all or none."""
    require_json(call, writes=True)
    given = await body(call, query.by_version(schemas.POST, call.version))
    await call.service.holders.replace(requests_of(call, given))
    return answer(call, None, 204)


async def delete(call: Asked) -> web.Response:
    """DELETE /allocations/{consumer_uuid}: give everything back."""
    require_json(call)
    consumer = clean(call.path["consumer_uuid"])
    if not await call.service.holders.release(consumer):
        raise errors.NotFound(f"No allocations for consumer '{consumer}'")
    return answer(call, None, 204)
