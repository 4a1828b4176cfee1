"""The five verbs that every resource has."""

from collections.abc import Sequence
from functools import partial
from typing import TypeVar

from aiohttp import web

from novakit import errors
from novakit.api.network import listing
from novakit.api.network.bodies import attributes
from novakit.api.network.floating_ips import FLOATING_IPS
from novakit.api.network.networks import NETWORKS
from novakit.api.network.ports import PORTS
from novakit.api.network.resources import AnyResource, Resource, View
from novakit.api.network.routers import ROUTERS
from novakit.api.network.security_group_rules import SECURITY_GROUP_RULES
from novakit.api.network.security_groups import SECURITY_GROUPS
from novakit.api.network.subnets import SUBNETS
from novakit.api.pieces import reply_in_pieces
from novakit.api.service import Call, Route, reply
from novakit.front.sharing import Cost
from novakit.network.refusals import not_found
from novakit.network.service import Networks

D = TypeVar("D")
N = TypeVar("N")
C = TypeVar("C")
NetworkCall = Call[Networks]
RESOURCES: tuple[AnyResource, ...] = (
    NETWORKS,
    SUBNETS,
    PORTS,
    ROUTERS,
    FLOATING_IPS,
    SECURITY_GROUPS,
    SECURITY_GROUP_RULES,
)


def _hidden(call: NetworkCall, resource: Resource[D, N, C]) -> list[str]:
    """Name what the caller may not see."""
    special = sorted(resource.shown & attributes.HIDDEN)
    return [key for key in special if not call.allows(f"get_{resource.one}:{key}")]


def _views(call: NetworkCall, resource: Resource[D, N, C], found: Sequence[D]) -> listing.Views[D]:
    """Show things without what the caller may not see."""
    hidden, view = _hidden(call, resource), resource.view

    def less(one: D) -> View:
        shown = view(one)
        for key in hidden:
            del shown[key]
        return shown

    return listing.Views(found, less if hidden else view)


async def index(resource: Resource[D, N, C], call: NetworkCall) -> web.Response:
    """List what the caller may see."""
    known = resource.shown - set(_hidden(call, resource))
    filters = listing.wanted(call.request.query)
    listing.check(filters, known, resource.flags, tagged=resource.tagged)
    found = await resource.things(call.service).find(call.context, **resource.wanted(filters))
    views = listing.passing(_views(call, resource, found), filters)
    views, links = listing.page(call.request, views, known)
    fields = call.request.query.getall("fields", [])
    shown = (listing.with_fields(view, fields) for view in views) if fields else views
    return reply_in_pieces(resource.many, shown, {f"{resource.many}_links": links} if links else {})


async def show_resource(resource: Resource[D, N, C], call: NetworkCall) -> web.Response:
    """Show one; what belongs to others is not found."""
    (view,) = _views(call, resource, [await _the(resource, call)])
    return reply({resource.one: listing.with_fields(view, call.request.query.getall("fields", []))})


async def _the(resource: Resource[D, N, C], call: NetworkCall) -> D:
    """Fetch the one that the path names."""
    key, things = call.path["id"], resource.things(call.service)
    if "\0" in key:
        raise not_found(things.noun.called, "of that name")
    return await things.by_id(call.context, key)


async def create(resource: Resource[D, N, C], call: NetworkCall) -> web.Response:
    """Make one, or several in one transaction."""
    sent = resource.new.sent(await call.json())
    values = [resource.new.record(one, call) for one in sent.things]
    made = _views(call, resource, await resource.things(call.service).create(call.context, values))
    return reply({resource.many: [*made]} if sent.are_listed else {resource.one: made[0]}, 201)


async def update(resource: Resource[D, N, C], call: NetworkCall) -> web.Response:
    """Change one."""
    things, change = resource.things(call.service), resource.change
    given = change.thing(await call.json()) if change is not None else {}
    await _the(resource, call)
    if change is None:
        raise errors.BadRequest(f"A {things.noun.called} cannot be changed; delete it and make another.")
    changed = await things.update(call.context, call.path["id"], change.record(given, call))
    (view,) = _views(call, resource, [changed])
    return reply({resource.one: view})


async def delete(resource: Resource[D, N, C], call: NetworkCall) -> web.Response:
    """Delete one that is not in use."""
    await _the(resource, call)
    await resource.things(call.service).delete(call.context, call.path["id"])
    return web.Response(status=204)


def _update_rule(resource: Resource[D, N, C]) -> str:
    """Name the rule of a change; what can never be changed has no public one."""
    return f"update_{resource.one}" if resource.change is not None else f"novakit:{resource.one}:update"


def _routes_of(resource: Resource[D, N, C]) -> list[Route]:
    many, single = f"/v2.0/{resource.path}", f"/v2.0/{resource.path}/{{id}}"
    return [
        Route(method="GET", path=many, handler=partial(index, resource), rule=f"get_{resource.one}", cost=Cost.HEAVY),
        Route(method="POST", path=many, handler=partial(create, resource), rule=f"create_{resource.one}"),
        Route(method="GET", path=single, handler=partial(show_resource, resource), rule=f"get_{resource.one}"),
        Route(method="PUT", path=single, handler=partial(update, resource), frees=True, rule=_update_rule(resource)),
        Route(method="DELETE", path=single, handler=partial(delete, resource), rule=f"delete_{resource.one}"),
    ]


ROUTES = [route for resource in RESOURCES for route in _routes_of(resource)]
