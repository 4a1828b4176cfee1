"""The bus of one process: messages are encoded and decoded all the same, so nothing live crosses it.

The idea: targets and topics are lists of who serves and who listens. A call goes to the server with the least to do;
only records that cannot be changed, which their contract has looked at, are handed over as they are. The hub joins with
one participant for each real one, so this module decides for other processes, too.
The invariant: of a host's target there is one server, the latest; a call of a shared one goes to one of its servers.
What a handler gets and what the caller keeps share nothing that can be changed. A participant that was withdrawn
begins no call, and `drain` has waited for those that it took.
The cost: 5 µs for a call of a small body beside what its handler does, 1 µs for a publication; no task is made.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Mapping

import attrs
import orjson
import structlog

from novakit import tracing
from novakit.bus.interface import (
    BusError,
    Listener,
    Message,
    MessageHandler,
    NotTaken,
    RemoteError,
    Reply,
    Sealed,
    Unreachable,
    check_permitted,
    remote_error,
)
from novakit.bus.places import held_place
from novakit.concurrency.deadlines import Deadline

log = structlog.get_logger(__name__)

EXPECTED = ("Refused", "NotFound", "Busy", "BadCall", "NotPermitted")
"""Errors of the contract, which say all there is to say."""


@attrs.define(eq=False)
class _TargetServer:
    """One server of a target."""

    participant: "MemoryParticipant"
    methods: Mapping[str, MessageHandler]
    idle: asyncio.Event = attrs.field(factory=asyncio.Event)
    """Set while it has nothing to do."""
    _running: int = 0

    def __attrs_post_init__(self) -> None:
        self.idle.set()

    def burden(self) -> tuple[bool, int]:
        """Return what calls are given out by, the least first: silent participants last, then those with most to do."""
        return self.participant.silent, self._running

    def begin(self) -> None:
        """Count a call until its `end`."""
        self._running += 1
        self.idle.clear()

    def end(self) -> None:
        """Count a call no more, as it is answered."""
        self._running -= 1
        if not self._running:
            self.idle.set()


@attrs.define
class MemoryBus:
    """Where the participants of one process meet."""

    deployment: str = ""
    """Which deployment's control plane holds the bus; every call carries it."""
    _targets: dict[str, list[_TargetServer]] = attrs.field(factory=dict)
    _topics: dict[str, list[Listener]] = attrs.field(factory=dict)

    members: Counter[str] = attrs.field(factory=Counter)
    """How many participants have joined under each identity."""

    def has(self, target: str, method: object) -> bool:
        """Return whether anybody serves a method of a target."""
        return any(method in served.methods for served in self._targets.get(target, ()))

    def join(self, identity: str) -> "MemoryParticipant":
        """Give a participant its connection."""
        self.members[identity] += 1
        return MemoryParticipant(self, identity)


@attrs.define(eq=False)
class MemoryParticipant:
    """One role's connection to the bus of its process."""

    _bus: MemoryBus
    identity: str
    silent: bool = False
    """Set by the hub while the real participant, in another process, gives no sign of life."""
    _serves: list[tuple[str, _TargetServer]] = attrs.field(factory=list)
    _undo: list[Callable[[], None]] = attrs.field(factory=list)
    _closed: bool = False

    @property
    def shares(self) -> bool:
        """Return whether it serves a target that others may serve, too."""
        return any(not _is_alone(target) for target, _ in self._serves)

    async def call(
        self, target: str, method: str, body: Mapping[str, object] | None = None, *, within: float = 30
    ) -> object:
        check_permitted(self.identity, "call", target)
        servers = self._bus._targets.get(target)
        if not servers:
            raise NotTaken(f"no process serves {target}")
        served = servers[0]
        if len(servers) > 1:
            served = min(servers, key=_TargetServer.burden)
            # To the end: of servers that are equally busy, `min` takes the first, so they take turns.
            servers.remove(served)
            servers.append(served)
        place = held_place() if _is_alone(target) else None
        if place is None:
            return await self._ask(served, target, method, body, within)
        # Nobody waits for a place because a host answers late.
        place.give()
        try:
            return await self._ask(served, target, method, body, within)
        finally:
            await place.take()

    async def call_each(
        self, target: str, method: str, body: Mapping[str, object] | None = None, *, within: float = 30
    ) -> list[Reply]:
        check_permitted(self.identity, "call", target)

        async def ask(served: _TargetServer) -> Reply:
            identity = served.participant.identity
            try:
                return Reply(identity=identity, answer=await self._ask(served, target, method, body, within))
            except BusError as error:
                return Reply(identity=identity, error=error)

        replies = await asyncio.gather(*(ask(served) for served in self._bus._targets.get(target, ())))
        return sorted(replies, key=lambda reply: reply.identity)

    async def _ask(
        self, served: _TargetServer, target: str, method: str, body: Mapping[str, object] | None, within: float
    ) -> object:
        if method not in served.methods:
            raise remote_error("NotFound", f"{target} has no {method}")
        # Encoded and decoded although both sides are here: a body that only works within one process would be found
        # out when roles are run apart, and a handler could change what its caller still uses.
        sealed: dict[str, object] = {}
        given: dict[str, object] = {**tracing.carried()}
        for name, value in (body or {}).items():
            (sealed if isinstance(value, Sealed) else given)[name] = value
        message = Message(self.identity, {**orjson.loads(orjson.dumps(given)), **sealed}, self._bus.deployment)
        served.begin()
        try:
            with Deadline(within):
                answer = await served.methods[method](message)
        except TimeoutError as error:
            raise Unreachable(f"{target} did not answer {method} within {within} s") from error
        except (Unreachable, RemoteError):
            raise
        except Exception as error:
            kind = getattr(error, "kind", "") or type(error).__name__
            if kind not in EXPECTED:
                log.warning("a bus call could not be answered", target=target, method=method, exc_info=error)
            raise remote_error(kind, str(error)) from error
        finally:
            served.end()
        return answer if answer is None or isinstance(answer, Sealed) else orjson.loads(orjson.dumps(answer))

    async def publish(self, topic: str, body: Mapping[str, object]) -> None:
        check_permitted(self.identity, "publish", topic)
        listeners = self._bus._topics.get(topic)
        if not listeners:
            return
        encoded = orjson.dumps(body)
        for listener in tuple(listeners):
            message = Message(self.identity, orjson.loads(encoded))
            tell(listener, topic, message)

    def serve(self, target: str, methods: Mapping[str, MessageHandler]) -> Callable[[], None]:
        check_permitted(self.identity, "serve", target)
        served = _TargetServer(self, dict(methods))
        servers = self._bus._targets.setdefault(target, [])
        if _is_alone(target):
            # The latest agent of a host counts: the one before has lost its connection or hangs.
            servers.clear()
        before = [one for known, one in self._serves if known == target]
        servers[:] = [*(one for one in servers if one not in before), served]
        self._serves = [*(pair for pair in self._serves if pair[0] != target), (target, served)]

        def stop() -> None:
            if served in servers:
                servers.remove(served)

        return stop

    def listen(self, topic: str, listener: Listener) -> Callable[[], None]:
        check_permitted(self.identity, "listen", topic)
        listeners = self._bus._topics.setdefault(topic, [])
        listeners.append(listener)

        def stop() -> None:
            if listener in listeners:
                listeners.remove(listener)

        self._undo.append(stop)
        return stop

    def withdraw(self) -> None:
        """Take no more calls; those that were taken go on."""
        for target, served in self._serves:
            servers = self._bus._targets.get(target, [])
            if served in servers:
                servers.remove(served)

    async def drain(self, within: float) -> None:
        self.withdraw()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await asyncio.gather(*(served.idle.wait() for _, served in self._serves))

    async def close(self) -> None:
        self.withdraw()
        for undo in self._undo:
            undo()
        if not self._closed:
            self._closed = True
            self._bus.members[self.identity] -= 1
            self._bus.members += Counter()  # drops those of whom none is left


def _is_alone(target: str) -> bool:
    """Return whether a target has one server at a time: a host's agent, of which the latest counts."""
    return target.startswith("agent.")


def tell(listener: Listener, topic: str, message: Message) -> None:
    """Let a listener hear a message; what it raises costs nobody else anything."""
    try:
        listener(message)
    except Exception as error:
        log.warning("a bus listener failed", topic=topic, exc_info=error)
