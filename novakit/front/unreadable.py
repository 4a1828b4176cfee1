"""What a client is told whose request could not be read as HTTP: before there is a request that a service answers."""

import asyncio
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import hdrs, web
from aiohttp.web_protocol import RequestHandler

_SENTENCES = {
    400: "The request could not be read as HTTP, or its first line or one of its headers is too long.",
}
_OTHERWISE = "The request could not be answered."


class _Refusal(web.Response):
    """An answer outside every service; it does not say which program gives it."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall(hdrs.SERVER, None)


class Reader(RequestHandler):
    """aiohttp's protocol, but for its error page: that one quotes what came, tokens included, and is no JSON."""

    __slots__ = ()

    async def start(self) -> None:
        """Answer the requests of the connection, unless it ended before this could begin."""
        if self._manager is not None:
            await super().start()

    def log_exception(self, *args: Any, **kw: Any) -> None:
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
        super().handle_error(request, status, exc, "")  # logs, and raises where an answer has begun
        fault = {
            "code": status,
            "title": HTTPStatus(status).phrase,
            "message": _SENTENCES.get(status, _OTHERWISE),
        }
        answer = _Refusal(body=orjson.dumps({"error": fault}), status=status, content_type="application/json")
        answer.force_close()
        return answer


def reader(server: web.Server) -> Reader:
    """Return the protocol of one client's connection, with the settings of its server."""
    return Reader(server, loop=asyncio.get_running_loop(), **server._kwargs)


async def anonymous(_request: web.Request, answer: web.StreamResponse) -> None:
    """Leave out of an answer which program, in which version, gives it."""
    answer.headers.popall(hdrs.SERVER, None)
