"""POST /reshaper: move inventories between providers together with what is allocated from them."""

from aiohttp import web

from novakit.api.placement.allocations import requests_of
from novakit.api.placement.frame import PlacementCall, answer, body, one_spelling, require_json
from novakit.api.placement.inventories import stocks
from novakit.api.placement.schemas import reshaper as schemas
from novakit.placement.reshaper import NewInventories
from novakit.resource_classes import aliased


async def post(call: PlacementCall) -> web.Response:
    """Replace inventories and allocations in one step, or nothing at all; for services, not for administrators."""
    require_json(call, writes=True)
    given = await body(call, schemas.POST)
    wanted = [
        NewInventories(id, one.resource_provider_generation, stocks(one.inventories))
        for id, one in one_spelling(given.inventories, "resource provider").items()
    ]
    held = requests_of(call, given.allocations)
    aliases = aliased(name for one in given.inventories.values() for name in one.inventories)
    await call.service.holders.reshape(wanted, held, aliases)
    return answer(call, None, 204)
