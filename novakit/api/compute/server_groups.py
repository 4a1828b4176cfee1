"""/os-server-groups: servers that shall run together or apart."""

from typing import Any

from aiohttp import web

from novakit import errors
from novakit.api.compute.links import MAX_LIMIT, whole_number
from novakit.api.compute.policy import authorize
from novakit.api.compute.schemas import server_groups as schemas
from novakit.api.compute.validation import known_parameters, part
from novakit.api.service import Call, Route, reply
from novakit.compute.server_groups import Group

POLICY = "os_compute_api:os-server-groups:"


async def index(call: Call[Any]) -> web.Response:
    """List the project's groups, or everybody's for admins who ask."""
    authorize(call, f"{POLICY}index")
    known_parameters(call, "all_projects", "limit", "offset")
    everybody = "all_projects" in call.query and call.context.is_admin
    found = await call.service.server_groups.page(
        None if everybody else call.context.project_id or "",
        offset=whole_number(call, "offset", 0),
        limit=min(whole_number(call, "limit", MAX_LIMIT), MAX_LIMIT),
    )
    return reply({"server_groups": [_view(call, group) for group in found]})


async def show(call: Call[Any]) -> web.Response:
    """Show one group."""
    authorize(call, f"{POLICY}show")
    return reply({"server_group": _view(call, await call.service.server_groups.show(call.context, part(call, "id")))})


async def create(call: Call[Any]) -> web.Response:
    """Make a group."""
    authorize(call, f"{POLICY}create")
    asked = (await schemas.create.read(call))["server_group"]
    policy = asked["policy"] if "policy" in asked else asked["policies"][0]
    rules = {name: int(value) for name, value in asked.get("rules", {}).items()}
    if rules and policy != "anti-affinity":
        raise errors.BadRequest("Only anti-affinity policy supports rules.")
    made = await call.service.server_groups.create(call.context, asked["name"], policy, rules)
    return reply({"server_group": _view(call, made)})


async def delete(call: Call[Any]) -> web.Response:
    """Delete a group; its servers stay."""
    authorize(call, f"{POLICY}delete")
    await call.service.server_groups.delete(call.context, part(call, "id"))
    return reply(status=204)


def _view(call: Call[Any], group: Group) -> dict[str, Any]:
    row = group.row
    shown: dict[str, Any] = {"id": row["id"], "name": row["name"], "members": list(group.members)}
    if call.version >= (2, 64):
        shown |= {"policy": row["policy"], "rules": row["rules"]}
    else:
        shown |= {"policies": [row["policy"]], "metadata": {}}
    if call.version >= (2, 13):
        shown |= {"project_id": row["project_id"], "user_id": row["user_id"]}
    return shown


ROUTES = [
    Route(method="GET", path="/v2.1/os-server-groups", handler=index),
    Route(method="POST", path="/v2.1/os-server-groups", handler=create),
    Route(method="GET", path="/v2.1/os-server-groups/{id}", handler=show),
    Route(method="DELETE", path="/v2.1/os-server-groups/{id}", handler=delete),
]
