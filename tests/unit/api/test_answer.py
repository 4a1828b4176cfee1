"""What is left of an answer once it is sent."""

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from novakit.api.service import reply


async def test_a_connection_that_stays_open_keeps_nothing_of_its_last_answer() -> None:
    given: list[web.Response] = []

    async def handler(request: web.Request) -> web.Response:
        given.append(reply({"ports": ["x" * 100_000]}))
        return given[-1]

    app = web.Application()
    app.router.add_get("/", handler)
    async with TestClient(TestServer(app)) as client:
        for _ in range(2):
            async with client.get("/") as answer:
                assert await answer.json() == {"ports": ["x" * 100_000]}
                assert answer.headers["Content-Length"] == str(len('{"ports":[""]}') + 100_000)
        async with client.head("/") as answer:
            assert answer.status == 200 and await answer.read() == b""
        assert [each.body for each in given] == [None, None, None]
