"""Long lists of answers, written a piece at a time.

The idea: a thousand servers as documents are many megabytes of small objects, made to be read once. Made, written and
freed two dozen at a time they stay in the processor's cache, and the memory that they take is that of so many. Their
text is never put together: one of megabytes is mapped anew for each copy, by the block, which took 5 of 42 ms of a list
of 2,000 ports.
The invariant: what a client gets is byte for byte what `reply` makes of the list, with its length told before it. All
of it is made before any of it is sent, so that what goes wrong is still answered as an error.
The cost: a system call for each piece.
"""

from collections import deque
from collections.abc import Iterable
from itertools import islice

import orjson
from aiohttp import payload, web
from aiohttp.abc import AbstractStreamWriter

from novakit.api.answer import DocumentAnswer
from novakit.api.documents import Document
from novakit.api.service import MOMENTS

PIECE = 25
"""Documents that are there at a time."""
JSON = "application/json"
SHORT = 64 << 10
"""Bytes up to which an answer is sent in one: what a call of `send` takes without waiting for the client."""


class _LongText(payload.Payload):
    """Text in pieces, each of which is let go of once it is handed to the connection."""

    def __init__(self, pieces: Iterable[bytes], size: int) -> None:
        super().__init__(deque(pieces))
        self._size = size

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return b"".join(self._value).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        while self._value:
            await writer.write(self._value.popleft())


def reply_in_pieces(name: str, documents: Iterable[object], more: Document) -> web.Response:
    """Answer with one object: a list as `name`, and what `more` has; `documents` makes its members one by one."""
    opening, texts, rest = orjson.dumps({name: []})[:-2], [], iter(documents)
    while piece := list(islice(rest, PIECE)):
        texts.append(b"".join((opening, memoryview(orjson.dumps(piece, option=MOMENTS))[1:-1])))
        opening = b","
        del piece
    closing = b"]" + (b"," + orjson.dumps(more, option=MOMENTS)[1:] if more else b"}")
    texts.append(closing if texts else opening + closing)
    size = sum(map(len, texts))
    return DocumentAnswer(body=_LongText(texts, size) if size > SHORT else b"".join(texts), content_type=JSON)
