"""What the service tells of itself: versions, extensions, zones."""

from aiohttp import web

from novakit.api.network.handlers import RESOURCES, NetworkCall
from novakit.api.service import Route, reply
from novakit.network.refusals import not_found

EXTENSIONS = {
    "allowed-address-pairs": "Allowed Address Pairs",
    "availability_zone": "Availability Zone",
    "binding": "Port Binding",
    "external-net": "Neutron external network",
    "extraroute": "Neutron Extra Route",
    "ext-gw-mode": "Neutron L3 Configurable external gateway mode",
    "filter-validation": "Filter parameters validation",
    "fip-port-details": "Floating IP Port Details Extension",
    "net-mtu": "Network MTU",
    "net-mtu-writable": "Network MTU (writable)",
    "network_availability_zone": "Network Availability Zone",
    "pagination": "Pagination support",
    "port-security": "Port Security",
    "project-id": "project_id field enabled",
    "provider": "Provider Network",
    "quota_details": "Quota details management support",
    "quotas": "Quota management support",
    "router": "Neutron L3 Router",
    "router_availability_zone": "Router Availability Zone",
    "security-group": "security-group",
    "sorting": "Sorting support",
    "standard-attr-description": "standard-attr-description",
    "standard-attr-revisions": "Resource revision numbers",
    "standard-attr-tag": "Tag support for resources with standard attribute",
    "standard-attr-timestamp": "Resource timestamps",
}


def _extension(alias: str) -> dict[str, object]:
    name = EXTENSIONS[alias]
    return {"alias": alias, "name": name, "description": name, "updated": "2018-03-01T10:00:00-00:00", "links": []}


async def extensions(call: NetworkCall) -> web.Response:
    """List the extensions of the public API that this service has."""
    return reply({"extensions": [_extension(alias) for alias in EXTENSIONS]})


async def extension(call: NetworkCall) -> web.Response:
    """Show one extension. Raises ExtensionNotFound for one that is not offered."""
    if call.path["alias"] not in EXTENSIONS:
        raise not_found("extension", call.path["alias"])
    return reply({"extension": _extension(call.path["alias"])})


async def zones(call: NetworkCall) -> web.Response:
    """List the availability zones of networks and routers."""
    shown = [{"name": "nova", "resource": kind, "state": "available"} for kind in ("network", "router")]
    return reply({"availability_zones": shown})


def _base(request: web.Request) -> str:
    return f"{request.url.origin()}{request.path.split('/v2.0')[0].rstrip('/')}/v2.0/"


async def versions(call: NetworkCall) -> web.Response:
    """List the versions of the API."""
    links = [{"rel": "self", "href": _base(call.request)}]
    return reply({"versions": [{"id": "v2.0", "status": "CURRENT", "links": links}]})


async def collections(call: NetworkCall) -> web.Response:
    """List the collections of version 2.0."""
    found = [
        {
            "name": resource.one,
            "collection": resource.many,
            "links": [{"rel": "self", "href": _base(call.request) + resource.path}],
        }
        for resource in RESOURCES
    ]
    return reply({"resources": found})


ROUTES = [
    Route(method="GET", path="", handler=versions, public=True),
    Route(method="GET", path="/", handler=versions, public=True),
    Route(method="GET", path="/v2.0", handler=collections, public=True),
    Route(method="GET", path="/v2.0/", handler=collections, public=True),
    Route(method="GET", path="/v2.0/extensions", handler=extensions, rule="novakit:extensions"),
    Route(method="GET", path="/v2.0/extensions/{alias}", handler=extension, rule="novakit:extensions"),
    Route(method="GET", path="/v2.0/availability_zones", handler=zones, rule="get_availability_zone"),
]
