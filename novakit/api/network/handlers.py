"""The five verbs that every resource has, and the routers' own."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from aiohttp import web

from novakit import errors
from novakit.api.network import attributes, listing
from novakit.api.network.checks import uuid
from novakit.api.network.resources import RESOURCES, Resource, prepare
from novakit.api.network.shown import FLAGS, SHOWN
from novakit.api.service import Call, Route, reply
from novakit.front.sharing import Cost
from novakit.network import routers
from novakit.network.refusals import not_found
from novakit.network.service import Networks
from novakit.store.engine import Session
from novakit.store.network import rows
from novakit.store.network.hosts import Touched

NetworkCall = Call[Networks]
MOST_AT_ONCE = 500
HIDDEN_COLUMNS = frozenset({"security_group_rules"})


def _may_see(call: NetworkCall, resource: Resource, key: str) -> bool:
    return key not in attributes.HIDDEN or call.allows(f"get_{resource.one}:{key}")


def _seen(call: NetworkCall, resource: Resource, view: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what the caller may not see."""
    return {key: value for key, value in view.items() if _may_see(call, resource, key)}


async def index(resource: Resource, call: NetworkCall) -> web.Response:
    """List what the caller may see."""
    context, networks = call.context, call.service
    await prepare(networks, context, resource)
    known = frozenset(key for key in SHOWN[resource.many] if _may_see(call, resource, key))
    filters = listing.wanted(call.request.query)
    listing.check(filters, known, FLAGS, tagged=resource.tagged)
    async with networks.store.read() as session:
        conditions = [*resource.visible(context), *resource.conditions(filters)]
        found = await rows.some(session, resource.table, conditions)
        views = [
            {key: value for key, value in view.items() if key in known} for view in await resource.views(session, found)
        ]
    views, links = listing.page(call.request, listing.passing(views, filters), known)
    fields = call.request.query.getall("fields", [])
    body: dict[str, Any] = {resource.many: [listing.with_fields(view, fields) for view in views]}
    if links:
        body[f"{resource.many}_links"] = links
    return reply(body)


async def show(resource: Resource, call: NetworkCall) -> web.Response:
    """Show one; what belongs to others is not found."""
    view = await _find(call, resource, call.path["id"])
    return reply({resource.one: listing.with_fields(view, call.request.query.getall("fields", []))})


async def _find(call: NetworkCall, resource: Resource, key: str) -> dict[str, Any]:
    networks, context = call.service, call.context
    await prepare(networks, context, resource)
    if "\0" in key:
        raise not_found(resource.called, "of that name")
    async with networks.store.read() as session:
        conditions = [*resource.visible(context), *rows.matching(resource.table, {"id": key})]
        found = await rows.some(session, resource.table, conditions)
        if not found:
            raise not_found(resource.called, key)
        return _seen(call, resource, (await resource.views(session, found))[0])


async def create(resource: Resource, call: NetworkCall) -> web.Response:
    """Make one, or several in one transaction."""
    context = call.context
    body = await call.json()
    bulk = resource.many in body
    if not bulk and resource.one not in body:
        raise errors.BadRequest(f"Unable to find '{resource.one}' in request body", kind="HTTPBadRequest")
    given = body[resource.many] if bulk else [body[resource.one]]
    if not isinstance(given, list) or not given or len(given) > MOST_AT_ONCE:
        raise errors.BadRequest(
            f"'{resource.many}' must be a list of 1 to {MOST_AT_ONCE} objects", kind="HTTPBadRequest"
        )
    values = [attributes.read(resource.attributes, one, call, new=True, what=resource.one) for one in given]

    async def work(session: Session, touched: Touched) -> list[dict[str, Any]]:
        return [await resource.create(session, touched, context, one) for one in values]

    made = [_seen(call, resource, view) for view in await call.service.write(work)]
    return reply({resource.many: made} if bulk else {resource.one: made[0]}, 201)


async def update(resource: Resource, call: NetworkCall) -> web.Response:
    """Change one."""
    context, key = call.context, _key(resource, call)
    body = await call.json()
    if resource.one not in body:
        raise errors.BadRequest(f"Unable to find '{resource.one}' in request body", kind="HTTPBadRequest")
    await _find(call, resource, key)
    if resource.update is None:
        raise errors.BadRequest(f"A {resource.called} cannot be changed; delete it and make another.")
    values = attributes.read(resource.attributes, body[resource.one], call, new=False, what=resource.one)
    changed = await call.service.write(lambda session, touched: resource.update(session, touched, context, key, values))
    return reply({resource.one: _seen(call, resource, changed)})


def _key(resource: Resource, call: NetworkCall) -> str:
    key = call.path["id"]
    if "\0" in key:
        raise not_found(resource.called, "of that name")
    return key


async def delete(resource: Resource, call: NetworkCall) -> web.Response:
    """Delete one that is not in use."""
    context, key = call.context, _key(resource, call)
    await _find(call, resource, key)
    await call.service.write(lambda session, touched: resource.delete(session, touched, context, key))
    return web.Response(status=204)


INTERFACE: attributes.Attributes = {
    "subnet_id": attributes.Attribute(check=uuid),
    "port_id": attributes.Attribute(check=uuid),
}


async def change_interface(verb: Any, call: NetworkCall) -> web.Response:
    """Join a router to a subnet or part it from one."""
    context, key = call.context, call.path["id"]
    values = attributes.read(INTERFACE, await call.json(), call, new=True, what="router_interface")
    answer = await call.service.write(lambda session, touched: verb(session, touched, context, key, values))
    return reply(answer)


def _update_rule(resource: Resource) -> str:
    """Name the rule of a change; what can never be changed has no public one."""
    return f"update_{resource.one}" if resource.update is not None else f"novakit:{resource.one}:update"


def _routes_of(resource: Resource) -> list[Route]:
    many, single = f"/v2.0/{resource.path}", f"/v2.0/{resource.path}/{{id}}"
    return [
        Route(method="GET", path=many, handler=partial(index, resource), rule=f"get_{resource.one}", cost=Cost.HEAVY),
        Route(method="POST", path=many, handler=partial(create, resource), rule=f"create_{resource.one}"),
        Route(method="GET", path=single, handler=partial(show, resource), rule=f"get_{resource.one}"),
        Route(method="PUT", path=single, handler=partial(update, resource), frees=True, rule=_update_rule(resource)),
        Route(method="DELETE", path=single, handler=partial(delete, resource), rule=f"delete_{resource.one}"),
    ]


ROUTES = [
    *(route for resource in RESOURCES for route in _routes_of(resource)),
    Route(
        method="PUT",
        path="/v2.0/routers/{id}/add_router_interface",
        handler=partial(change_interface, routers.add_interface),
        rule="add_router_interface",
    ),
    Route(
        method="PUT",
        path="/v2.0/routers/{id}/remove_router_interface",
        handler=partial(change_interface, routers.remove_interface),
        rule="remove_router_interface",
        frees=True,
    ),
]
