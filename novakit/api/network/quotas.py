"""Quotas of projects."""

from collections.abc import Mapping
from typing import ClassVar

import attrs
from aiohttp import web

from novakit.api.network.bodies.attributes import Attribute, AttributesBody, bad
from novakit.api.network.bodies.kinds import boolean, integer
from novakit.api.network.handlers import NetworkCall
from novakit.api.service import Route, reply
from novakit.network.quotas import DEFAULTS


@attrs.frozen(kw_only=True)
class QuotaValues:
    """The limits that a project is to have."""

    KEEPS_THE_REST: ClassVar = "limits"

    check_limit: bool = False
    """Whether a limit below what is in use is refused."""
    limits: Mapping[str, int]


QUOTA = AttributesBody(
    kind=QuotaValues,
    attributes={
        **{name: Attribute(check=integer(-1, 2**31 - 1)) for name in DEFAULTS},
        "force": Attribute(check=boolean, kept=False),
        "check_limit": Attribute(check=boolean),
    },
    verb="update",
    what="quota",
)


def _project(call: NetworkCall) -> str:
    project = call.path["project_id"]
    if "\0" in project or len(project) > 64:
        raise bad("The path does not end with the id of a project.")
    call.authorize(call.rule, {"project_id": project, "tenant_id": project})
    return project


async def index(call: NetworkCall) -> web.Response:
    """List the projects that have quotas of their own."""
    every = await call.service.quotas.every()
    return reply({"quotas": [{"project_id": key, "tenant_id": key, **limits} for key, limits in every.items()]})


async def show(call: NetworkCall) -> web.Response:
    """Show how much a project may have."""
    return reply({"quota": await call.service.quotas.limits(_project(call))})


async def default(call: NetworkCall) -> web.Response:
    """Show what a project without quotas of its own may have."""
    _project(call)
    return reply({"quota": dict(DEFAULTS)})


async def details(call: NetworkCall) -> web.Response:
    """Show how much a project may have, and has."""
    uses = await call.service.quotas.uses(_project(call))
    shown = {name: {"limit": use.limit, "used": use.used, "reserved": 0} for name, use in uses.items()}
    return reply({"quota": shown})


async def update(call: NetworkCall) -> web.Response:
    """Set quotas of a project."""
    project = _project(call)
    wanted = QUOTA.record(QUOTA.thing(await call.json()), call)
    kept = await call.service.quotas.set_limits(project, wanted.limits, checked=wanted.check_limit)
    return reply({"quota": kept})


async def delete(call: NetworkCall) -> web.Response:
    """Give a project the default quotas again."""
    await call.service.quotas.forget(_project(call))
    return web.Response(status=204)


ROUTES = [
    Route(method="GET", path="/v2.0/quotas", handler=index, rule="novakit:quotas:list"),
    Route(method="GET", path="/v2.0/quotas/{project_id}", handler=show, rule="get_quota"),
    Route(method="GET", path="/v2.0/quotas/{project_id}/default", handler=default, rule="get_quota"),
    Route(method="GET", path="/v2.0/quotas/{project_id}/details", handler=details, rule="get_quota"),
    Route(method="GET", path="/v2.0/quotas/{project_id}/details.json", handler=details, rule="get_quota"),
    Route(method="PUT", path="/v2.0/quotas/{project_id}", handler=update, rule="update_quota"),
    Route(method="DELETE", path="/v2.0/quotas/{project_id}", handler=delete, rule="delete_quota"),
]
