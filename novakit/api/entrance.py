"""Who comes in: a caller with a good token, or one without where the route allows it; each in turn."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import attrs
from aiohttp import web

from novakit import errors
from novakit.concurrency.shares import Share
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

    def of(self, request: web.Request, request_id: str, *, public: bool, cost: Cost) -> "Visit":
        """Hold a place while a block answers; the caller is None without a token, where the route allows that.

        Raises Unauthorized, TooMany.
        """
        return Visit(self, request, request_id, public, cost)

    async def caller(
        self, request: web.Request, request_id: str, *, public: bool, address: str
    ) -> RequestContext | None:
        """Return who asks; strangers wait for their turn. Raises Unauthorized, TooMany."""
        token = request.headers.get("X-Auth-Token")
        if not token:
            await self.shares.pace.turn(address)
        entry, context = self.shares[Cost.ENTRY], None
        try:
            await entry.enter(address)
            try:
                context = await self._known(token, request_id, public=public)
            finally:
                entry.leave(address)
        except errors.Unauthorized:
            # Not before the place is given back: there are few, and who waits for a turn may wait for long.
            if token:
                await self.shares.pace.turn(address)
            raise
        if context is None and token:
            await self.shares.pace.turn(address)
        return context

    async def _known(self, token: str | None, request_id: str, *, public: bool) -> RequestContext | None:
        if token and not public:
            return await self.authenticate(token, request_id)
        if token:
            with suppress(errors.Unauthorized):
                return await self.authenticate(token, request_id)
        elif not public:
            raise errors.Unauthorized("The request you have made requires authentication.")
        return None


@attrs.define(eq=False)
class Visit:
    """One request, let in while a block answers it."""

    entrance: Entrance
    request: web.Request
    request_id: str
    public: bool
    cost: Cost
    _share: Share = attrs.field(init=False)
    _party: str = attrs.field(init=False)

    async def __aenter__(self) -> RequestContext | None:
        address = bucket(client_address() or self.request.remote)
        context = await self.entrance.caller(self.request, self.request_id, public=self.public, address=address)
        if context is None:
            share, party = self.entrance.shares[Cost.STRANGER], address
        else:
            vouch()
            share, party = self.entrance.shares[self.cost], context.project_id or context.user_id
        await share.enter(party)
        if context is not None and self.request.transport is None:
            share.leave(party)
            raise ConnectionResetError("The client left while it waited.")
        self._share, self._party = share, party
        return context

    async def __aexit__(self, *_: object) -> None:
        self._share.leave(self._party)
