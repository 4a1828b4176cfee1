"""The bytes of an image for the compute host that a ticket names, and nothing else for anybody."""

import asyncio

import attrs
import structlog
from aiohttp import web

from novakit import errors
from novakit.api.reading import pieces
from novakit.api.service import Call, Route, Service, reply
from novakit.bus.enrolments import Enrolments
from novakit.bus.tickets import DOWNLOAD, UPLOAD, Ticket, Tickets, UsedTickets
from novakit.context import SERVICE, RequestContext
from novakit.front.sharing import Cost
from novakit.image import DEACTIVATED, Images

log = structlog.get_logger(__name__)

OCTETS = "application/octet-stream"


@attrs.frozen
class HostImages:
    """The images, behind tickets."""

    images: Images
    tickets: Tickets
    used: UsedTickets
    enrolments: Enrolments

    async def authenticate(self, ticket: str, request_id: str) -> RequestContext:
        """Return which host sent a ticket. Raises Unauthorized for one that is forged, another host's, or expired."""
        try:
            host = self.tickets.read(ticket).host
        except errors.Unauthorized as error:
            log.warning("a ticket was refused", request_id=request_id, why=error.message)
            raise
        return RequestContext(request_id=request_id, user_id=f"host:{host}")

    def take(self, ticket: Ticket) -> None:
        """Remember that a ticket was shown. Raises Unauthorized when it opens nothing more, or its host was revoked.

        A host that is revoked may have tickets that would go on for minutes.
        """
        if self.enrolments.is_revoked(ticket.host):
            raise errors.Unauthorized(f"The host {ticket.host} was revoked, so its tickets are not valid any more.")
        self.used.take(ticket)


async def download(call: Call[HostImages]) -> web.StreamResponse:
    """Return the bytes of the image that the ticket names."""
    ticket = await _ticket(call, DOWNLOAD)
    row = await call.service.images.visible(SERVICE, ticket.image)
    if row["status"] == DEACTIVATED:
        raise errors.Forbidden(f"Image {ticket.image} is deactivated.")
    file = await call.service.images.file(SERVICE, ticket.image)
    if file is None:
        raise errors.NotFound(f"Image {ticket.image} has no data.")
    return web.FileResponse(file.path, headers={"Content-Type": OCTETS})


async def upload(call: Call[HostImages]) -> web.Response:
    """Fill the queued image that the ticket names with the copy of a disk."""
    ticket = await _ticket(call, UPLOAD)
    if call.request.content_type != OCTETS:
        raise errors.UnsupportedMedia(f"Send the data of an image as {OCTETS}.")
    announced = call.request.content_length
    await call.service.images.upload(SERVICE, ticket.image, pieces(call.request), announced=announced)
    return reply(status=204)


async def _ticket(call: Call[HostImages], action: str) -> Ticket:
    ticket = call.service.tickets.read(call.request.headers.get("X-Auth-Token", ""))
    try:
        if (ticket.action, ticket.image) != (action, call.path["id"]):
            raise errors.Forbidden("The ticket is for another image, or for the other direction.")
        await asyncio.to_thread(call.service.take, ticket)
    except (errors.Forbidden, errors.Unauthorized) as error:
        log.warning("a ticket was refused", host=ticket.host, image=call.path["id"][:80], why=error.message)
        raise
    return ticket


def _shape(error: errors.NovakitError, request_id: str) -> dict[str, object]:
    return {"error": {"code": int(error.status), "message": error.message}}


service: Service[HostImages] = Service(
    name="hosts",
    routes=(
        Route(method="GET", path="/v1/images/{id}", handler=download, cost=Cost.TRANSFER),
        Route(method="PUT", path="/v1/images/{id}", handler=upload, cost=Cost.TRANSFER),
    ),
    shape=_shape,
)
