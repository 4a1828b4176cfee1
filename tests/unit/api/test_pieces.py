"""Long lists that are written a piece at a time."""

from collections.abc import Iterator
from datetime import UTC, datetime

import orjson
import pytest

from novakit.api.pieces import PIECE, in_pieces
from novakit.api.service import MOMENTS, reply

AT = datetime(2026, 11, 29, 22, 15, 1, 123456, tzinfo=UTC)


@pytest.mark.parametrize("count", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
def test_a_list_in_pieces_is_byte_for_byte_the_list_as_a_whole(count: int) -> None:
    shown: list[dict[str, object]] = [
        {"name": f'"ü{number}\u2028', "at": AT, "tags": [], "more": {"x": None}} for number in range(count)
    ]
    answer = reply({"servers": in_pieces(iter(shown)), "servers_links": [{"rel": "next"}]})
    assert answer.body == orjson.dumps({"servers": shown, "servers_links": [{"rel": "next"}]}, option=MOMENTS)


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

    in_pieces(made())
    assert Shown.alive == 0 and Shown.most == PIECE
