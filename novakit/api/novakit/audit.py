"""`GET /v1/audit`: what on the hosts and in the store belongs to nobody; for operators only."""

from aiohttp import web

from novakit import errors
from novakit.api.service import Call, reply
from novakit.bus import BusError, client
from novakit.conductor.calls import ConductorCalls
from novakit.scheduler.reports import SchedulerReports
from novakit_hookspecs.plain import to_plain


async def audit(call: Call[SchedulerReports]) -> web.Response:
    """Compare servers, claims, ports and guests with what the hosts hold."""
    try:
        found = await client(ConductorCalls, call.service.bus, call.service.config).audit()
    except BusError as error:
        raise errors.Unavailable(f"The conductor did not finish the audit: {error}.") from error
    return reply({"audit": to_plain(found)})
