"""/resource_providers/{uuid}/inventories: how much of each class a provider holds."""

from collections.abc import Mapping, Sequence

import attrs
from aiohttp import web

from novakit import errors
from novakit.api.placement.frame import PlacementCall, answer, body, clean, href, require_json
from novakit.api.placement.schemas import MAX_INT
from novakit.api.placement.schemas import inventories as schemas
from novakit.api.placement.schemas.inventories import WantedInventory
from novakit.left_out import either, sent
from novakit.placement.records import ProviderInventory, ResourceProvider
from novakit.placement.resource_providers import Inventories, StatedInventory, refuse_without_capacity
from novakit.resource_classes import aliased, by_class, canonical

_FIELDS = tuple(field.name for field in attrs.fields(StatedInventory) if field.name != "said")


def stock(given: WantedInventory) -> StatedInventory:
    """Make an inventory of what a client states of it."""
    return StatedInventory(
        total=given.total,
        reserved=either(given.reserved, 0),
        min_unit=either(given.min_unit, 1),
        max_unit=either(given.max_unit, MAX_INT),
        step_size=either(given.step_size, 1),
        allocation_ratio=either(given.allocation_ratio, 1.0),
        said=frozenset(sent(given)) & frozenset(_FIELDS),
    )


def stocks(given: Mapping[str, WantedInventory]) -> dict[str, StatedInventory]:
    """Make inventories of what a client states of several classes."""
    return {name: stock(one) for name, one in by_class(given).items()}


def _document(one: ProviderInventory) -> dict[str, object]:
    return {name: getattr(one, name) for name in _FIELDS}


def _class(call: PlacementCall) -> str:
    return canonical(clean(call.path["resource_class"]))


def _may_reserve_all(call: PlacementCall) -> bool:
    return call.version >= (1, 26)


async def list_all(call: PlacementCall) -> web.Response:
    """GET …/inventories."""
    require_json(call, reads=True)
    return _answer_all(call, *await call.service.providers.inventories(clean(call.path["uuid"])))


def _answer_all(call: PlacementCall, provider: ResourceProvider, found: Sequence[ProviderInventory]) -> web.Response:
    said = {
        "resource_provider_generation": provider.generation,
        "inventories": {one.resource_class: _document(one) for one in found},
    }
    return answer(call, said, modified=max((one.updated_at for one in found), default=None))


async def show(call: PlacementCall) -> web.Response:
    """GET …/inventories/{resource_class}."""
    require_json(call, reads=True)
    id, name = clean(call.path["uuid"]), _class(call)
    return _answer_one(call, id, name, await call.service.providers.inventories(id))


def _answer_one(call: PlacementCall, id: str, name: str, found: Inventories, status: int = 200) -> web.Response:
    provider, inventories = found
    for one in inventories:
        if one.resource_class == name:
            said = {**_document(one), "resource_provider_generation": provider.generation}
            location = href(call, "resource_providers", id, "inventories", name) if status == 201 else ""
            return answer(call, said, status, modified=one.updated_at, location=location)
    raise errors.NotFound(f"No inventory of class {name} for {id}")


async def create(call: PlacementCall) -> web.Response:
    """POST …/inventories: add one."""
    require_json(call, writes=True)
    id = clean(call.path["uuid"])
    await call.service.providers.require(id)
    given = await body(call, schemas.POST)
    name, wanted = canonical(given.resource_class), stock(given)
    refuse_without_capacity(id, {name: wanted}, may_reserve_all=_may_reserve_all(call), doing="create")
    aliases = aliased([given.resource_class])
    found = await call.service.providers.add_inventory(id, name, wanted, aliases)
    return _answer_one(call, id, name, found, 201)


async def replace(call: PlacementCall) -> web.Response:
    """PUT …/inventories: all of them at once."""
    require_json(call, writes=True)
    id = clean(call.path["uuid"])
    await call.service.providers.require(id)
    given = await body(call, schemas.PUT)
    found = await call.service.providers.set_inventories(
        id,
        stocks(given.inventories),
        given.resource_provider_generation,
        aliases=aliased(given.inventories),
        may_reserve_all=_may_reserve_all(call),
    )
    return _answer_all(call, *found)


async def update(call: PlacementCall) -> web.Response:
    """PUT …/inventories/{resource_class}."""
    require_json(call, writes=True)
    id, name = clean(call.path["uuid"]), _class(call)
    await call.service.providers.require(id)
    given = await body(call, schemas.PUT_ONE)
    found = await call.service.providers.set_inventory(
        id, name, stock(given), given.resource_provider_generation, may_reserve_all=_may_reserve_all(call)
    )
    return _answer_one(call, id, name, found)


async def delete(call: PlacementCall) -> web.Response:
    """DELETE …/inventories/{resource_class}."""
    require_json(call)
    await call.service.providers.remove_inventory(clean(call.path["uuid"]), _class(call))
    return answer(call, None, 204)


async def delete_all(call: PlacementCall) -> web.Response:
    """DELETE …/inventories, from 1.5 on."""
    if call.version < (1, 5):
        raise errors.MethodNotAllowed(
            "The method DELETE is not allowed for this resource before version 1.5.",
            headers={"Allow": "GET, POST, PUT"},
        )
    require_json(call)
    await call.service.providers.set_inventories(clean(call.path["uuid"]), {})
    return answer(call, None, 204)
