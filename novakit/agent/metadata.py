"""The metadata service of a host: a guest is known by the network its connection comes from, and its address there.

The idea: the network driver listens in each network's namespace, and hands over the sockets; whoever connects to one
is on that network. What a request says of itself (`X-Forwarded-For` and the like) is not looked at.
The invariant: after `follow` exactly the sockets that were given are served, each by one server; two calls take turns,
so that none closes what the other is about to serve. Each network has a door of its own: guests that hold connections
open take from the guests of their network alone.
The cost: one call to the conductor for each request, and nothing is kept between two; a server and a task for each
network, at most 256 connections each.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping

import attrs
import structlog
from aiohttp import web

from novakit import world
from novakit.bus import BusError
from novakit.calls.conductor import ConductorCalls
from novakit.front import ConnectionOptions, Door

log = structlog.get_logger(__name__)


MetadataHandler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

GUESTS = ConnectionOptions(total=256, per_address=32, header_within=5.0, body_within=5.0, idle_within=30.0)
"""Guests may be hostile: what one of them holds open must not cost the others of its network their metadata."""


@attrs.frozen
class _ServedNetwork:
    """What serves one network."""

    socket: socket.socket
    server: asyncio.Server
    runner: web.ServerRunner
    watch: "asyncio.Task[None]"

    async def close(self) -> None:
        self.watch.cancel()
        self.server.close()
        await self.runner.cleanup()


@attrs.define
class MetadataListeners:
    """One HTTP server per network that this host serves."""

    conductor: ConductorCalls
    _served: dict[str, "_ServedNetwork"] = attrs.field(factory=dict)
    _turn: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    async def follow(self, sockets: Mapping[str, socket.socket]) -> None:
        """Serve exactly these sockets, by network id."""
        async with self._turn:
            for network_id, old in list(self._served.items()):
                if sockets.get(network_id) is not old.socket:
                    del self._served[network_id]
                    await old.close()
            for network_id, listening in sockets.items():
                if network_id not in self._served:
                    self._served[network_id] = await self._serve(network_id, listening)

    async def _serve(self, network_id: str, listening: socket.socket) -> "_ServedNetwork":
        door = Door(GUESTS)
        server = web.Server(self._handler(network_id, door), access_log=None, auto_decompress=False)
        runner = web.ServerRunner(server)
        await runner.setup()
        # A descriptor of our own: one that the driver closes first would stay behind in the event loop, and the next
        # connection that gets its number would never be heard.
        served = await door.listen(server, listening.dup())
        return _ServedNetwork(listening, served, runner, world.spawn(door.watch(), name=f"metadata door {network_id}"))

    def _handler(self, network_id: str, door: Door) -> MetadataHandler:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            with door.handling(request):
                return await answer(request)

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            if request.method not in ("GET", "HEAD"):
                return web.Response(status=405, text="Only GET is supported here.\n")
            try:
                found = await self.conductor.metadata(network_id, request.remote or "", request.path)
            except BusError as error:
                log.warning(
                    "metadata request could not be answered", network=network_id, ip=request.remote, why=str(error)
                )
                return web.Response(
                    status=503, text="The metadata cannot be read now; try again.\n", headers={"Retry-After": "2"}
                )
            if found is None:
                return web.Response(status=404, text="There is nothing at this path.\n")
            kind = "application/json" if request.path.endswith(".json") else "text/plain"
            return web.Response(body=found.body, content_type=kind)

        return handle

    async def close(self) -> None:
        """Stop serving."""
        await self.follow({})
