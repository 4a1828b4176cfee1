"""`/v1/guests`: guests on hosts that no server of this database is; for operators only."""

import attrs
from aiohttp import web

from novakit import errors
from novakit.api import ids
from novakit.api.bodies import Body
from novakit.api.novakit.domain import Additions, conductor_asked
from novakit.api.queries import refuse_unknown
from novakit.api.service import Call, Route, reply
from novakit.calls.conductor import Settled
from novakit_hookspecs.plain import to_plain


@attrs.frozen(kw_only=True)
class GuestAdoption:
    """How a guest is to become a server."""

    host: str | None = None
    """Where it is; None where only one host has it."""
    project: str | None = None
    """Whose it becomes; None for whose it was."""
    ports: bool = True
    """Whether it keeps its ports."""


ADOPT = Body(
    GuestAdoption,
    [
        (
            (0, 0),
            {
                "type": "object",
                "properties": {
                    "host": {"type": "string", "maxLength": 255},
                    "project": {"type": "string", "minLength": 1, "maxLength": 255},
                    "ports": {"type": "boolean"},
                },
                "additionalProperties": False,
            },
        )
    ],
)


async def list_guests(call: Call[Additions]) -> web.Response:
    """List the guests that no server is."""
    with conductor_asked("list the guests without a server"):
        found = await call.service.conductor.strangers()
    told = {"guests": to_plain(found.guests), "refused_hosts": to_plain(found.hosts), "full": list(found.full)}
    return reply(told)


async def adopt(call: Call[Additions]) -> web.Response:
    """Make a server of one."""
    asked = await ADOPT.read(call)
    with conductor_asked("adopt the guest"):
        settled = await call.service.conductor.adopt_guest(
            guest=call.path["id"],
            host=asked.host,
            project=await call.service.reports.project_called(ids.kept(asked.project)) if asked.project else None,
            user=call.context.user_id,
            request=call.context.request_id,
            ports=asked.ports,
        )
    return _answer(call, settled, "adopted")


async def remove(call: Call[Additions]) -> web.Response:
    """Destroy one."""
    refuse_unknown(call.query, ("host",))
    with conductor_asked("remove the guest"):
        settled = await call.service.conductor.remove_guest(
            guest=call.path["id"], host=call.query.get("host"), request=call.context.request_id
        )
    return _answer(call, settled, "removed")


def _answer(call: Call[Additions], settled: Settled, done: str) -> web.Response:
    guest = call.path["id"]
    if not settled.found:
        raise errors.NotFound(f"No host has a guest {guest[:80]!r} that lacks a server; see `novakit guest list`.")
    if settled.why:
        raise errors.Conflict(f"The guest {guest} was not {done}. {settled.why}")
    return reply({"guest": {"id": guest, "outcome": done, "left": list(settled.left)}})


ROUTES = (
    Route(method="GET", path="/v1/guests", handler=list_guests, rule="novakit:guests:list"),
    Route(method="POST", path="/v1/guests/{id}/adopt", handler=adopt, rule="novakit:guests:adopt"),
    Route(method="DELETE", path="/v1/guests/{id}", handler=remove, rule="novakit:guests:remove"),
)
