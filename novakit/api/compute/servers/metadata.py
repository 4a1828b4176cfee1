"""/servers/{id}/metadata: text by key, for people and their tools."""

from collections.abc import Mapping

from aiohttp import web

from novakit import errors
from novakit.api.compute.domain import Compute
from novakit.api.compute.parameters import part
from novakit.api.compute.schemas import server_details as schemas
from novakit.api.compute.servers.servers import server_of
from novakit.api.service import Call, Route, reply
from novakit.compute.records import Server

MISSING = "Metadata item was not found"


async def index(call: Call[Compute]) -> web.Response:
    """Show all of it."""
    return reply({"metadata": dict((await server_of(call)).metadata)})


async def create(call: Call[Compute]) -> web.Response:
    """Add and replace items; the others stay."""
    server = await server_of(call)
    given = await schemas.metadata.read(call)
    return reply({"metadata": await _edit(call, server, given)})


async def replace(call: Call[Compute]) -> web.Response:
    """Replace all of it."""
    server = await server_of(call)
    given = await schemas.metadata.read(call)
    return reply({"metadata": await _edit(call, server, given, keep=False)})


async def show(call: Call[Compute]) -> web.Response:
    """Show one item."""
    server, key = await server_of(call), part(call, "key")
    if key not in server.metadata:
        raise errors.NotFound(MISSING)
    return reply({"meta": {key: server.metadata[key]}})


async def update(call: Call[Compute]) -> web.Response:
    """Set one item."""
    server, key = await server_of(call), part(call, "key")
    given = await schemas.meta.read(call)
    if key not in given:
        raise errors.BadRequest("Request body and URI mismatch")
    await _edit(call, server, given)
    return reply({"meta": given})


async def delete(call: Call[Compute]) -> web.Response:
    """Take one item away."""
    server, key = await server_of(call), part(call, "key")

    def without(known: Mapping[str, str]) -> dict[str, str]:
        if key not in known:
            raise errors.NotFound(MISSING)
        return {name: value for name, value in known.items() if name != key}

    await call.service.servers.edit(call.context, server.id, "metadata", without)
    return reply(status=204)


async def _edit(call: Call[Compute], server: Server, given: Mapping[str, str], *, keep: bool = True) -> dict[str, str]:
    most = (await call.service.quotas.limits(server.project_id))["metadata_items"]

    def change(known: Mapping[str, str]) -> dict[str, str]:
        new = {**(known if keep else {}), **given}
        if -1 < most < len(new):
            raise errors.Forbidden(f"Maximum number of metadata items exceeds {most}")
        return new

    changed: dict[str, str] = await call.service.servers.edit(call.context, server.id, "metadata", change)
    return changed


ROUTES = [
    Route(method="GET", path="/v2.1/servers/{id}/metadata", handler=index, rule="os_compute_api:server-metadata:index"),
    Route(
        method="POST", path="/v2.1/servers/{id}/metadata", handler=create, rule="os_compute_api:server-metadata:create"
    ),
    Route(
        method="PUT",
        path="/v2.1/servers/{id}/metadata",
        handler=replace,
        rule="os_compute_api:server-metadata:update_all",
    ),
    Route(
        method="GET", path="/v2.1/servers/{id}/metadata/{key}", handler=show, rule="os_compute_api:server-metadata:show"
    ),
    Route(
        method="PUT",
        path="/v2.1/servers/{id}/metadata/{key}",
        handler=update,
        rule="os_compute_api:server-metadata:update",
    ),
    Route(
        method="DELETE",
        path="/v2.1/servers/{id}/metadata/{key}",
        handler=delete,
        rule="os_compute_api:server-metadata:delete",
    ),
]
