"""/resource_providers/{uuid}/aggregates: which free sets a provider is in."""

from collections.abc import Sequence

from aiohttp import web

from novakit.api.placement.frame import PlacementCall, answer, body, clean, kept_id, require_json
from novakit.api.placement.schemas import resource_providers as schemas
from novakit.placement.records import ResourceProvider


async def show(call: PlacementCall) -> web.Response:
    """GET …/aggregates."""
    require_json(call, reads=True)
    return _answer(call, *await call.service.providers.aggregates(clean(call.path["uuid"])))


def _answer(call: PlacementCall, provider: ResourceProvider, ids: Sequence[str]) -> web.Response:
    said: dict[str, object] = {"aggregates": ids}
    if call.version >= (1, 19):
        said["resource_provider_generation"] = provider.generation
    return answer(call, said)


async def replace(call: PlacementCall) -> web.Response:
    """PUT …/aggregates; guarded by the provider's generation from 1.19 on."""
    require_json(call, writes=True)
    id = clean(call.path["uuid"])
    await call.service.providers.require(id)
    guarded = call.version >= (1, 19)
    given = await (body(call, schemas.PUT_AGGREGATES) if guarded else _unguarded(call))
    wanted = [*dict.fromkeys(map(kept_id, given.aggregates))]
    provider = await call.service.providers.set_aggregates(
        id, wanted, given.resource_provider_generation, guarded=guarded
    )
    return _answer(call, provider, wanted)


async def _unguarded(call: PlacementCall) -> schemas.WantedAggregates:
    """Read the body of versions before 1.19, which is a list alone."""
    ids = await body(call, schemas.PUT_AGGREGATES_UNGUARDED)
    return schemas.WantedAggregates(aggregates=ids)
