"""/resource_providers/{uuid}/aggregates: which free sets a provider is in."""

from aiohttp import web

from novakit.api.documents import Document, Row
from novakit.api.placement import query
from novakit.api.placement.frame import Asked, answer, body, clean, kept_id, require_json
from novakit.api.placement.schemas import resource_providers as schemas


async def show(call: Asked) -> web.Response:
    """GET …/aggregates."""
    require_json(call, reads=True)
    return _answer(call, *await call.service.providers.aggregates(clean(call.path["uuid"])))


def _answer(call: Asked, provider: Row, ids: list[str]) -> web.Response:
    said: Document = {"aggregates": ids}
    if call.version >= (1, 19):
        said["resource_provider_generation"] = provider["generation"]
    return answer(call, said)


async def replace(call: Asked) -> web.Response:
    """PUT …/aggregates; guarded by the provider's generation from 1.19 on."""
    require_json(call, writes=True)
    id = clean(call.path["uuid"])
    await call.service.providers.require(id)
    given = await body(call, query.by_version(schemas.PUT_AGGREGATES, call.version))
    guarded = call.version >= (1, 19)
    wanted = [*dict.fromkeys(map(kept_id, given["aggregates"] if guarded else given))]
    generation = given["resource_provider_generation"] if guarded else None
    provider = await call.service.providers.set_aggregates(id, wanted, generation, guarded=guarded)
    return _answer(call, provider, wanted)
