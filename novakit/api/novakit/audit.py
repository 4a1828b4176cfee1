"""`GET /v1/audit`: what on the hosts and in the store belongs to nobody; for operators only."""

from aiohttp import web

from novakit import errors
from novakit.api.novakit.domain import Additions
from novakit.api.service import Call, reply
from novakit.bus import BusError
from novakit_hookspecs.plain import to_plain


async def audit(call: Call[Additions]) -> web.Response:
    """Compare servers, claims, ports and guests with what the hosts hold."""
    try:
        found = await call.service.conductor.audit()
    except BusError as error:
        raise errors.Unavailable(f"The conductor did not finish the audit: {error}.") from error
    return reply({"audit": to_plain(found)})
