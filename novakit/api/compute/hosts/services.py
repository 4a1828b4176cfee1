"""/os-services: the compute service of every host; enable, disable, declare down."""

from aiohttp import web

from novakit import errors
from novakit.api.compute.domain import Compute
from novakit.api.compute.parameters import known_parameters, part
from novakit.api.compute.schemas import services as schemas
from novakit.api.compute.servers.views import precise
from novakit.api.documents import Document
from novakit.api.service import Call, Route, reply
from novakit.compute.hosts import Host

BINARY = "nova-compute"


async def index(call: Call[Compute]) -> web.Response:
    """List services, of one host or binary alone when asked."""
    known_parameters(call, "host", "binary")
    host, binary = call.query.get("host"), call.query.get("binary")
    found = await call.service.hosts.services() if binary in (None, "", BINARY) else []
    return reply({"services": [_view(call, each) for each in found if not host or each.name == host]})


async def update(call: Call[Compute]) -> web.Response:
    """Change one service by its id (2.53), or by the old verbs before that."""
    if call.version < (2, 53):
        return await _by_name(call, part(call, "id"))
    asked = await schemas.update.read(call)
    wanted = part(call, "id")
    host = next((each for each in await call.service.hosts.services() if each.service_id == wanted), None)
    if host is None:
        raise errors.NotFound(f"Service {wanted} not found.")
    values: dict[str, object] = {}
    if asked.status is not None:
        values = {"enabled": asked.status == "enabled", "disabled_reason": asked.disabled_reason}
    if asked.forced_down is not None:
        values["forced_down"] = asked.forced_down
    await call.service.hosts.decide(host.name, **values)
    return reply({"service": _view(call, await _host(call, host.name))})


async def delete(call: Call[Compute]) -> web.Response:
    """Refuse to remove a service."""
    raise errors.NotImplementedHere("Removing a compute host is not served yet; disable it instead.")


async def _by_name(call: Call[Compute], verb: str) -> web.Response:
    """Enable, disable or declare down by host and binary."""
    if verb == "force-down" and call.version >= (2, 11):
        down = await schemas.force_down.read(call)
        host, binary = down.host, down.binary
        values: dict[str, object] = {"forced_down": down.forced_down}
        shown: dict[str, object] = dict(values)
    elif verb in ("enable", "disable", "disable-log-reason"):
        form = schemas.with_reason if verb == "disable-log-reason" else schemas.by_name
        named = await form.read(call)
        host, binary = named.host, named.binary
        reason = named.disabled_reason if verb == "disable-log-reason" else None
        values = {"enabled": verb == "enable", "disabled_reason": reason}
        shown = {"status": "enabled" if verb == "enable" else "disabled"}
        if reason:
            shown["disabled_reason"] = reason
    else:
        raise errors.NotFound("Unknown action")
    if binary != BINARY:
        raise errors.BadRequest(f"Updating a {binary} service is not supported. Only {BINARY} services can be updated.")
    await call.service.hosts.decide(host, **values)
    return reply({"service": {"host": host, "binary": BINARY, **shown}})


async def _host(call: Call[Compute], name: str) -> Host:
    host: Host = next(each for each in await call.service.hosts.every() if each.name == name)
    return host


def _view(call: Call[Compute], host: Host) -> Document:
    shown: Document = {
        "binary": BINARY,
        "host": host.name,
        "id": host.service_id if call.version >= (2, 53) else host.number,
        "zone": host.zone,
        "status": "enabled" if host.enabled else "disabled",
        "state": "up" if host.up else "down",
        "updated_at": precise(host.updated_at),
        "disabled_reason": host.disabled_reason,
    }
    if call.version >= (2, 11):
        shown["forced_down"] = host.forced_down
    return shown


ROUTES = [
    Route(method="GET", path="/v2.1/os-services", handler=index, rule="os_compute_api:os-services:list"),
    Route(method="PUT", path="/v2.1/os-services/{id}", handler=update, rule="os_compute_api:os-services:update"),
    Route(method="DELETE", path="/v2.1/os-services/{id}", handler=delete, rule="os_compute_api:os-services:delete"),
]
