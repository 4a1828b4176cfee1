"""Who comes in: strangers have a pace, whatever they show."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request

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


def request_of(path: str, headers: dict[str, str], *, has_left: bool = False) -> web.Request:
    request = make_mocked_request("GET", path, headers)
    if has_left:
        request.protocol.transport = None
    return request


async def enter(entrance: Entrance, token: str, *, has_left: bool = False) -> None:
    headers = {"X-Auth-Token": token}
    async with entrance.of(request_of("/", headers, has_left=has_left), "req-1", public=False, cost=Cost.ORDINARY):
        pass


async def test_who_waits_for_a_strangers_turn_keeps_nobody_from_being_known() -> None:
    entrance = Entrance(authenticate, Shares(SharingOptions(strangers_rate=0.5)))
    strangers = [asyncio.create_task(enter(entrance, "bad")) for _ in range(5)]
    await asyncio.sleep(0.01)
    assert not all(one.done() for one in strangers)
    async with asyncio.timeout(1):
        await enter(entrance, GOOD)
    for one in strangers:
        one.cancel()
    await asyncio.gather(*strangers, return_exceptions=True)


async def test_a_place_is_given_back_by_who_left_while_waiting_and_by_who_failed() -> None:
    entrance = Entrance(authenticate, Shares(SharingOptions(ordinary=1, ordinary_each=1)))
    async with asyncio.timeout(1):
        with pytest.raises(ConnectionResetError):
            await enter(entrance, GOOD, has_left=True)
        with pytest.raises(ValueError, match="the handler's"):
            async with entrance.of(request_of("/", {"X-Auth-Token": GOOD}), "r", public=False, cost=Cost.ORDINARY):
                raise ValueError("the handler's")
        await enter(entrance, GOOD)
