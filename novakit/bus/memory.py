"""The bus of one process: messages are encoded and decoded all the same, so nothing live crosses it."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import orjson
import structlog

from novakit import world
from novakit.bus.interface import Handler, Listener, Message, RemoteError, Unreachable, check_permitted
from novakit.monitoring import spans

log = structlog.get_logger(__name__)

EXPECTED = ("Refused", "NotFound", "Busy")
"""Errors of the contract, which say all there is to say."""


@attrs.define
class _Served:
    """One server of a target."""

    identity: str
    methods: Mapping[str, Handler]


@attrs.define
class MemoryBus:
    """Where the participants of one process meet."""

    _targets: dict[str, list[_Served]] = attrs.field(factory=dict)
    _topics: dict[str, list[Listener]] = attrs.field(factory=dict)

    def join(self, identity: str) -> "MemoryParticipant":
        """Give a participant its connection."""
        return MemoryParticipant(self, identity)


@attrs.define
class MemoryParticipant:
    """One role's connection to the bus of its process."""

    _bus: MemoryBus
    identity: str
    _undo: list[Callable[[], None]] = attrs.field(factory=list)

    async def call(self, target: str, method: str, body: Mapping[str, Any] | None = None, *, within: float = 30) -> Any:
        check_permitted(self.identity, "call", target)
        servers = self._bus._targets.get(target)
        if not servers:
            raise Unreachable(f"nobody serves {target}")
        served = servers[0]
        if len(servers) > 1:
            servers.append(servers.pop(0))
        if method not in served.methods:
            raise RemoteError("NotFound", f"{target} has no {method}")
        message = Message(self.identity, orjson.loads(orjson.dumps({**spans.carried(), **(body or {})})))
        try:
            async with asyncio.timeout(within):
                answer = await served.methods[method](message)
        except TimeoutError as error:
            raise Unreachable(f"{target} did not answer {method} within {within} s") from error
        except (Unreachable, RemoteError):
            raise
        except Exception as error:
            kind = getattr(error, "kind", "") or type(error).__name__
            if kind not in EXPECTED:
                log.warning("bus handler raised", target=target, method=method, exc_info=error)
            raise RemoteError(kind, str(error)) from error
        return orjson.loads(orjson.dumps(answer))

    async def publish(self, topic: str, body: Mapping[str, Any]) -> None:
        check_permitted(self.identity, "publish", topic)
        listeners = self._bus._topics.get(topic)
        if not listeners:
            return
        encoded = orjson.dumps(body)
        for listener in tuple(listeners):
            message = Message(self.identity, orjson.loads(encoded))
            world.spawn(_tell(listener, topic, message), name=f"bus/{topic}")

    def serve(self, target: str, methods: Mapping[str, Handler]) -> Callable[[], None]:
        check_permitted(self.identity, "serve", target)
        served = _Served(self.identity, dict(methods))
        servers = self._bus._targets.setdefault(target, [])
        if target.startswith("agent."):
            servers.clear()
        servers.append(served)

        def stop() -> None:
            if served in servers:
                servers.remove(served)

        self._undo.append(stop)
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

    async def close(self) -> None:
        for undo in self._undo:
            undo()


async def _tell(listener: Listener, topic: str, message: Message) -> None:
    try:
        await listener(message)
    except Exception as error:
        log.warning("bus listener raised", topic=topic, exc_info=error)
