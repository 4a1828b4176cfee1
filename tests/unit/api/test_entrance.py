"""Who comes in: strangers have a pace, whatever they show."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from novakit import errors
from novakit.api.entrance import Entrance
from novakit.config.connections import SharingOptions
from novakit.context import RequestContext
from novakit.front.sharing import Cost, Shares

GOOD = "good"
NONE_AT_ALL = SharingOptions(strangers_rate=0.05)
"""At such a rate the first turn of a stranger is further away than anybody waits."""


async def authenticate(token: str, request_id: str) -> RequestContext:
    if token != GOOD:
        raise errors.Unauthorized("The token is not known.")
    return RequestContext(request_id=request_id, user_id="u", project_id="p")


async def status(headers: dict[str, str], *, public: bool) -> int:
    entrance = Entrance(authenticate, Shares(NONE_AT_ALL))

    async def answer(request: web.Request) -> web.Response:
        try:
            async with entrance.of(request, "req-1", public=public, cost=Cost.ORDINARY):
                return web.Response()
        except errors.NovakitError as error:
            return web.Response(status=int(error.status))

    app = web.Application()
    app.router.add_get("/", answer)
    async with TestClient(TestServer(app)) as client, client.get("/", headers=headers) as got:
        return got.status


@pytest.mark.parametrize("public", [True, False])
@pytest.mark.parametrize("headers", [{}, {"X-Auth-Token": ""}, {"X-Auth-Token": "bad"}])
async def test_who_shows_no_good_token_has_a_strangers_pace(headers: dict[str, str], public: bool) -> None:
    assert await status(headers, public=public) == 429


@pytest.mark.parametrize("public", [True, False])
async def test_who_shows_a_good_token_has_no_pace(public: bool) -> None:
    assert await status({"X-Auth-Token": GOOD}, public=public) == 200
