"""/os-server-groups: servers that shall run together or apart."""

from aiohttp import web

from novakit.api.compute.domain import Compute
from novakit.api.compute.links import MAX_LIMIT
from novakit.api.compute.parameters import known_parameters, part
from novakit.api.compute.schemas import server_groups as schemas
from novakit.api.documents import Document
from novakit.api.queries import number
from novakit.api.service import Call, Route, reply
from novakit.compute.server_groups import ServerGroup


async def index(call: Call[Compute]) -> web.Response:
    """List the project's groups, or everybody's for admins who ask."""
    known_parameters(call, "all_projects", "limit", "offset")
    everybody = "all_projects" in call.query and call.allows("os_compute_api:os-server-groups:index:all_projects")
    found = await call.service.server_groups.page(
        None if everybody else call.context.project_id or "",
        offset=number(call.query, "offset", 0),
        limit=min(number(call.query, "limit", MAX_LIMIT), MAX_LIMIT),
    )
    return reply({"server_groups": [_view(call, group) for group in found]})


async def show(call: Call[Compute]) -> web.Response:
    """Show one group."""
    return reply({"server_group": _view(call, await call.service.server_groups.show(call.context, part(call, "id")))})


async def create(call: Call[Compute]) -> web.Response:
    """Make a group."""
    new = await schemas.create.read(call)
    policy = new.policies[0] if new.policy is None else new.policy
    made = await call.service.server_groups.create(call.context, new.name, policy, new.rules)
    return reply({"server_group": _view(call, made)})


async def delete(call: Call[Compute]) -> web.Response:
    """Delete a group; its servers stay."""
    await call.service.server_groups.delete(call.context, part(call, "id"))
    return reply(status=204)


def _view(call: Call[Compute], group: ServerGroup) -> Document:
    row = group.row
    shown: Document = {"id": row["id"], "name": row["name"], "members": list(group.members)}
    if call.version >= (2, 64):
        shown |= {"policy": row["policy"], "rules": row["rules"]}
    else:
        shown |= {"policies": [row["policy"]], "metadata": {}}
    if call.version >= (2, 13):
        shown |= {"project_id": row["project_id"], "user_id": row["user_id"]}
    return shown


ROUTES = [
    Route(method="GET", path="/v2.1/os-server-groups", handler=index, rule="os_compute_api:os-server-groups:index"),
    Route(method="POST", path="/v2.1/os-server-groups", handler=create, rule="os_compute_api:os-server-groups:create"),
    Route(method="GET", path="/v2.1/os-server-groups/{id}", handler=show, rule="os_compute_api:os-server-groups:show"),
    Route(
        method="DELETE",
        path="/v2.1/os-server-groups/{id}",
        handler=delete,
        rule="os_compute_api:os-server-groups:delete",
    ),
]
