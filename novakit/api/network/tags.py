"""Tags of resources."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import attrs
from aiohttp import web

from novakit import errors
from novakit.api.bodies import BodyReader, Schema, SchemaFault
from novakit.api.network import resources
from novakit.api.network.bodies import kinds
from novakit.api.network.bodies.attributes import MOST_TAGS, bad
from novakit.api.network.bodies.kinds import several, text
from novakit.api.network.handlers import RESOURCES, NetworkCall, the_thing
from novakit.api.network.resources import Resource
from novakit.api.service import Route, reply
from novakit.network.refusals import not_found

D = TypeVar("D")
N = TypeVar("N")
C = TypeVar("C")


@attrs.frozen
class Tags:
    """All tags of one resource."""

    tags: Sequence[str]


def _words(fault: SchemaFault) -> errors.BadRequest:
    return bad(f"Invalid input for tags. Reason: {kinds.reason(fault)}")


_definition = {"type": "object", "required": ["tags"], "properties": {"tags": several(text(60), MOST_TAGS)}}
TAGS = BodyReader(Schema(_definition, _words, kinds.FORMATS), Tags)


async def _change(
    resource: Resource[D, N, C], call: NetworkCall, change: Callable[[list[str]], list[str]]
) -> list[str]:
    await _require(resource, call)
    return await resource.things(call.service).change_tags(call.context, call.path["id"], change)


async def _tags(resource: Resource[D, N, C], call: NetworkCall) -> list[str]:
    await _require(resource, call)
    return await resource.things(call.service).tags(call.context, call.path["id"])


async def _require(resource: Resource[D, N, C], call: NetworkCall) -> None:
    """Ask the rule about the thing itself where an operator's file says otherwise of it. Raises Forbidden."""
    if call.rule in call.policy.changed:
        await resources.require(resource, call, call.rule, await the_thing(resource, call))


def _read(body: object) -> list[str]:
    """Return the tags of a body in order, once each. Raises BadRequest for one that is too long, and for too many."""
    return sorted(set(TAGS(body).tags))


async def index(resource: Resource[D, N, C], call: NetworkCall) -> web.Response:
    """List the tags of one resource."""
    return reply({"tags": await _tags(resource, call)})


async def check(resource: Resource[D, N, C], call: NetworkCall) -> web.Response:
    """Return whether a resource has a tag. Raises TagNotFound for one that is not there."""
    tag = call.path["tag"]
    if tag not in await _tags(resource, call):
        raise not_found("tag", tag)
    return web.Response(status=204)


async def replace(resource: Resource[D, N, C], call: NetworkCall) -> web.Response:
    """Replace all tags."""
    tags = _read(await call.json())
    return reply({"tags": await _change(resource, call, lambda _: tags)})


async def add(resource: Resource[D, N, C], call: NetworkCall) -> web.Response:
    """Add one tag."""
    (tag,) = _read({"tags": [call.path["tag"]]})
    await _change(resource, call, lambda tags: _read({"tags": [*tags, tag]}) if tag not in tags else tags)
    return web.Response(status=201)


async def remove(resource: Resource[D, N, C], call: NetworkCall) -> web.Response:
    """Remove one tag. Raises TagNotFound for one that is not there."""
    tag = call.path["tag"]

    def change(tags: list[str]) -> list[str]:
        if tag not in tags:
            raise not_found("tag", tag)
        return [one for one in tags if one != tag]

    await _change(resource, call, change)
    return web.Response(status=204)


async def clear(resource: Resource[D, N, C], call: NetworkCall) -> web.Response:
    """Remove all tags."""
    await _change(resource, call, lambda _: [])
    return web.Response(status=204)


def _routes_of(resource: Resource[D, N, C]) -> list[Route]:
    every, one = f"/v2.0/{resource.path}/{{id}}/tags", f"/v2.0/{resource.path}/{{id}}/tags/{{tag}}"
    look, change, drop = (f"{verb}_{resource.one}:tags" for verb in ("get", "update", "delete"))
    route = partial(Route, asks_of_things=True)
    return [
        route(method="GET", path=every, handler=partial(index, resource), rule=look),
        route(method="PUT", path=every, handler=partial(replace, resource), rule=change),
        route(method="DELETE", path=every, handler=partial(clear, resource), rule=drop),
        route(method="GET", path=one, handler=partial(check, resource), rule=look),
        route(method="PUT", path=one, handler=partial(add, resource), rule=change),
        route(method="DELETE", path=one, handler=partial(remove, resource), rule=drop),
    ]


ROUTES = [route for resource in RESOURCES if resource.tagged for route in _routes_of(resource)]
