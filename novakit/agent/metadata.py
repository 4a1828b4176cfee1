"""The metadata service of a host: a guest is known by the network its connection comes from, and its address there."""

import asyncio
import socket
from collections.abc import Mapping

import attrs
import structlog
from aiohttp import web

from novakit.bus import BusError
from novakit.conductor.calls import ConductorCalls

log = structlog.get_logger(__name__)


@attrs.define
class MetadataListeners:
    """One HTTP server per network that this host serves."""

    conductor: ConductorCalls
    _runners: dict[str, tuple[socket.socket, web.ServerRunner]] = attrs.field(factory=dict)
    _turn: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    async def follow(self, sockets: Mapping[str, socket.socket]) -> None:
        """Serve exactly these sockets, by network id."""
        async with self._turn:
            for network_id, (old, runner) in list(self._runners.items()):
                if sockets.get(network_id) is not old:
                    del self._runners[network_id]
                    await runner.cleanup()
            for network_id, listening in sockets.items():
                if network_id not in self._runners:
                    runner = web.ServerRunner(web.Server(self._handler(network_id), access_log=None))
                    await runner.setup()
                    # A descriptor of our own: one that the driver closes first would stay behind in the event loop,
                    # and the next connection that gets its number would never be heard.
                    await web.SockSite(runner, listening.dup()).start()
                    self._runners[network_id] = (listening, runner)

    def _handler(self, network_id: str):  # type: ignore[no-untyped-def]
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            if request.method not in ("GET", "HEAD"):
                return web.Response(status=405, text="Only GET is possible here.\n")
            try:
                answer = await self.conductor.metadata(network_id, request.remote or "", request.path)
            except BusError as error:
                log.warning("metadata request not answered", network=network_id, ip=request.remote, why=str(error))
                return web.Response(status=503, text="Not now; ask again.\n", headers={"Retry-After": "2"})
            if answer is None:
                return web.Response(status=404, text="There is nothing here.\n")
            kind = "application/json" if request.path.endswith(".json") else "text/plain"
            return web.Response(body=answer.body, content_type=kind)

        return handle

    async def close(self) -> None:
        """Stop serving."""
        await self.follow({})
