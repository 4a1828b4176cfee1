"""The bytes of an image, in and out; they are never all in memory."""

from aiohttp import web

from novakit import errors
from novakit.api.reading import pieces
from novakit.api.service import Call, Route, reply
from novakit.front.sharing import Cost
from novakit.image import Images

OCTETS = "application/octet-stream"


async def upload(call: Call[Images]) -> web.Response:
    """Fill a queued image."""
    request = call.request
    if request.content_type != OCTETS:
        raise errors.UnsupportedMedia(f"Send the data of an image as {OCTETS}.")
    await call.service.upload(call.context, call.path["id"], pieces(request), announced=request.content_length)
    return reply(status=204)


async def download(call: Call[Images]) -> web.StreamResponse:
    """Return the data of an image, or the part that the Range header names."""
    file = await call.service.file(call.context, call.path["id"])
    if file is None:
        return reply(status=204)
    return web.FileResponse(file.path, headers={"Content-Type": OCTETS, "Content-MD5": file.checksum})


routes = (
    Route(method="PUT", path="/v2/images/{id}/file", handler=upload, rule="upload_image", cost=Cost.TRANSFER),
    Route(method="GET", path="/v2/images/{id}/file", handler=download, rule="download_image", cost=Cost.TRANSFER),
)
