"""An answer that lets go of its text once that is sent."""

from aiohttp import web


class DocumentAnswer(web.Response):
    """A whole answer.

    aiohttp keeps the last answer of a connection until its next request comes: a list of 2,000 ports is two megabytes
    for each client that stays connected.
    """

    async def write_eof(self, data: bytes = b"") -> None:
        await super().write_eof(data)
        self.body = None
