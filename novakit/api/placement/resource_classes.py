"""/resource_classes: the kinds of things that can be counted."""

from aiohttp import web

from novakit.api.placement.frame import PlacementCall, answer, body, clean, href, require_json
from novakit.api.placement.schemas import names as schemas
from novakit.resource_classes import canonical


def _document(call: PlacementCall, name: str) -> dict[str, object]:
    return {"name": name, "links": [{"rel": "self", "href": href(call, "resource_classes", name)}]}


async def list_all(call: PlacementCall) -> web.Response:
    """GET /resource_classes."""
    require_json(call, reads=True)
    found = await call.service.resource_classes.every()
    modified = max(since for _, since in found)
    return answer(call, {"resource_classes": [_document(call, name) for name, _ in found]}, modified=modified)


async def create(call: PlacementCall) -> web.Response:
    """POST /resource_classes: a custom one."""
    require_json(call, writes=True)
    name = (await body(call, schemas.RESOURCE_CLASS)).name
    await call.service.resource_classes.create(name)
    return answer(call, None, 201, location=href(call, "resource_classes", name))


async def show(call: PlacementCall) -> web.Response:
    """GET /resource_classes/{name}."""
    require_json(call, reads=True)
    name = canonical(clean(call.path["name"]))
    since = await call.service.resource_classes.since(name)
    return answer(call, _document(call, name), modified=since)


async def rename(call: PlacementCall) -> web.Response:
    """PUT /resource_classes/{name} up to 1.6: another name for a custom class."""
    require_json(call, writes=True)
    old = canonical(clean(call.path["name"]))
    new = (await body(call, schemas.RESOURCE_CLASS)).name
    await call.service.resource_classes.rename(old, new)
    return answer(call, _document(call, new))


async def ensure(call: PlacementCall) -> web.Response:
    """PUT /resource_classes/{name} from 1.7 on: make a custom class, or see that it is there."""
    require_json(call)
    name = canonical(call.path["name"])
    schemas.RESOURCE_CLASS.check(call.version, {"name": name})
    new = await call.service.resource_classes.ensure(name)
    return answer(call, None, 201 if new else 204, location=href(call, "resource_classes", name))


async def delete(call: PlacementCall) -> web.Response:
    """DELETE /resource_classes/{name}."""
    require_json(call)
    name = canonical(clean(call.path["name"]))
    await call.service.resource_classes.delete(name)
    return answer(call, None, 204)
