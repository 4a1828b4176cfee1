"""/servers/{id}/os-instance-actions: what was done to a server, by whom, and how each step went."""

import hashlib
from collections.abc import Sequence

from aiohttp import web

from novakit import errors
from novakit.api.compute.domain import Compute
from novakit.api.compute.links import limit_and_marker, next_page
from novakit.api.compute.parameters import known_parameters, part
from novakit.api.compute.servers.views import precise
from novakit.api.documents import Document
from novakit.api.queries import moment
from novakit.api.service import Call, Route, reply
from novakit.compute.records import ActionEntry, Event


async def index(call: Call[Compute]) -> web.Response:
    """List what was done, the latest first."""
    found = await _actions(call)
    if call.version < (2, 58):
        return reply({"instanceActions": [_view(call, action) for action in found]})
    known_parameters(call, "limit", "marker", "changes-since", *(["changes-before"] if call.version >= (2, 66) else []))
    found = _between(call, found)
    limit, marker = limit_and_marker(call)
    if marker is not None:
        places = [at for at, action in enumerate(found) if action.request_id == marker]
        if not places:
            raise errors.BadRequest(f"marker [{marker[:80]}] not found")
        found = found[places[0] + 1 :]
    page = found[:limit]
    body: Document = {"instanceActions": [_view(call, action) for action in page]}
    place = f"servers/{part(call, 'id')}/os-instance-actions"
    if len(found) > len(page) and (more := next_page(call, place, [action.request_id for action in page])):
        body["links"] = more
    return reply(body)


async def show(call: Call[Compute]) -> web.Response:
    """Show one action with its steps."""
    wanted = part(call, "request")
    for action in await _actions(call):
        if action.request_id == wanted:
            shown = _view(call, action)
            operator = call.allows("os_compute_api:os-instance-actions:events")
            if operator or call.version >= (2, 51):
                shown["events"] = [_event(call, action, event, operator) for event in action.events]
            return reply({"instanceAction": shown})
    raise errors.NotFound(f"Action {wanted} not found")


async def _actions(call: Call[Compute]) -> list[ActionEntry]:
    """Fetch the actions; from 2.21 on those of deleted servers too."""
    server_id = part(call, "id")
    if call.version < (2, 21):
        await call.service.servers.show(call.context, server_id)
    return list(await call.service.servers.actions(call.context, server_id))


def _between(call: Call[Compute], found: Sequence[ActionEntry]) -> list[ActionEntry]:
    since, before = call.query.get("changes-since"), call.query.get("changes-before")
    start = moment(since, "Invalid changes-since.") if since is not None else None
    end = moment(before, "Invalid changes-before.") if before is not None and call.version >= (2, 66) else None
    if start and end and end < start:
        raise errors.BadRequest("The value of changes-since must be less than or equal to changes-before.")
    return [
        action
        for action in found
        if (start is None or action.updated_at >= start) and (end is None or action.updated_at <= end)
    ]


def _view(call: Call[Compute], action: ActionEntry) -> Document:
    shown: Document = {
        "action": action.action,
        "instance_uuid": action.server_id,
        "request_id": action.request_id,
        "user_id": action.user_id,
        "project_id": action.project_id,
        "start_time": precise(action.started_at),
        "message": action.message,
    }
    if call.version >= (2, 58):
        shown["updated_at"] = precise(action.updated_at)
    return shown


def _event(call: Call[Compute], action: ActionEntry, event: Event, operator: bool) -> Document:
    shown: Document = {
        "event": event.name,
        "start_time": precise(event.started_at),
        "finish_time": precise(event.finished_at),
        "result": event.result,
    }
    if operator:
        shown["traceback"] = None
    if call.version >= (2, 62):
        host = event.host
        shown["hostId"] = hashlib.sha224((action.project_id + host).encode()).hexdigest() if host else ""
        if operator:
            shown["host"] = host
    if call.version >= (2, 84) and call.allows("os_compute_api:os-instance-actions:events:details"):
        shown["details"] = event.details
    return shown


ROUTES = [
    Route(
        method="GET",
        path="/v2.1/servers/{id}/os-instance-actions",
        handler=index,
        rule="os_compute_api:os-instance-actions:list",
    ),
    Route(
        method="GET",
        path="/v2.1/servers/{id}/os-instance-actions/{request}",
        handler=show,
        rule="os_compute_api:os-instance-actions:show",
    ),
]
