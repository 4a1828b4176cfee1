"""/servers: create, list, show, update and delete."""

from collections.abc import Iterable, Sequence

from aiohttp import web

from novakit import errors
from novakit.api.compute.domain import Compute
from novakit.api.compute.links import links, next_page
from novakit.api.compute.parameters import part
from novakit.api.compute.schemas import servers as schemas
from novakit.api.compute.servers import views
from novakit.api.compute.servers.creation import changes, creation
from novakit.api.compute.servers.filters import Listing, listing
from novakit.api.compute.servers.rules import authorize_fields, route_of
from novakit.api.documents import Document
from novakit.api.pieces import reply_in_pieces
from novakit.api.service import Call, Route, reply
from novakit.compute.hosts import UNKNOWN
from novakit.compute.records import Server
from novakit.conductor.verbs.create import CREATE
from novakit.conductor.verbs.delete import DELETE
from novakit.front.sharing import Cost
from novakit.left_out import either


async def create(call: Call[Compute]) -> web.Response:
    """Ask for one server or several."""
    body = await schemas.create.read(call)
    authorize_fields(call, CREATE.route, body.server)
    spec = await creation(call, body)
    try:
        made = await call.service.creation.create(call.context, spec)
    except errors.NotFound as error:
        raise errors.BadRequest(error.message, kind=error.kind) from error
    if body.server.return_reservation_id:
        return reply({"reservation_id": made[0].reservation_id}, status=202)
    href = links(call, "servers", made[0].id)[0]["href"]
    shown = views.created(call, made[0], either(body.server.security_groups, [{"name": "default"}]))
    if call.service.shows_passwords:
        shown["adminPass"] = spec.admin_pass
    return reply({"server": shown}, status=202, headers={"Location": href})


async def index(call: Call[Compute]) -> web.Response:
    """List servers by id and name."""
    wanted = listing(call, "index")
    if wanted is None or wanted.wanted.limit == 0:
        return _list(call, "servers", [], [])
    found = await call.service.servers.names(wanted.wanted, wanted.addresses)
    shown = (views.brief(call, server_id, name) for server_id, name in found)
    return _list(call, "servers", shown, [server_id for server_id, _ in found])


async def detail(call: Call[Compute]) -> web.Response:
    """List servers with all they say."""
    wanted = listing(call, "detail")
    found = await _page(call, wanted)
    ports = await call.service.servers.addresses(server.id for server in found)
    statuses = await _host_statuses(call, found)
    full = views.ServerViews(call).full
    shown = (full(server, ports.get(server.id, ()), statuses.get(server.id), detail=True) for server in found)
    return _list(call, "servers/detail", shown, [server.id for server in found])


async def show(call: Call[Compute]) -> web.Response:
    """Show one server."""
    server = await server_of(call)
    return reply({"server": await _full(call, server)})


async def update(call: Call[Compute]) -> web.Response:
    """Rename or describe a server, or change its hostname."""
    server = await server_of(call)
    changed = changes(await schemas.update.read(call))
    if changed:
        server = await call.service.servers.update(call.context, server.id, **changed)
    if call.version >= (2, 75):
        return reply({"server": await _full(call, server)})
    ports = await call.service.servers.addresses([server.id])
    return reply({"server": views.ServerViews(call).updated(server, ports.get(server.id, ()))})


async def delete(call: Call[Compute]) -> web.Response:
    """Delete a server, whatever else is happening to it."""
    server = await server_of(call)
    await call.service.requests.begin(call.context, server.id, DELETE)
    return reply(status=204)


async def server_of(call: Call[Compute], rule: str | None = None) -> Server:
    """Fetch the server in the path for somebody who may do this to it: what the route's rule says, or `rule`.

    Raises NotFound or Forbidden.
    """
    if rule is not None:
        # As the rule of a route is: before the server is looked for, so that a refusal tells nothing of it.
        call.authorize(rule)
    server: Server = await call.service.servers.show(call.context, part(call, "id"))
    call.authorize(rule or call.rule, {"project_id": server.project_id, "user_id": server.user_id})
    return server


async def _full(call: Call[Compute], server: Server) -> Document:
    ports = await call.service.servers.addresses([server.id])
    statuses = await _host_statuses(call, [server])
    return views.ServerViews(call).full(server, ports.get(server.id, ()), statuses.get(server.id), detail=False)


async def _host_statuses(call: Call[Compute], servers: Sequence[Server]) -> dict[str, str]:
    """Return how the host of each server is, to those who may know; to some only that nobody knows."""
    if call.version < (2, 16):
        return {}
    every = call.allows("os_compute_api:servers:show:host_status")
    if not every and not call.allows("os_compute_api:servers:show:host_status:unknown-only"):
        return {}
    known = await call.service.hosts.statuses(server.host for server in servers if server.host)
    told = {server.id: known.get(server.host or "", "") for server in servers}
    return {key: status for key, status in told.items() if every or status == UNKNOWN}


async def _page(call: Call[Compute], asked: Listing | None) -> Sequence[Server]:
    if asked is None or asked.wanted.limit == 0:
        return []
    told = call.allows("os_compute_api:os-extended-server-attributes")
    found: Sequence[Server] = await call.service.servers.list(asked.wanted, asked.addresses, user_data=told)
    return found


def _list(call: Call[Compute], place: str, shown: Iterable[Document], ids: Sequence[str]) -> web.Response:
    more = next_page(call, place, ids)
    return reply_in_pieces("servers", shown, {"servers_links": more} if more else {})


ROUTES = [
    route_of(CREATE, create),
    Route(method="GET", path="/v2.1/servers", handler=index, rule="os_compute_api:servers:index"),
    Route(
        method="GET", path="/v2.1/servers/detail", handler=detail, rule="os_compute_api:servers:detail", cost=Cost.HEAVY
    ),
    Route(method="GET", path="/v2.1/servers/{id}", handler=show, rule="os_compute_api:servers:show"),
    Route(method="PUT", path="/v2.1/servers/{id}", handler=update, rule="os_compute_api:servers:update"),
    route_of(DELETE, delete),
]
