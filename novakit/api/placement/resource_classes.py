"""/resource_classes: the kinds of things that can be counted."""

from typing import Any

from aiohttp import web

from novakit.api.placement.frame import Asked, answer, body, clean, href, require_json, write
from novakit.api.placement.schemas import names as schemas
from novakit.resource_classes import canonical
from novakit.store.engine import Session
from novakit.store.placement import resource_classes


def _document(call: Asked, name: str) -> dict[str, Any]:
    return {"name": name, "links": [{"rel": "self", "href": href(call, "resource_classes", name)}]}


async def list_all(call: Asked) -> web.Response:
    """GET /resource_classes."""
    require_json(call, reads=True)
    async with call.service.store.read() as session:
        found = await resource_classes.every(session)
    modified = max(since for _, since in found)
    return answer(call, {"resource_classes": [_document(call, name) for name, _ in found]}, modified=modified)


async def create(call: Asked) -> web.Response:
    """POST /resource_classes: a custom one."""
    require_json(call, writes=True)
    name = (await body(call, schemas.RESOURCE_CLASS))["name"]
    await write(call, lambda session: resource_classes.create(session, name))
    return answer(call, None, 201, location=href(call, "resource_classes", name))


async def show(call: Asked) -> web.Response:
    """GET /resource_classes/{name}."""
    require_json(call, reads=True)
    name = canonical(clean(call.path["name"]))
    async with call.service.store.read() as session:
        since = await resource_classes.show(session, name)
    return answer(call, _document(call, name), modified=since)


async def rename(call: Asked) -> web.Response:
    """PUT /resource_classes/{name} up to 1.6: another name for a custom class."""
    require_json(call, writes=True)
    old = canonical(clean(call.path["name"]))
    new = (await body(call, schemas.RESOURCE_CLASS))["name"]

    async def work(session: Session) -> None:
        await resource_classes.rename(session, old, new)

    await write(call, work)
    return answer(call, _document(call, new))


async def ensure(call: Asked) -> web.Response:
    """PUT /resource_classes/{name} from 1.7 on: make a custom class, or see that it is there."""
    require_json(call)
    name = canonical(call.path["name"])
    schemas.RESOURCE_CLASS.check({"name": name}, "JSON does not validate: ")
    new = await write(call, lambda session: resource_classes.ensure(session, name))
    return answer(call, None, 201 if new else 204, location=href(call, "resource_classes", name))


async def delete(call: Asked) -> web.Response:
    """DELETE /resource_classes/{name}."""
    require_json(call)
    name = canonical(clean(call.path["name"]))
    await write(call, lambda session: resource_classes.delete(session, name))
    return answer(call, None, 204)
