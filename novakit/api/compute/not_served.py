"""Resources of the public API that this cloud does not have yet: empty lists, and refusals that say so."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from novakit import errors
from novakit.api.bodies import Versions
from novakit.api.compute.domain import Compute
from novakit.api.compute.schemas import not_served as schemas
from novakit.api.compute.servers.servers import server_of
from novakit.api.service import Call, Route, reply

RefusingHandler = Callable[[Call[Compute]], Awaitable[web.Response]]


def nothing_of_server(key: str) -> RefusingHandler:
    """Answer an empty list for a server that the caller may see."""

    async def handler(call: Call[Compute]) -> web.Response:
        await server_of(call)
        return reply({key: []})

    return handler


def refused_of_server(what: str, body: Versions) -> RefusingHandler:
    """Refuse something about a server that the caller may change."""

    async def handler(call: Call[Compute]) -> web.Response:
        await server_of(call)
        await body.require(call)
        raise errors.NotImplementedHere(f"{what} is not served by this cloud yet; the server is unchanged.")

    return handler


async def migrations(call: Call[Compute]) -> web.Response:
    """List no migrations: nothing moves servers yet."""
    return reply({"migrations": []})


async def extensions(call: Call[Compute]) -> web.Response:
    """List no extensions: all that is served belongs to the API itself."""
    return reply({"extensions": []})


SERVER = "/v2.1/servers/{id}"
ROUTES = [
    Route(method="GET", path="/v2.1/extensions", handler=extensions, rule="os_compute_api:extensions"),
    Route(method="GET", path="/v2.1/os-migrations", handler=migrations, rule="os_compute_api:os-migrations:index"),
    Route(
        method="GET",
        path=f"{SERVER}/migrations",
        handler=nothing_of_server("migrations"),
        rule="os_compute_api:servers:migrations:index",
        since=(2, 23),
    ),
    Route(
        method="GET",
        path=f"{SERVER}/os-volume_attachments",
        handler=nothing_of_server("volumeAttachments"),
        rule="os_compute_api:os-volumes-attachments:index",
    ),
    Route(
        method="POST",
        path=f"{SERVER}/os-volume_attachments",
        handler=refused_of_server("Attaching volumes", schemas.attach_volume),
        rule="os_compute_api:os-volumes-attachments:create",
    ),
    Route(
        method="POST",
        path=f"{SERVER}/remote-consoles",
        handler=refused_of_server("A remote console", schemas.remote_console),
        rule="os_compute_api:os-remote-consoles",
        since=(2, 6),
    ),
]
