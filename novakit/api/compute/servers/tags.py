"""/servers/{id}/tags: short words to find servers by (2.26)."""

from collections.abc import Sequence

from aiohttp import web

from novakit import errors
from novakit.api.bodies import Schema, SchemaFault
from novakit.api.compute.domain import Compute
from novakit.api.compute.links import root_url
from novakit.api.compute.parameters import part
from novakit.api.compute.schemas import server_details as schemas
from novakit.api.compute.schemas import types
from novakit.api.compute.servers.servers import server_of
from novakit.api.service import Call, Route, reply

MAX_TAGS = 50
"""Tags of a server, as the compute API's reference says."""
SINCE = (2, 26)
"""The version from which servers have tags."""


def _words(fault: SchemaFault) -> errors.BadRequest:
    return errors.BadRequest(
        f"Tag '{str(fault.value)[:80]}' is invalid. It must be a non empty string without characters '/' and ',', at "
        f"most {types.tag['maxLength']} characters long."
    )


_tag = Schema(types.tag, _words)


async def index(call: Call[Compute]) -> web.Response:
    """List the tags."""
    return reply({"tags": list((await server_of(call)).tags)})


async def replace(call: Call[Compute]) -> web.Response:
    """Replace all tags."""
    server = await server_of(call)
    given = list(dict.fromkeys(await schemas.tags.read(call)))
    await call.service.servers.edit(call.context, server.id, "tags", lambda known: given)
    return reply({"tags": given})


async def clear(call: Call[Compute]) -> web.Response:
    """Take all tags away."""
    server = await server_of(call)
    await call.service.servers.edit(call.context, server.id, "tags", lambda known: [])
    return reply(status=204)


async def check(call: Call[Compute]) -> web.Response:
    """Return whether the server has a tag: 204 or 404."""
    server, tag = await server_of(call), part(call, "tag")
    if tag not in server.tags:
        raise _missing(server.id, tag)
    return reply(status=204)


async def add(call: Call[Compute]) -> web.Response:
    """Add one tag: 201 when it is new, else 204."""
    server, tag = await server_of(call), part(call, "tag")
    _tag.check(tag)
    new = False

    def change(known: Sequence[str]) -> list[str]:
        nonlocal new
        new = tag not in known
        if new and len(known) >= MAX_TAGS:
            raise errors.BadRequest(f"The number of tags exceeded the per-server limit {MAX_TAGS}")
        return [*known, tag] if new else list(known)

    await call.service.servers.edit(call.context, server.id, "tags", change)
    if not new:
        return reply(status=204)
    place = call.request.rel_url.raw_path.partition("/v2.1")[2]
    return reply(status=201, headers={"Location": f"{root_url(call)}/v2.1{place}"})


async def remove(call: Call[Compute]) -> web.Response:
    """Take one tag away."""
    server, tag = await server_of(call), part(call, "tag")

    def change(known: Sequence[str]) -> list[str]:
        if tag not in known:
            raise _missing(server.id, tag)
        return [each for each in known if each != tag]

    await call.service.servers.edit(call.context, server.id, "tags", change)
    return reply(status=204)


def _missing(server_id: str, tag: str) -> errors.NotFound:
    return errors.NotFound(f"Server {server_id} has no tag '{tag}'")


ROUTES = [
    Route(
        method="GET",
        path="/v2.1/servers/{id}/tags",
        handler=index,
        since=SINCE,
        rule="os_compute_api:os-server-tags:index",
    ),
    Route(
        method="PUT",
        path="/v2.1/servers/{id}/tags",
        handler=replace,
        since=SINCE,
        rule="os_compute_api:os-server-tags:update_all",
    ),
    Route(
        method="DELETE",
        path="/v2.1/servers/{id}/tags",
        handler=clear,
        since=SINCE,
        rule="os_compute_api:os-server-tags:delete_all",
    ),
    Route(
        method="GET",
        path="/v2.1/servers/{id}/tags/{tag}",
        handler=check,
        since=SINCE,
        rule="os_compute_api:os-server-tags:show",
    ),
    Route(
        method="PUT",
        path="/v2.1/servers/{id}/tags/{tag}",
        handler=add,
        since=SINCE,
        rule="os_compute_api:os-server-tags:update",
    ),
    Route(
        method="DELETE",
        path="/v2.1/servers/{id}/tags/{tag}",
        handler=remove,
        since=SINCE,
        rule="os_compute_api:os-server-tags:delete",
    ),
]
