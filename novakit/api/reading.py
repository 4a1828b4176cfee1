"""The body of a request: refused before it is read where it could cost more than it shows."""

from collections.abc import AsyncIterator

from aiohttp import web

from novakit import errors

STRANGERS_BODY = 64 << 10
"""Bytes of a body whose sender has shown no token: a login needs a few hundred."""


def refuse_encoded(request: web.BaseRequest) -> None:
    """Refuse a compressed body before a byte of it is inflated: a few kilobytes can be gigabytes.

    Raises UnsupportedMedia.
    """
    said = ",".join(request.headers.getall("Content-Encoding", []))
    named = [one.strip().lower() for one in said.split(",")]
    if any(one not in ("", "identity") for one in named):
        raise errors.UnsupportedMedia(
            f"A body in Content-Encoding {said[:80]} is not taken; send it as it is.",
            headers={"Accept-Encoding": "identity"},
        )


async def read_body(request: web.BaseRequest, limit: int) -> bytes:
    """Return the whole body. Raises TooLarge above `limit` bytes, BadRequest for one that is not what it claims."""
    announced = request.content_length
    if announced is not None and announced > limit:
        raise errors.TooLarge(f"The body has {announced} bytes; {limit} are taken.")
    body = bytearray()
    async for piece in pieces(request):
        body += piece
        if len(body) > limit:
            raise errors.TooLarge(f"The body has more than the {limit} bytes that are taken.")
    return bytes(body)


async def pieces(request: web.BaseRequest) -> AsyncIterator[bytes]:
    """Give the body as it comes. Raises BadRequest for one that is not what it claims, ConnectionResetError."""
    try:
        while piece := await request.content.readany():
            yield piece
    except web.RequestPayloadError as error:
        raise errors.BadRequest("The body cannot be read: it is not what its headers say.") from error
    except RuntimeError as error:
        # What aiohttp raises where nobody is there any more; it has no class of its own for it.
        if request.transport is None:
            raise ConnectionResetError("The client left before its body was complete.") from error
        raise
