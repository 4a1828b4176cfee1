"""What the resources of the Placement API share: media types, how bodies are read, how answers look."""

import asyncio
import html
import re
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import TypeVar

import orjson
from aiohttp import web

from novakit import errors, world
from novakit.api.bodies import Body
from novakit.api.reading import parse
from novakit.api.service import Call, Version, reply, text
from novakit.placement import Placement

T = TypeVar("T")
PlacementCall = Call[Placement]

MINIMUM: Version = (1, 0)
MAXIMUM: Version = (1, 39)
PIECE = 500
"""Members of a list that are written in one turn: some milliseconds."""
UNDEFINED_CODE = "placement.undefined_code"
_JSON = frozenset({"*/*", "application/*", "application/json"})


def error_body(error: errors.NovakitError, request_id: str, version: Version | None) -> dict[str, object]:
    """Shape an error as Placement's clients read it; the code is told from version 1.23 on."""
    status = HTTPStatus(error.status)
    body: dict[str, object] = {
        "status": int(status),
        "title": status.phrase,
        "detail": error.message,
        "request_id": request_id,
    }
    if version is not None and version >= (1, 23):
        body["code"] = error.kind if error.kind.startswith("placement.") else UNDEFINED_CODE
    if version is None and status == HTTPStatus.NOT_ACCEPTABLE:
        body["max_version"], body["min_version"] = text(MAXIMUM), text(MINIMUM)
    return {"errors": [body]}


def error_page(error: errors.NovakitError, accept: str) -> str | None:
    """Write an error as HTML for those who take that and no JSON."""
    kinds = _kinds(accept)
    if "text/html" not in kinds or _JSON.intersection(kinds):
        return None
    title = f"{int(error.status)} {HTTPStatus(error.status).phrase}"
    detail = html.escape(error.message)
    return f"<html><head><title>{title}</title></head><body><h1>{title}</h1>{detail}</body></html>"


def denied(rule: str) -> errors.Forbidden:
    """Say as Placement's clients know it that a rule is not met."""
    return errors.Forbidden(f"Policy does not allow {rule} to be performed.")


def require_json(call: PlacementCall, *, reads: bool = False, writes: bool = False) -> None:
    """Refuse a request of the wrong media type: `reads` wants a caller that takes JSON, `writes` one that sends it."""
    headers = call.request.headers
    if (call.request.content_length or 0) > 0 and not headers.get("Content-Type"):
        raise errors.BadRequest("content-type header required when content-length > 0")
    if reads:
        _check_accept(headers.get("Accept", ""))
    if writes and call.request.content_type != "application/json":
        raise errors.UnsupportedMedia(
            f"The media type {headers.get('Content-Type', 'None')} is not supported, use application/json"
        )


def _check_accept(accept: str) -> None:
    kinds = _kinds(accept)
    if kinds and not _JSON.intersection(kinds):
        raise errors.NotAcceptable("Only application/json is provided")


def _kinds(accept: str) -> list[str]:
    return [item.partition(";")[0].strip().lower() for item in accept.split(",") if item.strip()]


async def body(call: PlacementCall, wanted: Body[T]) -> T:
    """Read the JSON body. Raises BadRequest when it is missing or does not match the schema of the version."""
    try:
        said = parse(await call.raw())
    except orjson.JSONDecodeError as error:
        raise errors.BadRequest(f"Malformed JSON: {error}") from error
    return wanted.record(call.version, said)


def answer(
    call: PlacementCall,
    document: object = None,
    status: int = 200,
    *,
    modified: datetime | None = None,
    location: str = "",
) -> web.Response:
    """Answer; from version 1.15 on with the time of the last change wherever there is a document or `modified`."""
    headers: dict[str, str] = {}
    if location:
        headers["Location"] = f"{call.request.scheme}://{call.request.host}{location}"
    if call.version >= (1, 15) and (document is not None or modified is not None):
        headers["Last-Modified"] = format_datetime(modified or world.now(), usegmt=True)
        headers["Cache-Control"] = "no-cache"
    return reply(document, status, headers)


async def answer_long(
    call: PlacementCall, document: AsyncIterator[bytes], members: int, *, modified: datetime | None = None
) -> web.Response:
    """Answer with a document that is written as JSON already; piece by piece while it is sent, if it is long."""
    answered = answer(call, {}, modified=modified)
    answered.body = document if members > PIECE else b"".join([piece async for piece in document])
    return answered


def members(found: Sequence[T], say: Callable[[Sequence[T]], object]) -> AsyncIterator[bytes]:
    """Write a long list or object as JSON, without its brackets; `say` gives that of some of its members."""
    return pieces(found, lambda some: orjson.dumps(say(some))[1:-1])


async def pieces(found: Sequence[T], write: Callable[[Sequence[T]], bytes]) -> AsyncIterator[bytes]:
    """Write a long list in pieces, so that others get their turn; `write` gives the JSON of some members."""
    for start in range(0, len(found), PIECE):
        if start:
            await asyncio.sleep(0)
            yield b","
        yield write(found[start : start + PIECE])


def href(call: PlacementCall, *parts: str) -> str:
    """Return the path of a resource, with the prefix that the service is mounted under."""
    resource = call.request.match_info.route.resource
    template = resource.canonical if resource else ""
    first = template.find(f"/{parts[0]}")
    return template[: max(first, 0)] + "".join(f"/{part}" for part in parts)


def clean(value: str) -> str:
    """Return text from a path or query as the store can look it up. Raises NotFound for what it can never hold."""
    if "\x00" in value or not value.isprintable():
        raise errors.NotFound("No resource has control characters in its name.")
    return value


def kept_id(value: str) -> str:
    """Return an id as it is kept: a UUID in lower case with dashes, anything else as it is."""
    return canonical_uuid(value) or value


def one_spelling(given: Mapping[str, T], noun: str) -> dict[str, T]:
    """Return what is said by id under the ids as they are kept. Raises BadRequest when one is named twice."""
    kept = {kept_id(id): one for id, one in given.items()}
    if len(kept) < len(given):
        raise errors.BadRequest(f"A {noun} is named twice, in different spellings of its UUID; name it once.")
    return kept


_USUAL = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def canonical_uuid(value: str) -> str | None:
    """Return a UUID in lower case with dashes; None for what is not one."""
    if _USUAL.fullmatch(value):  # a tenth of the time of what takes every spelling, three times for each allocation
        return value.lower()
    try:
        return str(uuid.UUID(value))
    except ValueError:
        return None
