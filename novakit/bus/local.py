"""A participant of the bus in another process than the hub.

The idea: one connection over a Unix socket, made anew for as long as the process lives. What this participant serves
and listens to is kept here and told again with each connection, so the hub may end and come back at any time.
The invariant: `_asking` is there only while the hub has let this participant in. A call that is open when the
connection is lost ends with Unreachable, and one that comes while there is none is refused at once: none waits for
ever, and none is sent twice.
The cost: two frames and some 75 µs for each call between two processes; a try every 0.2 s while the hub is away, and up
to `PATIENCE` apart where the hub refuses.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import structlog

from novakit import tracing, world
from novakit.bus.enrolments import Credential
from novakit.bus.interface import (
    BusError,
    Listener,
    Message,
    MessageHandler,
    Reply,
    Unreachable,
    check_permitted,
    remote_error,
)
from novakit.bus.memory import tell
from novakit.bus.wire import ENDED, Answering, Asking, Wire
from novakit.errors import ConfigError, in_words

log = structlog.get_logger(__name__)

PATIENCE = 10.0
"""Seconds between two tries of one that is refused, at most: its credential may be renewed at any time."""


@attrs.define
class LocalBus:
    """A participant in another process than the hub; it comes back by itself when the hub was away."""

    identity: str
    credential: Callable[[], Credential] = attrs.field(repr=False)
    """Reads the credential anew for each connection, as it may have been rotated; raises `ConfigError`."""
    _served: dict[str, Mapping[str, MessageHandler]] = attrs.field(factory=dict)
    _listened: dict[str, list[Listener]] = attrs.field(factory=dict)
    _asking: Asking | None = None
    _answering: Answering | None = None
    _withdrawn: bool = False
    _task: asyncio.Task[None] | None = None
    _up: asyncio.Event = attrs.field(factory=asyncio.Event)
    _tried: asyncio.Event = attrs.field(factory=asyncio.Event)
    _refusals: int = 0
    refused: str = ""
    """Why the hub does not let this participant in, when it does not."""

    async def open(self) -> None:
        """Connect in the background, again and again."""
        self._task = world.spawn(self._stay_connected(), name=f"bus/{self.identity}")

    async def tried(self) -> None:
        """Wait until one try to connect has succeeded, failed or been refused."""
        await self._tried.wait()

    async def connected(self) -> None:
        """Wait until the hub has let this participant in."""
        await self._up.wait()

    async def call(
        self, target: str, method: str, body: Mapping[str, object] | None = None, *, within: float = 30
    ) -> object:
        return await self._call("call", target, method, body, within)

    async def call_each(
        self, target: str, method: str, body: Mapping[str, object] | None = None, *, within: float = 30
    ) -> list[Reply]:
        told = await self._call("call each", target, method, body, within)
        return [_reply(one) for one in told] if isinstance(told, list) else []

    async def _call(
        self, kind: str, target: str, method: str, body: Mapping[str, object] | None, within: float
    ) -> object:
        check_permitted(self.identity, "call", target)
        if self._asking is None:
            raise Unreachable(self.refused or "the bus cannot be reached")
        told = {**tracing.carried(), **(body or {})}
        return await self._asking.ask(kind, within, target=target, method=method, body=told)

    async def publish(self, topic: str, body: Mapping[str, object]) -> None:
        check_permitted(self.identity, "publish", topic)
        if self._asking:
            self._asking.wire.send(t="publish", topic=topic, body=dict(body))

    def serve(self, target: str, methods: Mapping[str, MessageHandler]) -> Callable[[], None]:
        check_permitted(self.identity, "serve", target)
        self._served[target] = dict(methods)
        if self._asking:
            self._asking.wire.send(t="serve", target=target, methods=list(methods))

        def stop() -> None:
            self._served.pop(target, None)

        return stop

    def listen(self, topic: str, listener: Listener) -> Callable[[], None]:
        check_permitted(self.identity, "listen", topic)
        listeners = self._listened.setdefault(topic, [])
        listeners.append(listener)
        if self._asking and len(listeners) == 1:
            self._asking.wire.send(t="listen", topic=topic)
        return lambda: listeners.remove(listener)

    async def drain(self, within: float) -> None:
        until = world.monotonic() + within
        self._withdrawn = True
        if self._asking is None or self._answering is None:
            return
        answering = self._answering
        try:
            # What the hub sent before it took note has arrived by the time its answer has.
            await self._asking.ask("withdraw", within)
        except Unreachable:
            return
        await answering.all_given(max(until - world.monotonic(), 0))

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _stay_connected(self) -> None:
        while True:
            try:
                await self._connection()
            except (*ENDED, KeyError, ConfigError) as error:
                log.info("bus not connected", identity=self.identity, why=in_words(error))
            self._tried.set()
            await asyncio.sleep(min(0.5 * 2**self._refusals, PATIENCE) if self.refused else 0.2)

    async def _connection(self) -> None:
        credential = self.credential()
        wire = Wire(*await asyncio.open_unix_connection(credential.bus))
        asking, answering = Asking(wire), Answering(wire)
        try:
            wire.send(identity=self.identity, credential=credential.secret)
            welcome = await wire.read()
            if welcome["t"] != "welcome":
                why = f"The bus refused {self.identity}: {welcome.get('why')}."
                if why != self.refused:
                    log.error("the bus refused this process", why=why)
                self.refused, self._refusals = why, min(self._refusals + 1, 10)
                return
            # One that is about to end must not get new calls because the hub was away for a moment.
            for target, methods in ({} if self._withdrawn else self._served).items():
                wire.send(t="serve", target=target, methods=list(methods))
            for topic in self._listened:
                wire.send(t="listen", topic=topic)
            self._asking, self._answering, self.refused, self._refusals = asking, answering, "", 0
            self._up.set()
            self._tried.set()
            while True:
                self._handle(await wire.read(), asking, answering)
        finally:
            self._asking = self._answering = None
            self._up.clear()
            asking.lost()
            answering.lost()
            await wire.close()

    def _handle(self, frame: dict[str, Any], asking: Asking, answering: Answering) -> None:
        match frame["t"]:
            case "reply":
                asking.answered(frame)
            case "ask":
                message = Message(frame["sender"], frame["body"], frame.get("deployment", ""))
                handler = self._served.get(frame["target"], {}).get(frame["method"])
                if handler is None:
                    # Sent before the hub knew that it is withdrawn. Nothing was begun, so the caller may ask another.
                    asking.wire.send(
                        t="reply",
                        id=frame["id"],
                        error="a target is not served any more",
                        unreachable=True,
                        not_taken=True,
                    )
                    return
                answering.begin(frame["id"], lambda: _answer(handler, message), f"bus/{frame['target']}")
            case "cancel":
                answering.cancel(frame["id"])
            case "ping":
                asking.wire.send(t="pong")
            case "event":
                message = Message(frame["sender"], frame["body"])
                for listener in tuple(self._listened.get(frame["topic"], ())):
                    tell(listener, frame["topic"], message)


async def _answer(handler: MessageHandler, message: Message) -> object:
    with tracing.attached(message.body):
        return await handler(message)


def _reply(told: Mapping[str, Any]) -> Reply:
    """Read what the hub wrote down."""
    error: BusError | None = None
    if "error" in told:
        error = remote_error(told["kind"], told["error"]) if told["kind"] else Unreachable(told["error"])
    return Reply(identity=told["identity"], answer=told["answer"], error=error)
