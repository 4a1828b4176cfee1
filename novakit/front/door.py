"""The door: it counts connections, gives each phase of a request its time, and hangs up on who takes longer.

The idea: aiohttp parses HTTP and knows no clock; the door stands between a transport and aiohttp's protocol, sees
bytes come and answers go, and so knows of each connection in which phase it is. One sweep twice a second looks at all
of them, so a connection costs no timer of its own.
The invariant: a connection that does no work never keeps a client out. Where the limit of an address or of the
process is reached, the connection that has waited longest without working is hung up on, and the newcomer is refused
only when all of them are being answered.
The cost: one call more for each piece of data, and 0.3 ms a sweep for a thousand connections.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from enum import Enum
from typing import cast

import attrs
import structlog
from aiohttp import web

from novakit import world
from novakit.config.connections import ConnectionOptions
from novakit.front.addresses import bucket, client_of, forwarded_scheme, is_trusted
from novakit.front.descriptors import BACKLOG
from novakit.front.unreadable import MOST_AHEAD, Reader, reader, written

log = structlog.get_logger(__name__)

TICK = 0.5
"""Seconds between two sweeps; limits are kept to within as much."""
SAY_EVERY = 10.0
"""Seconds between two lines in the log about connections that were hung up on."""

_TOLD = {
    "header": (408, "The headers of the request did not arrive in time."),
    "ahead": (431, f"The first line of the request and its headers are more than {MOST_AHEAD} bytes."),
}

RequestHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Phase(Enum):
    """Where the request of a connection stands; the value is how early it goes when room is needed."""

    HEAD = 0
    """Connected, or bytes of a request came, and its headers are not complete."""
    BODY = 1
    """Its handler has begun, and the body is not complete."""
    IDLE = 2
    """Between two requests."""
    WORK = 3
    """The request is all here and is being answered."""


@attrs.define(eq=False, slots=True)
class Connection(asyncio.Protocol):
    """One client: hands everything on to aiohttp, and keeps the time."""

    door: "Door"
    inner: Reader
    transport: asyncio.Transport | None = None
    address: str = ""
    phase: Phase = Phase.HEAD
    since: float = attrs.field(factory=world.monotonic)
    """When the phase began."""
    got: int = 0
    """Bytes of the body that arrived."""
    stuck_since: float | None = None
    """Since when the client takes nothing of what it asked for."""
    more_came: bool = False
    """Whether bytes of the next request came while this one was answered."""
    vouched: bool = False
    """Whether the request under way is of somebody who has shown a good token."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not asserted: the transports of other event loops are none of asyncio's classes.
        self.transport = cast(asyncio.Transport, transport)
        if self.door.admit(self):
            self.inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self.phase is Phase.IDLE:
            self.enter(Phase.HEAD)
        elif self.phase is Phase.BODY:
            self.got += len(data)
        elif self.phase is Phase.WORK:
            self.more_came = True
        if self in self.door.open:
            self.inner.data_received(data)
            if self.inner.ahead > MOST_AHEAD:
                self.door.hang_up(self, "ahead")

    def eof_received(self) -> None:
        self.inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.door.forget(self):
            self.inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self.stuck_since = world.monotonic()
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        self.stuck_since = None
        self.inner.resume_writing()

    def enter(self, phase: Phase) -> None:
        """Begin a phase."""
        self.phase, self.since = phase, world.monotonic()

    def body_ended(self) -> None:
        """Note that the request is all here."""
        if self.phase is Phase.BODY:
            self.enter(Phase.WORK)

    def answered(self) -> None:
        """Note that the handler is done."""
        self.enter(Phase.HEAD if self.more_came else Phase.IDLE)
        self.more_came = False

    def __enter__(self) -> None:
        """Be handled, from `Door.handling` on."""

    def __exit__(self, *_: object) -> None:
        self.answered()

    @property
    def is_busy(self) -> bool:
        """Return whether work of ours is under way: a handler, or an answer that is not all sent."""
        transport = self.transport
        sending = transport is not None and (transport.get_write_buffer_size() > 0 or not transport.is_reading())
        return self.phase is Phase.WORK or sending

    @property
    def worth(self) -> tuple[int, float]:
        """Order connections by how little is lost with them: the least first, and of equals who waited longest."""
        return (len(Phase) if self.vouched and self.phase is Phase.BODY else self.phase.value), self.since

    def overdue(self, limits: ConnectionOptions, now: float) -> str | None:
        """Name what took too long; None while all is in time."""
        if self.stuck_since is not None:
            return "send" if now - self.stuck_since > limits.send_within else None
        waited = now - self.since
        match self.phase:
            case Phase.HEAD:
                return "header" if waited > limits.header_within else None
            case Phase.BODY:
                if self.transport is not None and not self.transport.is_reading():
                    self.since += TICK  # we keep the client waiting, not it us
                return "body" if waited > limits.body_within + self.got / limits.body_rate else None
            case Phase.IDLE:
                return "idle" if waited > limits.idle_within and not self.is_busy else None
        return None


@attrs.define(eq=False)
class Door:
    """Everybody who is connected to one HTTP server of this process."""

    limits: ConnectionOptions = attrs.field(factory=ConnectionOptions)
    room: int = attrs.field(default=attrs.Factory(lambda self: self.limits.total, takes_self=True))
    """Connections at a time: `limits.total`, or what descriptors leave."""
    open: set[Connection] = attrs.field(factory=set)
    hung_up: Counter[str] = attrs.field(factory=Counter)
    """How many were hung up on, by what took too long or was full; since the start."""
    _by_inner: dict[asyncio.Protocol, Connection] = attrs.field(factory=dict)
    _by_address: dict[str, set[Connection]] = attrs.field(factory=dict)
    _said: Counter[str] = attrs.field(factory=Counter)
    _said_at: float = 0.0

    def protocol(self, server: web.Server) -> Callable[[], Connection]:
        """Return what makes the protocol of one client's connection."""
        return lambda: Connection(self, reader(server))

    async def listen(self, server: web.Server, sock: socket.socket) -> asyncio.Server:
        """Serve on a socket that has its address. Raises OSError where another one listens there."""
        return await asyncio.get_running_loop().create_server(self.protocol(server), sock=sock, backlog=BACKLOG)

    async def watch(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(TICK)
            self.sweep()

    def handling(self, request: web.BaseRequest) -> AbstractContextManager[object]:
        """Note that the headers of a request are complete, and at the end of a block that it is answered."""
        connection = self._by_inner.get(request.protocol)
        _client.set(_Peer(client_of(request, self.limits.proxies()), connection))
        if connection is None:
            return nullcontext()
        connection.got = 0
        connection.more_came = connection.vouched = False
        connection.enter(Phase.BODY)
        request.content.on_eof(connection.body_ended)
        return connection

    @web.middleware
    async def middleware(self, request: web.Request, handler: RequestHandler) -> web.StreamResponse:
        """Let the door know of every request of an application; the outermost middleware."""
        if scheme := forwarded_scheme(request, self.limits.proxies()):
            request = request.clone(scheme=scheme)
        with self.handling(request):
            return await handler(request)

    def admit(self, newcomer: Connection) -> bool:
        """Take a connection in, at the cost of one that does not work where it is full. Returns whether it is in."""
        transport = newcomer.transport
        assert transport is not None
        peer = transport.get_extra_info("peername")
        host = str(peer[0]) if isinstance(peer, tuple) else "local"
        newcomer.address = bucket(host)
        _take_notice_of_silence(transport, self.limits.send_within)
        mates = self._by_address.get(newcomer.address, set())
        crowded = len(mates) >= self.limits.per_address and not is_trusted(host, self.limits.proxies())
        if crowded and not self._make_room(mates, "per_address"):
            return self._refuse(transport, "per_address")
        if len(self.open) >= self.room:
            most = max(self._by_address.values(), key=len)
            if not self._make_room(most, "total") and not self._make_room(self.open, "total"):
                return self._refuse(transport, "total")
        self.open.add(newcomer)
        self._by_inner[newcomer.inner] = newcomer
        self._by_address.setdefault(newcomer.address, set()).add(newcomer)
        return True

    def forget(self, connection: Connection) -> bool:
        """Let go of a connection that has ended. Returns whether it was in."""
        if connection not in self.open:
            return False
        self.open.discard(connection)
        self._by_inner.pop(connection.inner, None)
        mates = self._by_address[connection.address]
        mates.discard(connection)
        if not mates:
            del self._by_address[connection.address]
        return True

    def sweep(self) -> None:
        """Hang up on everybody who is overdue, and say so now and then."""
        now = world.monotonic()
        for connection in list(self.open):
            if why := connection.overdue(self.limits, now):
                self.hang_up(connection, why)
        if self.hung_up != self._said and now - self._said_at > SAY_EVERY:
            fresh = {why: count - self._said[why] for why, count in self.hung_up.items() if count > self._said[why]}
            log.warning("connections of slow or too many clients were closed", **fresh, open=len(self.open))
            self._said, self._said_at = Counter(self.hung_up), now

    def _make_room(self, among: set[Connection], why: str) -> bool:
        """Hang up on the connection that has waited longest and is of least use."""
        idle = [one for one in among if not one.is_busy]
        if not idle:
            return False
        self.hang_up(min(idle, key=lambda one: one.worth), why)
        return True

    def hang_up(self, connection: Connection, why: str) -> None:
        """End a connection, and count why; a client that is in the midst of its headers is told."""
        self.hung_up[why] += 1
        transport = connection.transport
        if transport is not None:
            told = _TOLD.get(why) if connection.phase is Phase.HEAD else None
            if told is not None and transport.get_write_buffer_size() == 0:
                transport.write(written(*told, {}))
                transport.close()
            else:
                transport.abort()
        if self.forget(connection):
            connection.inner.connection_lost(None)

    def _refuse(self, transport: asyncio.Transport, why: str) -> bool:
        self.hung_up[why] += 1
        transport.write(written(503, "Too many connections are open; try again.", {"Retry-After": "1"}))
        transport.close()
        return False


@attrs.frozen
class _Peer:
    """Whose request the present task answers."""

    address: str
    connection: Connection | None


_client: ContextVar[_Peer | None] = ContextVar("novakit_client", default=None)


def client_address() -> str:
    """Return the address of the client whose request this task answers; empty where no door stands before it."""
    client = _client.get()
    return client.address if client else ""


def vouch() -> None:
    """Note that this task's request is of somebody known: where room is needed, strangers go first."""
    client = _client.get()
    if client and client.connection:
        client.connection.vouched = True


def _take_notice_of_silence(transport: asyncio.Transport, seconds: float) -> None:
    """Let the kernel end a connection whose client acknowledges nothing: files are sent without asking the door."""
    peer = transport.get_extra_info("socket")
    if peer is not None and peer.family in (socket.AF_INET, socket.AF_INET6):
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))
