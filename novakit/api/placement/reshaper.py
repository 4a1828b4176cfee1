"""POST /reshaper: move inventories between providers together with what is allocated from them."""

from aiohttp import web

from novakit.api.placement import query
from novakit.api.placement.allocations import wishes
from novakit.api.placement.frame import Asked, admit, answer, body, write
from novakit.api.placement.inventories import stock
from novakit.api.placement.schemas import reshaper as schemas
from novakit.placement.reshape import NewInventories, reshape


async def post(call: Asked) -> web.Response:
    """Replace inventories and allocations in one step, or nothing at all; for services, not for administrators."""
    admit(call, writes=True, services_only=True)
    given = await body(call, query.by_version(schemas.POST, call.version))
    wanted = [
        NewInventories(id, one["resource_provider_generation"], {n: stock(i) for n, i in one["inventories"].items()})
        for id, one in given["inventories"].items()
    ]
    held = wishes(call, given["allocations"])
    await write(call, lambda session: reshape(session, wanted, held))
    return answer(call, None, 204)
