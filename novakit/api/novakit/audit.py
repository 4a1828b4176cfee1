"""`GET /v1/audit`: what on the hosts and in the store belongs to nobody; for operators only."""

from aiohttp import web

from novakit.api.novakit.domain import Additions, conductor_asked
from novakit.api.service import Call, reply
from novakit_hookspecs.plain import to_plain


async def audit(call: Call[Additions]) -> web.Response:
    """Compare servers, claims, ports and guests with what the hosts hold."""
    with conductor_asked("audit the deployment"):
        found = await call.service.conductor.audit()
    return reply({"audit": to_plain(found)})
