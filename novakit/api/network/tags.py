"""Tags of resources."""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from novakit import errors
from novakit.api.network.checks import Wrong, several, text
from novakit.api.network.handlers import NetworkCall, may_write
from novakit.api.network.resources import RESOURCES, Resource
from novakit.api.service import Route, reply
from novakit.network.access import the_own
from novakit.network.refusals import not_found
from novakit.store.engine import Session
from novakit.store.network import rows
from novakit.store.network.hosts import Touched

TAGGED = {resource.path: resource for resource in RESOURCES if resource.tagged}
PATH = "/v2.0/{collection:" + "|".join(TAGGED) + "}/{id}/tags"


async def _change(call: NetworkCall, change: Callable[[list[str]], list[str]]) -> list[str]:
    may_write(call.context)
    resource: Resource = TAGGED[call.path["collection"]]

    async def work(session: Session, _: Touched) -> list[str]:
        row = await the_own(session, call.context, resource.table, resource.called, call.path["id"])
        tags = change(list(row["tags"]))
        if tags != row["tags"]:
            await rows.change(session, resource.table, row["id"], tags=tags)
        return tags

    return await call.service.write(work)


def _checked(value: Any) -> list[str]:
    try:
        tags: list[str] = several(text(60), 50)(value)
    except Wrong as error:
        raise errors.BadRequest(f"Invalid input for tags. Reason: {error}", kind="HTTPBadRequest") from error
    return sorted(set(tags))


async def index(call: NetworkCall) -> web.Response:
    """List the tags of one resource."""
    resource = TAGGED[call.path["collection"]]
    async with call.service.store.read() as session:
        row = await the_own(session, call.context, resource.table, resource.called, call.path["id"])
    return reply({"tags": row["tags"]})


async def has(call: NetworkCall) -> web.Response:
    """Say whether the resource has one tag; raise `TagNotFound` for one that is not there."""
    resource, tag = TAGGED[call.path["collection"]], call.path["tag"]
    async with call.service.store.read() as session:
        row = await the_own(session, call.context, resource.table, resource.called, call.path["id"])
    if tag not in row["tags"]:
        raise not_found("tag", tag)
    return web.Response(status=204)


async def replace(call: NetworkCall) -> web.Response:
    """Replace all tags."""
    tags = _checked((await call.json()).get("tags"))
    return reply({"tags": await _change(call, lambda _: tags)})


async def add(call: NetworkCall) -> web.Response:
    """Add one tag."""
    (tag,) = _checked([call.path["tag"]])
    await _change(call, lambda tags: sorted({*tags, tag}))
    return web.Response(status=201)


async def remove(call: NetworkCall) -> web.Response:
    """Remove one tag; raise `TagNotFound` for one that is not there."""
    tag = call.path["tag"]

    def change(tags: list[str]) -> list[str]:
        if tag not in tags:
            raise not_found("tag", tag)
        return [one for one in tags if one != tag]

    await _change(call, change)
    return web.Response(status=204)


async def clear(call: NetworkCall) -> web.Response:
    """Remove all tags."""
    await _change(call, lambda _: [])
    return web.Response(status=204)


ROUTES = [
    Route(method="GET", path=PATH, handler=index),
    Route(method="PUT", path=PATH, handler=replace),
    Route(method="DELETE", path=PATH, handler=clear),
    Route(method="GET", path=PATH + "/{tag}", handler=has),
    Route(method="PUT", path=PATH + "/{tag}", handler=add),
    Route(method="DELETE", path=PATH + "/{tag}", handler=remove),
]
