"""/servers/{id}/action: every verb that is asked for there, and what is no verb."""

from collections.abc import Awaitable, Callable, Mapping

import attrs
from aiohttp import web

from novakit import errors
from novakit.api import records
from novakit.api.bodies import ActionBody, Versions, wrapped
from novakit.api.compute.domain import Compute
from novakit.api.compute.schemas import not_served
from novakit.api.compute.schemas import server_actions as schemas
from novakit.api.compute.servers.rules import authorize_fields
from novakit.api.compute.servers.servers import server_of
from novakit.api.service import Call, Route, Version, reply
from novakit.compute.records import Server
from novakit.compute.rules import MEMBER, ActionRule
from novakit.conductor.verb import Action, AnyVerb
from novakit.conductor.verbs import ACTIONS

ActionHandler = Callable[[Call[Compute], Server, dict[str, object]], Awaitable[web.Response]]
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


@attrs.frozen
class PlainAction:
    """An action that is no verb, as no operation carries it out."""

    action: Action
    do: ActionHandler


PLAIN: Mapping[str, PlainAction] = {
    one.action.name: one
    for one in (
        PlainAction(
            Action(name="os-getConsoleOutput", rule=ActionRule("os_compute_api:os-console-output", MEMBER)),
            _console_output,
        ),
        PlainAction(
            Action(name="addSecurityGroup", rule=ActionRule("os_compute_api:os-security-groups:add", MEMBER)),
            _add_group,
        ),
        PlainAction(
            Action(name="removeSecurityGroup", rule=ActionRule("os_compute_api:os-security-groups:remove", MEMBER)),
            _remove_group,
        ),
    )
}
"""Their bodies are checked by what does them."""
EVERY: Mapping[str, Action] = {
    **not_served.ACTIONS,
    **{name: one.action for name, one in PLAIN.items()},
    **{name: verb.action for name, verb in ACTIONS.items() if verb.action},
}
"""All that may be asked of a server, by name, served or not."""
BODIES: Mapping[str, Versions] = {
    name: Versions([(since, wrapped(name, dict(value))) for since, value in action.bodies])
    for name, action in EVERY.items()
    if name not in PLAIN
}


_action = ActionBody('The body must hold exactly one action, such as {"os-stop": null}.')


async def act(call: Call[Compute]) -> web.Response:
    """Do one thing to a server."""
    name, body = await _action.read(call)
    action = EVERY.get(name)
    if action is None:
        raise errors.BadRequest(f"There is no such action: {name[:80]}")
    if not action.is_in(call.version):
        raise errors.NotFound("The resource could not be found in this API version.")
    server = await server_of(call, action.rule.name)
    if (plain := PLAIN.get(name)) is not None:
        return await plain.do(call, server, body)
    BODIES[name].check(call.version, body)
    if (verb := ACTIONS.get(name)) is not None:
        return await _begin(call, server, verb, action, body[name])
    raise errors.NotImplementedHere(f"The action {name} is not served by this cloud yet; the server is unchanged.")


async def _begin(call: Call[Compute], server: Server, verb: AnyVerb, action: Action, value: object) -> web.Response:
    """Have a verb done; its record says who may use each field of the value."""
    authorize_fields(call, action, value, {"project_id": server.project_id, "user_id": server.user_id})
    await call.service.requests.begin(call.context, server.id, verb, _given(action, call.version, value))
    return reply(status=202)


def _given(action: Action, version: Version, value: object) -> object:
    """Make the record of an action's value."""
    if action.value is None:
        return None
    is_said = value is not None and action.is_read(version)
    return records.read(action.value, value if is_said else {})


ROUTES = [
    Route(
        method="POST",
        path="/v2.1/servers/{id}/action",
        handler=act,
        frees=True,
        rules={name: action.rule.name for name, action in EVERY.items()},
    )
]
