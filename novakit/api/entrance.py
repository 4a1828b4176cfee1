"""Who comes in: a caller with a good token, or one without where the route allows it; each in turn."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import attrs
from aiohttp import web

from novakit import errors
from novakit.context import RequestContext
from novakit.front.addresses import bucket
from novakit.front.door import client_address, vouch
from novakit.front.sharing import Cost, Shares

Authenticate = Callable[[str, str], Awaitable[RequestContext]]
"""Turns a token and a request id into the caller; raises `Unauthorized`."""


@attrs.frozen
class Entrance:
    """Finds out who asks, and gives the request a place in the share that it takes from."""

    authenticate: Authenticate
    shares: Shares
    admit: Callable[[], None] | None = None
    """Raises where nothing new may be made now."""

    @asynccontextmanager
    async def of(
        self, request: web.Request, request_id: str, *, public: bool, cost: Cost
    ) -> AsyncIterator[RequestContext | None]:
        """Hold a place while the block answers; the caller is None without a token, where the route allows that.

        Raises Unauthorized, TooMany.
        """
        address = bucket(client_address() or request.remote)
        shows_token = bool(request.headers.get("X-Auth-Token"))
        if not shows_token:
            await self.shares.pace.turn(address)
        try:
            async with self.shares[Cost.ENTRY].place(address):
                context = await self._caller(request, request_id, public=public)
        except errors.Unauthorized:
            if shows_token:
                await self.shares.pace.turn(address)
            raise
        if context is None:
            if shows_token:
                await self.shares.pace.turn(address)
            async with self.shares[Cost.STRANGER].place(address):
                yield None
            return
        vouch()
        party = context.project_id or context.user_id
        async with self.shares[cost].place(party):
            if request.transport is None:
                raise ConnectionResetError("The client left while it waited.")
            yield context

    async def _caller(self, request: web.Request, request_id: str, *, public: bool) -> RequestContext | None:
        token = request.headers.get("X-Auth-Token")
        if token and not public:
            return await self.authenticate(token, request_id)
        if token:
            with suppress(errors.Unauthorized):
                return await self.authenticate(token, request_id)
        elif not public:
            raise errors.Unauthorized("The request you have made requires authentication.")
        return None
