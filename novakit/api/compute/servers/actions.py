"""/servers/{id}/action: power, locks, console log, security groups."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from novakit import errors
from novakit.api.compute.policies import SERVER_ACTIONS
from novakit.api.compute.schemas import server_actions as schemas
from novakit.api.compute.servers.servers import server_of
from novakit.api.compute.validation import Body, json_body
from novakit.api.service import Call, Route, Version, reply
from novakit.compute.records import Server
from novakit.compute.unshelving import Place

Action = Callable[[Call[Any], Server, dict[str, Any]], Awaitable[web.Response]]


async def _start(call: Call[Any], server: Server, body: dict[str, Any]) -> web.Response:
    await call.service.servers.act(call.context, server.id, "os-start")
    return reply(status=202)


async def _stop(call: Call[Any], server: Server, body: dict[str, Any]) -> web.Response:
    await call.service.servers.act(call.context, server.id, "os-stop")
    return reply(status=202)


async def _reboot(call: Call[Any], server: Server, body: dict[str, Any]) -> web.Response:
    hard = body["reboot"]["type"].upper() == "HARD"
    await call.service.servers.act(call.context, server.id, "reboot", hard=hard)
    return reply(status=202)


async def _shelve(call: Call[Any], server: Server, body: dict[str, Any]) -> web.Response:
    await call.service.servers.act(call.context, server.id, "shelve")
    return reply(status=202)


async def _shelve_offload(call: Call[Any], server: Server, body: dict[str, Any]) -> web.Response:
    await call.service.servers.act(call.context, server.id, "shelveOffload")
    return reply(status=202)


async def _unshelve(call: Call[Any], server: Server, body: dict[str, Any]) -> web.Response:
    asked = (body["unshelve"] if call.version >= (2, 77) else None) or {}
    zone, host = asked.get("availability_zone"), asked.get("host")
    if host is not None:
        call.authorize("os_compute_api:os-shelve:unshelve_to_host", {"project_id": server.project_id})
    if zone is not None and zone not in await call.service.hosts.zones():
        raise errors.BadRequest(f"The requested availability zone is not available: {zone}")
    place = Place(zone=zone, unpin="availability_zone" in asked and zone is None, host=host)
    await call.service.servers.unshelve(call.context, server.id, place)
    return reply(status=202)


async def _lock(call: Call[Any], server: Server, body: dict[str, Any]) -> web.Response:
    asked = body["lock"] if call.version >= (2, 73) else None
    await call.service.servers.lock(call.context, server.id, (asked or {}).get("locked_reason"))
    return reply(status=202)


async def _unlock(call: Call[Any], server: Server, body: dict[str, Any]) -> web.Response:
    await call.service.servers.unlock(call.context, server.id)
    return reply(status=202)


async def _force_delete(call: Call[Any], server: Server, body: dict[str, Any]) -> web.Response:
    await call.service.servers.delete(call.context, server.id)
    return reply(status=202)


async def _console_output(call: Call[Any], server: Server, body: dict[str, Any]) -> web.Response:
    asked = body["os-getConsoleOutput"].get("length")
    log = (await call.service.servers.console_log(call.context, server.id)).decode(errors="replace")
    lines = -1 if asked is None else int(asked)
    if lines >= 0:
        log = "\n".join(log.splitlines()[-lines:]) if lines else ""
    # Clients show this on a terminal: control characters of the guest must not reach it.
    return reply({"output": "".join(c for c in log if c in "\n\t" or c.isprintable())})


async def _add_group(call: Call[Any], server: Server, body: dict[str, Any]) -> web.Response:
    await call.service.servers.add_security_group(call.context, server.id, body["addSecurityGroup"]["name"])
    return reply(status=202)


async def _remove_group(call: Call[Any], server: Server, body: dict[str, Any]) -> web.Response:
    await call.service.servers.remove_security_group(call.context, server.id, body["removeSecurityGroup"]["name"])
    return reply(status=202)


ACTIONS: Mapping[str, tuple[str, Body, Action]] = {
    "os-start": ("os_compute_api:servers:start", schemas.start, _start),
    "os-stop": ("os_compute_api:servers:stop", schemas.stop, _stop),
    "reboot": ("os_compute_api:servers:reboot", schemas.reboot, _reboot),
    "shelve": ("os_compute_api:os-shelve:shelve", schemas.shelve, _shelve),
    "shelveOffload": ("os_compute_api:os-shelve:shelve_offload", schemas.shelve_offload, _shelve_offload),
    "unshelve": ("os_compute_api:os-shelve:unshelve", schemas.unshelve, _unshelve),
    "lock": ("os_compute_api:os-lock-server:lock", schemas.lock, _lock),
    "unlock": ("os_compute_api:os-lock-server:unlock", schemas.unlock, _unlock),
    "forceDelete": ("os_compute_api:os-deferred-delete:force", schemas.force_delete, _force_delete),
    "os-getConsoleOutput": ("os_compute_api:os-console-output", schemas.console_output, _console_output),
    "addSecurityGroup": ("os_compute_api:os-security-groups:add", schemas.add_security_group, _add_group),
    "removeSecurityGroup": ("os_compute_api:os-security-groups:remove", schemas.remove_security_group, _remove_group),
}
"""By name: the policy, the body, and what does it."""

_ANY_VERSION = (
    *("pause", "unpause", "suspend", "resume", "resize", "confirmResize", "revertResize", "rebuild"),
    *("rescue", "unrescue", "migrate", "os-migrateLive", "evacuate", "createImage"),
    *("createBackup", "changePassword", "os-resetState", "resetNetwork", "injectNetworkInfo", "restore"),
)

NOT_SERVED: Mapping[str, tuple[Version | None, Version | None]] = {
    **dict.fromkeys(_ANY_VERSION, (None, None)),
    "trigger_crash_dump": ((2, 17), None),
    **dict.fromkeys(
        ("os-getVNCConsole", "os-getSPICEConsole", "os-getSerialConsole", "os-getRDPConsole"), (None, (2, 5))
    ),
    **dict.fromkeys(("addFixedIp", "removeFixedIp", "addFloatingIp", "removeFloatingIp"), (None, (2, 43))),
}
"""Actions of the public API that this cloud does not carry out yet, with the first and last version that has them."""


async def act(call: Call[Any]) -> web.Response:
    """Do one thing to a server."""
    body = await json_body(call)
    if len(body) != 1:
        raise errors.BadRequest('The body must hold exactly one action, such as {"os-stop": null}.')
    name = next(iter(body))
    if name in ACTIONS:
        policy, schema, action = ACTIONS[name]
        server = await server_of(call, policy)
        schema.check(call.version, body)
        return await action(call, server, body)
    since, until = NOT_SERVED.get(name, ((9, 9), None))
    if (since and call.version < since) or (until and call.version > until):
        raise errors.BadRequest(f"There is no such action: {name[:80]}")
    await server_of(call, SERVER_ACTIONS[name])
    raise errors.NotImplementedHere(f"The action {name} is not served by this cloud yet; the server is as it was.")


ROUTES = [Route(method="POST", path="/v2.1/servers/{id}/action", handler=act, rules=SERVER_ACTIONS)]
