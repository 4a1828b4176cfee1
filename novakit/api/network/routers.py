"""Routers: what clients send and see, and how a router is joined to subnets."""

from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web

from novakit.api.network import resources
from novakit.api.network.bodies.attributes import (
    COMMON,
    Attribute,
    Attributes,
    AttributesBody,
    fixed,
    flag,
    route,
    zones,
)
from novakit.api.network.bodies.kinds import boolean, nullable, one_of, record, several, uuid
from novakit.api.network.resources import STANDARD, Resource, ShownResource, standard
from novakit.api.network.resources import route as route_view
from novakit.api.service import Call, Route, reply
from novakit.context import RequestContext
from novakit.network.allocation.addresses import ip_of
from novakit.network.routers import (
    InterfaceDetails,
    NewRouter,
    RouterChange,
    RouterDetails,
    Routers,
    WantedInterface,
)
from novakit.network.service import Networks

GATEWAY = nullable(
    record(
        {
            "network_id": nullable(uuid),
            "enable_snat": boolean,
            "external_fixed_ips": several(fixed, 5),
            "qos_policy_id": nullable(one_of(None)),
        }
    )
)
ATTRIBUTES: Attributes = {
    **COMMON,
    "admin_state_up": flag,
    "external_gateway_info": Attribute(check=GATEWAY, field="gateway"),
    "routes": Attribute(check=nullable(several(route)), post=False),
    "distributed": Attribute(check=one_of(False, None), kept=False),
    "ha": Attribute(check=one_of(False, None), kept=False),
    "availability_zone_hints": zones,
    "flavor_id": Attribute(check=nullable(one_of(None)), put=False, kept=False),
}
INTERFACE = AttributesBody(
    kind=WantedInterface,
    attributes={"subnet_id": Attribute(check=uuid), "port_id": Attribute(check=uuid)},
    verb="create",
    what="router_interface",
    bare=True,
)


def view(one: RouterDetails) -> ShownResource:
    """Show a router."""
    row = one.router
    gateway = {
        "network_id": row.external_network_id,
        "enable_snat": row.snat,
        "external_fixed_ips": [
            {"subnet_id": line.subnet_id, "ip_address": ip_of(line.number)} for line in one.gateway_addresses
        ],
    }
    return {
        **standard(row),
        "admin_state_up": row.admin_state_up,
        "status": row.status,
        "external_gateway_info": gateway if row.gateway_port_id else None,
        "routes": [route_view(pair) for pair in row.routes],
        "distributed": False,
        "ha": False,
        "availability_zone_hints": [],
        "availability_zones": ["nova"],
        "flavor_id": None,
    }


def _interface(one: InterfaceDetails) -> ShownResource:
    return {
        "id": one.router.id,
        "project_id": one.router.project_id,
        "tenant_id": one.router.project_id,
        "port_id": one.port_id,
        "network_id": one.subnets[0].network_id,
        "subnet_id": one.subnets[0].id,
        "subnet_ids": [subnet.id for subnet in one.subnets],
        "tags": one.router.tags,
    }


Join = Callable[[Routers, RequestContext, str, WantedInterface], Awaitable[InterfaceDetails]]


async def change_interface(change: Join, call: Call[Networks]) -> web.Response:
    """Join a router to a subnet or part it from one."""
    if call.rule in call.policy.changed:
        router = await call.service.routers.by_id(call.context, call.path["id"])
        await resources.require(ROUTERS, call, call.rule, router)
    wanted = INTERFACE.record(INTERFACE.thing(await call.json()), call)
    return reply(_interface(await change(call.service.routers, call.context, call.path["id"], wanted)))


ROUTERS = Resource(
    one="router",
    many="routers",
    path="routers",
    things=lambda service: service.routers,
    new=AttributesBody(kind=NewRouter, attributes=ATTRIBUTES, verb="create", what="router", many="routers"),
    change=AttributesBody(kind=RouterChange, attributes=ATTRIBUTES, verb="update", what="router"),
    view=view,
    shown=STANDARD
    | {
        *("admin_state_up", "status", "external_gateway_info", "routes", "availability_zone_hints"),
        *("availability_zones", "distributed", "ha", "flavor_id"),
    },
    flags=frozenset({"admin_state_up", "distributed", "ha"}),
)
ROUTES = [
    Route(
        method="PUT",
        path="/v2.0/routers/{id}/add_router_interface",
        handler=partial(change_interface, Routers.add_interface),
        rule="add_router_interface",
        asks_of_things=True,
    ),
    Route(
        method="PUT",
        path="/v2.0/routers/{id}/remove_router_interface",
        handler=partial(change_interface, Routers.remove_interface),
        rule="remove_router_interface",
        asks_of_things=True,
        frees=True,
    ),
]
