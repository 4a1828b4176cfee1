"""/resource_providers/{uuid}/aggregates: which free sets a provider is in."""

from typing import Any

from aiohttp import web

from novakit.api.placement import query
from novakit.api.placement.frame import Asked, answer, body, clean, require_json, write
from novakit.api.placement.schemas import resource_providers as schemas
from novakit.store.engine import Session
from novakit.store.placement import aggregates, providers


async def show(call: Asked) -> web.Response:
    """GET …/aggregates."""
    require_json(call, reads=True)
    async with call.service.store.read() as session:
        id = clean(call.path["uuid"])
        return await _answer(call, session, id, await aggregates.of_provider(session, id))


async def _answer(call: Asked, session: Session, id: str, ids: list[str]) -> web.Response:
    provider = await providers.show(session, id)
    said: dict[str, Any] = {"aggregates": ids}
    if call.version >= (1, 19):
        said["resource_provider_generation"] = provider["generation"]
    return answer(call, said)


async def replace(call: Asked) -> web.Response:
    """PUT …/aggregates; guarded by the provider's generation from 1.19 on."""
    require_json(call, writes=True)
    id = clean(call.path["uuid"])
    async with call.service.store.read() as session:
        await providers.show(session, id)
    given = await body(call, query.by_version(schemas.PUT_AGGREGATES, call.version))
    guarded = call.version >= (1, 19)
    wanted = given["aggregates"] if guarded else given

    async def work(session: Session) -> web.Response:
        await providers.locked(session, id, generation=given["resource_provider_generation"] if guarded else None)
        await aggregates.replace(session, id, wanted, raise_generation=guarded)
        return await _answer(call, session, id, wanted)

    return await write(call, work)
