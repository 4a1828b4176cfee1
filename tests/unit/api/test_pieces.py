"""Long lists that are written a piece at a time."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from novakit.api.pieces import PIECE, SHORT, reply_in_pieces
from novakit.api.service import reply

AT = datetime(2026, 11, 29, 22, 15, 1, 123456, tzinfo=UTC)
LINKS: dict[str, object] = {"servers_links": [{"rel": "next", "at": AT}]}


@pytest.mark.parametrize("size", [1, SHORT // PIECE])
@pytest.mark.parametrize("count", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
@pytest.mark.parametrize("more", [{}, LINKS])
async def test_a_list_in_pieces_is_byte_for_byte_the_list_as_a_whole(
    count: int, size: int, more: dict[str, object]
) -> None:
    shown: list[dict[str, object]] = [
        {"name": f'"ü{number}\u2028', "at": AT, "tags": [], "more": {"x": "x" * size}} for number in range(count)
    ]
    given: list[web.Response] = []

    async def in_pieces(_: web.Request) -> web.Response:
        given.append(reply_in_pieces("servers", iter(shown), more))
        return given[-1]

    async def whole(_: web.Request) -> web.Response:
        return reply({"servers": shown, **more})

    app = web.Application()
    app.router.add_get("/pieces", in_pieces)
    app.router.add_get("/whole", whole)
    async with TestClient(TestServer(app)) as client:
        for method in ("GET", "GET", "HEAD"):
            answers = []
            for path in ("/pieces", "/whole"):
                async with client.request(method, path) as answer:
                    headers = {name: answer.headers[name] for name in ("Content-Length", "Content-Type")}
                    answers.append((answer.status, headers, await answer.read()))
            assert answers[0] == answers[1]
    assert [each.body for each in given] == [None] * 3, "a connection that stays open keeps its last answer"


class Shown(dict[str, object]):
    """A document that counts how many there are."""

    alive = most = 0

    def __init__(self) -> None:
        super().__init__(id="x")
        Shown.alive += 1
        Shown.most = max(Shown.most, Shown.alive)

    def __del__(self) -> None:
        Shown.alive -= 1


def test_no_more_documents_are_there_at_a_time_than_a_piece_has() -> None:
    def made() -> Iterator[Shown]:
        for _ in range(10 * PIECE):
            yield Shown()

    reply_in_pieces("servers", made(), {})
    assert Shown.alive == 0 and Shown.most == PIECE
