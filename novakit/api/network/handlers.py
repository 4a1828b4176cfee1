"""The five verbs that every resource has."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TypeVar

from aiohttp import web

from novakit import errors
from novakit.api.network import listing, resources
from novakit.api.network.bodies import attributes
from novakit.api.network.floating_ips import FLOATING_IPS
from novakit.api.network.networks import NETWORKS
from novakit.api.network.ports import PORTS
from novakit.api.network.resources import AnyResource, Resource, ShownResource
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
    """Name what the caller may not see of anything, nor find things by."""
    special = [(key, f"get_{resource.one}:{key}") for key in sorted(resource.shown & attributes.HIDDEN)]
    return [
        key
        for key, rule in special
        if call.policy.hangs_on_more(rule)
        or not call.allows(rule)
        or (_is_of_each(call, rule) and not call.allows(rule, {}))
    ]


def _is_of_each(call: NetworkCall, rule: str) -> bool:
    """Return whether an operator's rule asks for anything of a thing: others' are seen, too, as shared networks."""
    return rule in call.policy.changed and bool(call.policy.asks(rule))


async def _views(call: NetworkCall, resource: Resource[D, N, C], found: Sequence[D]) -> listing.Views[D]:
    """Show things without what the caller may not see."""
    view = resource.view
    if each := await _hidden_of_each(call, resource, found):
        return listing.Views(found, lambda one: _without(view(one), each[id(one)]))
    hidden = _hidden(call, resource)
    return listing.Views(found, (lambda one: _without(view(one), hidden)) if hidden else view)


def _without(shown: ShownResource, hidden: Sequence[str]) -> ShownResource:
    for key in hidden:
        del shown[key]
    return shown


async def _hidden_of_each(
    call: NetworkCall, resource: Resource[D, N, C], found: Sequence[D]
) -> Mapping[int, Sequence[str]]:
    """Name what the caller may not see of each thing, by its identity, where an operator's rule hangs on the thing."""
    special = [(key, f"get_{resource.one}:{key}") for key in sorted(resource.shown & attributes.HIDDEN)]
    if not any(_is_of_each(call, rule) for _, rule in special):
        return {}
    told = await resources.of_things(resource, call, found)
    return {
        id(one): [key for key, rule in special if not call.allows(rule, about)]
        for one, about in zip(found, told, strict=True)
    }


async def index(resource: Resource[D, N, C], call: NetworkCall) -> web.Response:
    """List what the caller may see."""
    known = resource.shown - set(_hidden(call, resource))
    filters = listing.wanted(call.request.query)
    listing.check(filters, known, resource.flags, tagged=resource.tagged)
    everything = await resource.things(call.service).find(call.context, **resource.wanted(filters))
    found = await resources.seen(resource, call, everything)
    views = listing.passing(await _views(call, resource, found), filters)
    views, links = listing.page(call.request, views, known)
    fields = call.request.query.getall("fields", [])
    shown = (listing.with_fields(view, fields) for view in views) if fields else views
    return reply_in_pieces(resource.many, shown, {f"{resource.many}_links": links} if links else {})


async def show_resource(resource: Resource[D, N, C], call: NetworkCall) -> web.Response:
    """Show one; what belongs to others is not found."""
    (view,) = await _views(call, resource, [await the_thing(resource, call)])
    return reply({resource.one: listing.with_fields(view, call.request.query.getall("fields", []))})


async def the_thing(resource: Resource[D, N, C], call: NetworkCall) -> D:
    """Fetch the one that the path names. Raises NotFound where there is none that the caller may see."""
    key, things = call.path["id"], resource.things(call.service)
    if "\0" in key:
        raise not_found(things.noun.called, "of that name")
    found = await resources.seen(resource, call, [await things.by_id(call.context, key)])
    if not found:
        raise not_found(things.noun.called, key)
    return found[0]


async def create(resource: Resource[D, N, C], call: NetworkCall) -> web.Response:
    """Make one, or several in one transaction."""
    sent, rule, values = resource.new.sent(await call.json()), f"create_{resource.one}", []
    for one, about in zip(sent.things, await resources.of_new(resource, call, rule, sent.things), strict=True):
        if about is not None and resource.one not in attributes.LATER:
            call.authorize(rule, about)
        values.append(resource.new.record(one, call, about))
    made = await _views(call, resource, await resource.things(call.service).create(call.context, values))
    return reply({resource.many: [*made]} if sent.are_listed else {resource.one: made[0]}, 201)


async def update(resource: Resource[D, N, C], call: NetworkCall) -> web.Response:
    """Change one."""
    things, change = resource.things(call.service), resource.change
    given = change.thing(await call.json()) if change is not None else {}
    about = await resources.require(resource, call, call.rule, await the_thing(resource, call))
    if change is None:
        raise errors.BadRequest(f"A {things.noun.called} cannot be changed; delete it and make another.")
    changed = await things.update(call.context, call.path["id"], change.record(given, call, about))
    (view,) = await _views(call, resource, [changed])
    return reply({resource.one: view})


async def delete(resource: Resource[D, N, C], call: NetworkCall) -> web.Response:
    """Delete one that is not in use."""
    await resources.require(resource, call, call.rule, await the_thing(resource, call))
    await resource.things(call.service).delete(call.context, call.path["id"])
    return web.Response(status=204)


def _update_rule(resource: Resource[D, N, C]) -> str:
    """Name the rule of a change; what can never be changed has no public one."""
    return f"update_{resource.one}" if resource.change is not None else f"novakit:{resource.one}:update"


def _routes_of(resource: Resource[D, N, C]) -> list[Route]:
    many, single = f"/v2.0/{resource.path}", f"/v2.0/{resource.path}/{{id}}"
    look, make, drop = (f"{verb}_{resource.one}" for verb in ("get", "create", "delete"))
    route = partial(Route, asks_of_things=True)
    return [
        route(method="GET", path=many, handler=partial(index, resource), rule=look, cost=Cost.HEAVY),
        route(method="POST", path=many, handler=partial(create, resource), rule=make),
        route(method="GET", path=single, handler=partial(show_resource, resource), rule=look),
        route(method="PUT", path=single, handler=partial(update, resource), frees=True, rule=_update_rule(resource)),
        route(method="DELETE", path=single, handler=partial(delete, resource), rule=drop),
    ]


ROUTES = [route for resource in RESOURCES for route in _routes_of(resource)]
