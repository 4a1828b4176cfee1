"""Tags of resources."""

from collections.abc import Callable
from functools import partial
from typing import Any

from aiohttp import web

from novakit import errors
from novakit.api.network import attributes
from novakit.api.network.checks import Wrong, several, text
from novakit.api.network.handlers import NetworkCall
from novakit.api.network.resources import RESOURCES, Resource
from novakit.api.service import Route, reply
from novakit.network.access import the_own
from novakit.network.refusals import not_found
from novakit.store.engine import Session
from novakit.store.network import rows
from novakit.store.network.hosts import Touched


async def _change(resource: Resource, call: NetworkCall, change: Callable[[list[str]], list[str]]) -> list[str]:
    async def work(session: Session, _: Touched) -> list[str]:
        row = await the_own(session, call.context, resource.table, resource.called, call.path["id"])
        tags = change(list(row["tags"]))
        if tags != row["tags"]:
            await rows.change(session, resource.table, row["id"], tags=tags)
        return tags

    return await call.service.write(work)


def _checked(value: Any) -> list[str]:
    """Return tags in order, once each. Raises BadRequest for one that is too long, and for too many."""
    try:
        tags: list[str] = several(text(60), attributes.MOST_TAGS)(value)
    except Wrong as error:
        raise errors.BadRequest(f"Invalid input for tags. Reason: {error}", kind="HTTPBadRequest") from error
    return sorted(set(tags))


async def index(resource: Resource, call: NetworkCall) -> web.Response:
    """List the tags of one resource."""
    async with call.service.store.read() as session:
        row = await the_own(session, call.context, resource.table, resource.called, call.path["id"])
    return reply({"tags": row["tags"]})


async def check(resource: Resource, call: NetworkCall) -> web.Response:
    """Say whether a resource has a tag; raise `TagNotFound` for one that is not there."""
    tag = call.path["tag"]
    async with call.service.store.read() as session:
        row = await the_own(session, call.context, resource.table, resource.called, call.path["id"])
    if tag not in row["tags"]:
        raise not_found("tag", tag)
    return web.Response(status=204)


async def replace(resource: Resource, call: NetworkCall) -> web.Response:
    """Replace all tags."""
    tags = _checked((await call.json()).get("tags"))
    return reply({"tags": await _change(resource, call, lambda _: tags)})


async def add(resource: Resource, call: NetworkCall) -> web.Response:
    """Add one tag."""
    (tag,) = _checked([call.path["tag"]])
    await _change(resource, call, lambda tags: _checked([*tags, tag]) if tag not in tags else tags)
    return web.Response(status=201)


async def remove(resource: Resource, call: NetworkCall) -> web.Response:
    """Remove one tag; raise `TagNotFound` for one that is not there."""
    tag = call.path["tag"]

    def change(tags: list[str]) -> list[str]:
        if tag not in tags:
            raise not_found("tag", tag)
        return [one for one in tags if one != tag]

    await _change(resource, call, change)
    return web.Response(status=204)


async def clear(resource: Resource, call: NetworkCall) -> web.Response:
    """Remove all tags."""
    await _change(resource, call, lambda _: [])
    return web.Response(status=204)


def _routes_of(resource: Resource) -> list[Route]:
    every, one = f"/v2.0/{resource.path}/{{id}}/tags", f"/v2.0/{resource.path}/{{id}}/tags/{{tag}}"
    look, change, drop = (f"{verb}_{resource.one}:tags" for verb in ("get", "update", "delete"))
    return [
        Route(method="GET", path=every, handler=partial(index, resource), rule=look),
        Route(method="PUT", path=every, handler=partial(replace, resource), rule=change),
        Route(method="DELETE", path=every, handler=partial(clear, resource), rule=drop),
        Route(method="GET", path=one, handler=partial(check, resource), rule=look),
        Route(method="PUT", path=one, handler=partial(add, resource), rule=change),
        Route(method="DELETE", path=one, handler=partial(remove, resource), rule=drop),
    ]


ROUTES = [route for resource in RESOURCES if resource.tagged for route in _routes_of(resource)]
