"""The body of a request: refused before it is read where it could cost more than it shows."""

import re
from collections import Counter
from collections.abc import AsyncIterator

import orjson
from aiohttp import web

from novakit import errors
from novakit.front.unreadable import EXPECTS, UNMET

STRANGERS_BODY = 64 << 10
"""Bytes of a body whose sender has shown no token: a login needs a few hundred."""

MOST_NESTED = 50
"""How deep the lists and objects of a JSON body may be nested."""
MOST_VALUES = 250
"""Values of one parameter of a query."""


def require_sound(request: web.BaseRequest) -> None:
    """Refuse a request of which no service wants to know what it asks for. Raises a NovakitError."""
    require_text(request)
    require_met(request)
    require_host(request)
    require_few_values(request)
    refuse_encoded(request)


def refuse_encoded(request: web.BaseRequest) -> None:
    """Refuse a compressed body before a byte of it is inflated: a few kilobytes can be gigabytes.

    Raises UnsupportedMedia.
    """
    if "Content-Encoding" not in request.headers:
        return
    said = ",".join(request.headers.getall("Content-Encoding"))
    named = [one.strip().lower() for one in said.split(",")]
    if any(one not in ("", "identity") for one in named):
        raise errors.UnsupportedMedia(
            f"A body in Content-Encoding {said[:80]} is not accepted; send it without an encoding.",
            headers={"Accept-Encoding": "identity"},
        )


def require_met(request: web.BaseRequest) -> None:
    """Refuse a request that expects what no server does. Raises ExpectationFailed."""
    if UNMET in request:
        raise errors.ExpectationFailed(EXPECTS)


_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9]([A-Za-z0-9._-]{0,253})?)(:[0-9]{1,5})?")


def require_host(request: web.BaseRequest) -> None:
    """Refuse a request that does not say for which host it is: answers have links of that host in them.

    Raises BadRequest.
    """
    named = request.headers.getall("Host", [])
    port = named[0].rpartition(":")[2] if named else ""
    if len(named) != 1 or not _HOST.fullmatch(named[0]) or (port.isdecimal() and int(port) > 65535):
        raise errors.BadRequest("There must be one Host header, with the name of a host and, where needed, a port.")


def require_few_values(request: web.BaseRequest) -> None:
    """Refuse a query of which one parameter has more values than anybody asks for: each is a part of a statement.

    As many ids as fit into the longest address are taken. Raises BadRequest.
    """
    if len(request.query_string) <= MOST_VALUES:
        return
    counted: Counter[str] = Counter()
    for name, value in request.query.items():
        counted[name] += 1 + value.count(",")
        if counted[name] > MOST_VALUES:
            raise errors.BadRequest(
                f"The parameter {name[:80]!r} has more than {MOST_VALUES} values; send several requests with fewer."
            )


def require_text(request: web.BaseRequest) -> None:
    """Refuse NUL in an address: no name has one, and not every database takes one in a question.

    Raises NotFound, BadRequest.
    """
    if "\0" in request.path:
        raise errors.NotFound("The path has a NUL character in it, which no name of a resource has.")
    if "\0" in request.query_string:
        raise errors.BadRequest("The query has a NUL character in it.")


def has_left(request: web.BaseRequest) -> bool:
    """Return whether the client has gone, so that nobody is left to be told anything."""
    return request.transport is None or request.transport.is_closing()


async def read_body(request: web.BaseRequest, limit: int) -> bytes:
    """Return the whole body. Raises TooLarge above `limit` bytes, BadRequest for one that is not what it claims."""
    announced = request.content_length
    if announced is not None and announced > limit:
        raise errors.TooLarge(f"The body has {announced} bytes; at most {limit} are accepted.")
    body = bytearray()
    while piece := await _next_piece(request):
        body += piece
        if len(body) > limit:
            raise errors.TooLarge(f"The body has more than the {limit} bytes that are accepted.")
    return bytes(body)


def parse(raw: bytes) -> object:
    """Read JSON. Raises orjson.JSONDecodeError, and BadRequest for what is nested deeper than any body here."""
    document = orjson.loads(raw)
    if raw.count(b"[") + raw.count(b"{") > MOST_NESTED:
        level = [document]
        for _ in range(MOST_NESTED):
            lists = [one for one in level if isinstance(one, list)]
            level = [inner for one in level if isinstance(one, dict) for inner in one.values()]
            level += [inner for one in lists for inner in one]
        if level:
            # What looks at it later, and writes it into an error, calls itself for each level.
            raise errors.BadRequest(f"The body is nested more than {MOST_NESTED} deep.")
    return document


async def pieces(request: web.BaseRequest) -> AsyncIterator[bytes]:
    """Yield the body as it comes. Raises BadRequest for one that is not what it claims, ConnectionResetError."""
    while piece := await _next_piece(request):
        yield piece


async def _next_piece(request: web.BaseRequest) -> bytes:
    """Return what has come of the body since the last piece of it, nothing at its end; raises as `pieces` does."""
    try:
        return await request.content.readany()
    except web.RequestPayloadError as error:
        raise errors.BadRequest(
            "The body cannot be read: its length or encoding is not what the headers of the request say."
        ) from error
    except RuntimeError as error:
        # What aiohttp raises where nobody is there any more; it has no class of its own for it.
        if request.transport is None:
            raise ConnectionResetError("The client left before its body was complete.") from error
        raise
