"""`/v1/strangers`: what hosts have of ids that nobody knows and is no guest, and operations of none; for operators."""

from aiohttp import web

from novakit import errors
from novakit.api.novakit.domain import Additions, conductor_asked
from novakit.api.queries import refuse_unknown
from novakit.api.service import Call, Route, reply
from novakit.front.sharing import Cost
from novakit_hookspecs.plain import to_plain


async def list_strangers(call: Call[Additions]) -> web.Response:
    """List what may be removed, and the hosts that could not be asked."""
    refuse_unknown(call.query, ())
    with conductor_asked("look at the hosts"):
        found = await call.service.conductor.remains()
    return reply(
        {"strangers": to_plain(found.things), "unchecked": list(found.unchecked), "untold": list(found.untold)}
    )


async def remove(call: Call[Additions]) -> web.Response:
    """Remove all that a host has of an id, or end an operation."""
    refuse_unknown(call.query, ("host",))
    id = call.path["id"]
    with conductor_asked("remove the stranger"):
        settled = await call.service.conductor.remove_remains(
            id=id, host=call.query.get("host"), request=call.context.request_id
        )
    if not settled.found:
        raise errors.NotFound(
            f"There is no stranger {id[:80]!r} on any host, and no operation of that id; see `novakit host strangers`. "
            "A guest is removed by `novakit guest remove`."
        )
    if settled.why:
        raise errors.Conflict(f"The stranger {id} was not removed. {settled.why}")
    return reply({"stranger": {"id": id, "outcome": "removed"}})


ROUTES = (
    Route(method="GET", path="/v1/strangers", handler=list_strangers, rule="novakit:strangers:list", cost=Cost.HEAVY),
    Route(method="DELETE", path="/v1/strangers/{id}", handler=remove, rule="novakit:strangers:remove", cost=Cost.HEAVY),
)
