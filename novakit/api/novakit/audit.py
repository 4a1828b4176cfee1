"""`GET /v1/audit`: what on the hosts and in the store belongs to nobody; for operators only."""

from aiohttp import web

from novakit import errors
from novakit.api.service import Call, reply
from novakit.bus import BusError
from novakit.scheduler.reports import Reports

WITHIN = 100.0
"""Seconds an audit of the whole cloud may take."""


async def audit(call: Call[Reports]) -> web.Response:
    """Compare servers, claims, ports and guests with what the hosts hold."""
    if not call.context.is_admin:
        raise errors.Forbidden("Policy doesn't allow novakit:audit to be performed.")
    try:
        found = await call.service.bus.call("conductor", "audit", within=WITHIN)
    except BusError as error:
        raise errors.Unavailable(f"The conductor did not finish the audit: {error}.") from error
    return reply({"audit": found})
