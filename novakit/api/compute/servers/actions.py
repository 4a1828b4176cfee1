"""/servers/{id}/action: every verb that is asked for there, and what is no verb."""

from collections.abc import Awaitable, Callable, Iterable, Mapping

from aiohttp import web

from novakit import errors
from novakit.api import records
from novakit.api.bodies import Versions, json_body, wrapped
from novakit.api.compute.domain import Compute
from novakit.api.compute.policies import SERVER_ACTIONS
from novakit.api.compute.schemas import not_served
from novakit.api.compute.schemas import server_actions as schemas
from novakit.api.compute.servers.rules import authorize_fields
from novakit.api.compute.servers.servers import server_of
from novakit.api.service import Call, Route, Version, reply
from novakit.compute.records import Server
from novakit.conductor import verb as verbs
from novakit.conductor.verbs import ACTIONS

Handler = Callable[[Call[Compute], Server, dict[str, object]], Awaitable[web.Response]]
"""Is given the whole body, of which nothing is checked yet."""


async def _console_output(call: Call[Compute], server: Server, body: dict[str, object]) -> web.Response:
    wanted = schemas.console_output.record(call.version, body)
    log = (await call.service.servers.console_log(call.context, server.id)).decode(errors="replace")
    lines = -1 if wanted.length is None else wanted.length
    if lines >= 0:
        log = "\n".join(log.splitlines()[-lines:]) if lines else ""
    # Clients show this on a terminal: control characters of the guest must not reach it.
    return reply({"output": "".join(c for c in log if c in "\n\t" or c.isprintable())})


async def _add_group(call: Call[Compute], server: Server, body: dict[str, object]) -> web.Response:
    group = schemas.add_security_group.record(call.version, body)
    await call.service.servers.add_security_group(call.context, server.id, group.name)
    return reply(status=202)


async def _remove_group(call: Call[Compute], server: Server, body: dict[str, object]) -> web.Response:
    group = schemas.remove_security_group.record(call.version, body)
    await call.service.servers.remove_security_group(call.context, server.id, group.name)
    return reply(status=202)


READS: Mapping[str, tuple[str, Handler]] = {
    "os-getConsoleOutput": ("os_compute_api:os-console-output", _console_output),
    "addSecurityGroup": ("os_compute_api:os-security-groups:add", _add_group),
    "removeSecurityGroup": ("os_compute_api:os-security-groups:remove", _remove_group),
}
"""Actions that are no verbs, as no operation carries them out: the policy, and what does it."""
BODIES: Mapping[str, Versions] = {
    name: Versions([(since, wrapped(name, dict(value))) for since, value in verb.action.bodies])
    for name, verb in ACTIONS.items()
    if verb.action
}


async def act(call: Call[Compute]) -> web.Response:
    """Do one thing to a server."""
    body = await json_body(call)
    if len(body) != 1:
        raise errors.BadRequest('The body must hold exactly one action, such as {"os-stop": null}.')
    name = next(iter(body))
    verb = ACTIONS.get(name)
    if verb is not None and verb.action is not None and _has(call.version, verb.action.since, verb.action.until):
        return await _begin(call, verb, verb.action, body)
    if name in READS:
        policy, action = READS[name]
        return await action(call, await server_of(call, policy), body)
    other = not_served.ACTIONS.get(name)
    if verb is not None or other is None or not _has(call.version, other.since, other.until):
        raise errors.BadRequest(f"There is no such action: {name[:80]}")
    await server_of(call, SERVER_ACTIONS[name])
    other.body.check(call.version, body)
    raise errors.NotImplementedHere(f"The action {name} is not served by this cloud yet; the server is unchanged.")


def _has(version: Version, since: Version | None, until: Version | None) -> bool:
    return (since is None or version >= since) and (until is None or version <= until)


async def _begin(
    call: Call[Compute], verb: verbs.AnyVerb, action: verbs.Action, body: dict[str, object]
) -> web.Response:
    """Have a verb done; its record says who may and what the body must be."""
    server = await server_of(call, action.rule)
    BODIES[action.name].check(call.version, body)
    authorize_fields(call, action, body[action.name], {"project_id": server.project_id, "user_id": server.user_id})
    await call.service.requests.begin(call.context, server.id, verb, _given(action, call.version, body[action.name]))
    return reply(status=202)


def _given(action: verbs.Action, version: Version, value: object) -> object:
    """Make the record of an action's value."""
    if action.value is None:
        return None
    is_said = value is not None and action.is_read(version)
    return records.read(action.value, value if is_said else {})


def require_rules(actions: Iterable[verbs.Action]) -> None:
    """Raise LookupError for an action whose rule the policy does not give to it: else whoever asks for it finds out."""
    for action in actions:
        if SERVER_ACTIONS.get(action.name) != action.rule:
            raise LookupError(
                f"The action {action.name} is allowed by {action.rule}, and novakit/api/compute/policies.py has no row "
                f"of that name with POST /servers/{{id}}/action ({action.name}): add one."
            )


require_rules(verb.action for verb in ACTIONS.values() if verb.action)
ROUTES = [Route(method="POST", path="/v2.1/servers/{id}/action", handler=act, frees=True, rules=SERVER_ACTIONS)]
