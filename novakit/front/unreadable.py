"""What a client is told whose request no service answers: it cannot be read, came too late, or names no service."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from http import HTTPStatus
from itertools import chain

import orjson
import structlog
from aiohttp import StreamReader, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler
from multidict import CIMultiDictProxy

from novakit import world

log = structlog.get_logger(__name__)

REQUEST_ID = "x-openstack-request-id"
MOST_AHEAD = 32 << 10
"""Bytes that a client may send ahead: a first line with its headers, and requests that wait for the one before."""
UNMET = "novakit.unmet"
"""Where a request says what it expects and nobody can do."""
EXPECTS = "The only expectation that is met is 100-continue; send the request without its Expect header."
_PIECE = 16 << 10
"""Bytes that the parser is given at once: what comes after a whole request in them is not counted."""

_SENTENCES = {
    400: "The request could not be read as HTTP, or its first line or one of its headers is too long.",
}
_OTHERWISE = "The request could not be answered; tell the operator the request id, under which the log says more."


def refusal(status: int, sentence: str) -> tuple[dict[str, str], bytes]:
    """Return headers and body of an answer outside every service, as novakit's own API shapes its errors."""
    request_id = f"req-{world.new_id()}"
    fault = {"code": status, "title": HTTPStatus(status).phrase, "message": sentence, "request_id": request_id}
    return {hdrs.CONTENT_TYPE: "application/json", REQUEST_ID: request_id}, orjson.dumps({"error": fault})


def written(status: int, sentence: str, more: Mapping[str, str]) -> bytes:
    """Return a whole answer that ends its connection, for whom no server speaks yet."""
    headers, body = refusal(status, sentence)
    headers = {**headers, **more, hdrs.CONTENT_LENGTH: str(len(body)), hdrs.CONNECTION: "close"}
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {text}" for name, text in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


@web.middleware
async def outside(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer in JSON where no service is, as everywhere else; the outermost middleware but for the door's."""
    try:
        if UNMET in request and len(request.match_info.apps) == 1:  # no service's, which says it in its own form
            raise web.HTTPExpectationFailed(text=EXPECTS)
        return await handler(request)
    except web.HTTPException as error:
        sentence = (
            f"{request.method} is not served at this path."
            if error.status == 405
            else (error.text or error.reason).strip()
        )
        if error.status == 404:
            served = sorted({r.canonical for r in request.app.router.resources() if r.canonical.count("/") == 1})
            sentence = f"Nothing is served at this path; services are at {', '.join(served)}."
        headers, body = refusal(error.status, sentence)
        if hdrs.ALLOW in error.headers:
            headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
        return web.Response(body=body, status=error.status, headers=headers)


class _NamelessResponse(web.Response):
    """An answer outside every service; it does not say which program gives it."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall(hdrs.SERVER, None)


def _size(message: object) -> int:
    """Return how many bytes the headers of a request are, about; none where it could not be read."""
    headers: Sequence[tuple[bytes, bytes]] = getattr(message, "raw_headers", ())
    return len(getattr(message, "path", "")) + 4 * len(headers) + sum(map(len, chain.from_iterable(headers)))


class Reader(RequestHandler):
    """aiohttp's protocol, but for three things.

    Its error page quotes what came, tokens included, and is no JSON; nor is its answer to an unknown expectation.
    It bounds each header and their number, and not what they are together: 1,500 clients who began 128 long ones each
    held 2.6 GB. So what of headers is kept is counted here: of those that are not complete, and of requests that wait.
    """

    __slots__ = ("_last_body", "_partial", "_waiting")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._partial = 0
        self._waiting: deque[int] = deque()
        self._last_body: StreamReader | None = None
        super().connection_made(transport)

    @property
    def ahead(self) -> int:
        """Return how many bytes of headers came for which nothing has begun yet."""
        while len(self._waiting) > len(self._messages):
            self._waiting.popleft()
        return self._partial + sum(self._waiting)

    def data_received(self, data: bytes) -> None:
        """Hand data to the parser, in pieces, and count what is of headers."""
        if len(data) <= _PIECE:
            self._feed(data)
            return
        for start in range(0, len(data), _PIECE):
            self._feed(data[start : start + _PIECE])

    def _feed(self, piece: bytes) -> None:
        is_body = self._last_body is not None and not self._last_body.is_eof()
        before = self._request_count
        super().data_received(piece)
        if new := min(self._request_count - before, len(self._messages)):
            latest = list(self._messages)[-new:]
            self._waiting.extend(_size(message) for message, _ in latest)
            self._last_body, self._partial = latest[-1][1], 0
        elif not is_body and self._payload_parser is None:
            self._partial += len(piece)

    async def start(self) -> None:
        """Answer the requests of the connection, unless it ended before this could begin."""
        if self._manager is not None:
            await super().start()

    def _handle_request(
        self,
        request: web.BaseRequest,
        start_time: float | None,
        request_handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    ) -> Coroutine[object, object, tuple[web.StreamResponse, bool]]:
        """Keep an expectation that nobody can meet from aiohttp, which would answer it before any service could."""
        sent = request._message.headers  # `request.headers` would be remembered as it was
        expected = sent.get(hdrs.EXPECT)
        if expected is not None and expected.lower() != "100-continue":
            headers = sent.copy()
            headers.popall(hdrs.EXPECT)
            request._headers = CIMultiDictProxy(headers)
            request[UNMET] = expected
        return super()._handle_request(request, start_time, request_handler)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Begin no request that came together with the end: aiohttp would, on a protocol that it has just emptied."""
        if self._waiter is not None and self._waiter.done() and self._task_handler is not None:
            self._task_handler.cancel()
        super().connection_lost(exc)

    def log_exception(self, *args: object, **kw: object) -> None:
        """Log what failed, but for a client that has left, which is its own affair."""
        if not isinstance(kw.get("exc_info"), ConnectionError):
            super().log_exception(*args, **kw)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        headers, body = refusal(status, _SENTENCES.get(status, _OTHERWISE))
        if isinstance(exc, HttpProcessingError):
            # Not the service's error, and anybody can cause any number: a warning is folded.
            log.warning("a request could not be read", client=request.remote, why=type(exc).__name__)
        else:
            super().handle_error(request, status, exc, "")  # logs, and raises where an answer has begun
            log.error("a request could not be answered", client=request.remote, request_id=headers[REQUEST_ID])
        answer = _NamelessResponse(body=body, status=status, headers=headers)
        answer.force_close()
        return answer


def reader(server: web.Server) -> Reader:
    """Return the protocol of one client's connection, with the settings of its server."""
    return Reader(server, loop=asyncio.get_running_loop(), **server._kwargs)


async def anonymous(_request: web.Request, answer: web.StreamResponse) -> None:
    """Leave out of an answer which program, in which version, gives it."""
    answer.headers.popall(hdrs.SERVER, None)
