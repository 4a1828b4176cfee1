"""Quotas of projects."""

from typing import Any

from aiohttp import web

from novakit import errors
from novakit.api.network.attributes import Attribute, Attributes, read
from novakit.api.network.checks import boolean, integer
from novakit.api.network.handlers import NetworkCall
from novakit.api.service import Route, reply
from novakit.network import quotas
from novakit.store.engine import Session
from novakit.store.network import quotas as network_quotas
from novakit.store.network import rows
from novakit.store.network.hosts import Touched

ATTRIBUTES: Attributes = {
    **{name: Attribute(check=integer(-1, 2**31 - 1)) for name in quotas.DEFAULTS},
    "force": Attribute(check=boolean),
    "check_limit": Attribute(check=boolean),
}


def _project(call: NetworkCall) -> str:
    project = call.path["project_id"]
    if "\0" in project or len(project) > 64:
        raise errors.BadRequest("That is not the id of a project.", kind="HTTPBadRequest")
    call.authorize(call.rule, {"project_id": project, "tenant_id": project})
    return project


async def index(call: NetworkCall) -> web.Response:
    """List the projects that have quotas of their own."""
    async with call.service.store.read() as session:
        found = [
            {"project_id": project, "tenant_id": project, **await quotas.limits(session, project)}
            for project in await network_quotas.projects(session)
        ]
    return reply({"quotas": found})


async def show(call: NetworkCall) -> web.Response:
    """Show how much a project may have."""
    async with call.service.store.read() as session:
        return reply({"quota": await quotas.limits(session, _project(call))})


async def default(call: NetworkCall) -> web.Response:
    """Show what a project without quotas of its own may have."""
    _project(call)
    return reply({"quota": quotas.DEFAULTS})


async def details(call: NetworkCall) -> web.Response:
    """Show how much a project may have, and has."""
    async with call.service.store.read() as session:
        return reply({"quota": await quotas.details(session, _project(call))})


async def update(call: NetworkCall) -> web.Response:
    """Set quotas of a project."""
    project = _project(call)
    values = read(ATTRIBUTES, (await call.json()).get("quota"), call, new=False, what="quota")
    values.pop("force", None)
    checked = values.pop("check_limit", False)

    async def work(session: Session, _: Touched) -> dict[str, Any]:
        if checked:
            for name, told in (await quotas.details(session, project)).items():
                if 0 <= values.get(name, -1) < told["used"]:
                    raise errors.BadRequest(
                        f"Quota limit for {name} is less than the {told['used']} in use.", kind="QuotaLimitTooSmall"
                    )
        await network_quotas.set_limits(session, project, values)
        return await quotas.limits(session, project)

    return reply({"quota": await call.service.write(work)})


async def delete(call: NetworkCall) -> web.Response:
    """Give a project the default quotas again."""
    project = _project(call)
    await call.service.write(lambda session, _: rows.remove(session, network_quotas.network_quotas, project_id=project))
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
