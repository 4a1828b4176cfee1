"""The bus of several processes on one machine: a Unix socket to the process that holds the in-process bus.

A participant proves its identity with a credential made from the hub's key, so a compute host that holds its own cannot
speak for another.
"""

import asyncio
import contextlib
import hashlib
import hmac
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import orjson
import structlog

from novakit import world
from novakit.bus.interface import (
    BusError,
    Handler,
    Listener,
    Message,
    RemoteError,
    Reply,
    Unreachable,
    check_permitted,
)
from novakit.bus.memory import EXPECTED, MemoryBus, MemoryParticipant
from novakit.monitoring import spans

log = structlog.get_logger(__name__)

LIMIT = 64 << 20
"""Bytes of one message."""

BACKLOG = 2 * LIMIT
"""Bytes that may wait for a participant that reads nothing before it is hung up on."""


def hub_key(path: Path) -> bytes:
    """Give the key of the hub, made at first use and readable by its owner alone."""
    if not path.exists():
        # Linked into place once it is whole, so that nobody ever reads a part of a key, whatever is killed.
        part = path.with_name(f"{path.name}.{world.new_id()}")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(descriptor, world.chance().randbytes(32))
        os.close(descriptor)
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(part)
        part.unlink()
    return path.read_bytes()


def credential(key: bytes, identity: str) -> str:
    """Make what lets its holder join as `identity`."""
    return hmac.new(key, identity.encode(), hashlib.sha256).hexdigest()


@attrs.define(eq=False)
class _Wire:
    """Frames on one connection: a length, then JSON."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read(self) -> dict[str, Any]:
        size = int.from_bytes(await self.reader.readexactly(4), "big")
        if size > LIMIT:
            raise ConnectionError(f"a message of {size} bytes is above {LIMIT}")
        frame = orjson.loads(await self.reader.readexactly(size))
        if not isinstance(frame, dict):
            raise ConnectionError("a message must be an object")
        return frame

    def send(self, **frame: Any) -> None:
        encoded = orjson.dumps(frame)
        self.writer.write(len(encoded).to_bytes(4, "big") + encoded)
        if self.writer.transport.get_write_buffer_size() > BACKLOG:
            log.warning("bus participant reads nothing", waiting=BACKLOG)
            self.hang_up()

    def hang_up(self) -> None:
        """End the connection without waiting for anything that is still to be sent."""
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


_ENDED = (asyncio.IncompleteReadError, OSError, orjson.JSONDecodeError)


@attrs.define
class _Asking:
    """Questions on a connection that wait for their answers."""

    wire: _Wire
    _open: dict[int, asyncio.Future[Any]] = attrs.field(factory=dict)
    _last: int = 0

    async def ask(self, kind: str, within: float, **frame: Any) -> Any:
        self._last += 1
        number = self._last
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._open[number] = answer
        try:
            self.wire.send(t=kind, id=number, within=within, **frame)
            async with asyncio.timeout(within + 1):
                return await answer
        except TimeoutError as error:
            raise Unreachable(f"no answer within {within} s") from error
        except asyncio.CancelledError:
            self.wire.send(t="cancel", id=number)
            raise
        finally:
            self._open.pop(number, None)

    def answered(self, frame: Mapping[str, Any]) -> None:
        answer = self._open.get(frame["id"])
        if answer is None or answer.done():
            return
        if "error" not in frame:
            answer.set_result(frame.get("ok"))
        elif frame.get("unreachable"):
            answer.set_exception(Unreachable(frame["error"]))
        else:
            answer.set_exception(RemoteError(frame["kind"], frame["error"]))

    def lost(self) -> None:
        for answer in self._open.values():
            if not answer.done():
                answer.set_exception(Unreachable("the connection to the bus was lost"))


@attrs.define
class _Answering:
    """Questions from the other side, each in a task of its own."""

    wire: _Wire
    _tasks: dict[int, asyncio.Task[None]] = attrs.field(factory=dict)

    def begin(self, number: int, work: Callable[[], Any], name: str) -> None:
        task = world.spawn(self._answer(number, work), name=name)
        self._tasks[number] = task
        task.add_done_callback(lambda _: self._tasks.pop(number, None))

    async def _answer(self, number: int, work: Callable[[], Any]) -> None:
        try:
            self.wire.send(t="reply", id=number, ok=await work())
        except Unreachable as error:
            self.wire.send(t="reply", id=number, error=str(error), unreachable=True)
        except Exception as error:
            kind = getattr(error, "kind", "") or type(error).__name__
            if kind not in EXPECTED and not isinstance(error, BusError):
                log.warning("bus handler raised", exc_info=error)
            self.wire.send(t="reply", id=number, error=str(error), kind=kind)

    def cancel(self, number: int) -> None:
        if task := self._tasks.get(number):
            task.cancel()

    async def all_given(self, within: float) -> None:
        """Wait for up to `within` seconds until every question so far is answered."""
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=within)

    def lost(self) -> None:
        for task in list(self._tasks.values()):
            task.cancel()


@attrs.define(eq=False)
class _Joined:
    """A participant in another process, as the hub knows it."""

    wire: _Wire
    participant: MemoryParticipant
    heard: float = attrs.field(factory=world.monotonic)
    """When it gave a sign of life last; moments in which the hub itself slept do not count."""


@attrs.define
class LocalHub:
    """Lets other processes of this machine join the bus of this one.

    Those that share a target with others are asked for a sign of life at every beat.
    Who gives none is given no calls that others can take, and at last hung up on, which ends the calls it had; it
    comes back by itself when it goes on.
    """

    bus: MemoryBus
    path: Path
    key: bytes
    beat: float = 0.5
    """Seconds from one look at the participants to the next."""
    silent_after: float = 2.0
    """Seconds without a sign of life after which others are preferred."""
    hang_up_after: float = 10.0
    """Seconds without a sign of life after which the connection ends."""
    _server: asyncio.Server | None = None
    _watch: asyncio.Task[None] | None = None
    _wires: set[_Wire] = attrs.field(factory=set)
    _joined: set[_Joined] = attrs.field(factory=set)

    async def start(self) -> None:
        """Begin to listen; a socket left by a killed process is replaced."""
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._connected, self.path)
        self.path.chmod(0o600)
        self._watch = world.spawn(self._watch_all(), name="bus/watch")

    async def stop(self) -> None:
        """Close every connection."""
        if self._watch:
            self._watch.cancel()
        if self._server:
            self._server.close()
        for wire in list(self._wires):
            await wire.close()
        self.path.unlink(missing_ok=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = _Wire(reader, writer)
        self._wires.add(wire)
        joined: _Joined | None = None
        identity = ""
        asking, answering = _Asking(wire), _Answering(wire)
        try:
            async with asyncio.timeout(10):
                hello = await wire.read()
            identity = str(hello.get("identity", ""))
            if not hmac.compare_digest(credential(self.key, identity), str(hello.get("credential", ""))):
                wire.send(t="refused", why=f"the credential is not that of {identity}")
                return
            joined = _Joined(wire, self.bus.join(identity))
            self._joined.add(joined)
            wire.send(t="welcome")
            while True:
                frame = await wire.read()
                joined.heard, joined.participant.silent = world.monotonic(), False
                self._handle(frame, joined.participant, asking, answering)
        except (*_ENDED, TimeoutError, KeyError, BusError) as error:
            log.info("bus connection ended", identity=identity if joined else None, why=repr(error))
        finally:
            self._wires.discard(wire)
            if joined:
                self._joined.discard(joined)
                joined.participant.withdraw()
            asking.lost()
            answering.lost()
            if joined:
                await joined.participant.close()
            await wire.close()

    async def _watch_all(self) -> None:
        before = world.monotonic()
        while True:
            await asyncio.sleep(self.beat)
            now = world.monotonic()
            slept, before = max(now - before - self.beat, 0.0), now
            for joined in [each for each in self._joined if each.participant.shares]:
                joined.heard += slept
                silence = now - joined.heard
                joined.participant.silent = silence > self.silent_after
                if silence > self.hang_up_after:
                    log.warning("bus participant hangs", identity=joined.participant.identity, seconds=round(silence))
                    joined.wire.hang_up()
                else:
                    joined.wire.send(t="ping")

    def _handle(
        self, frame: dict[str, Any], participant: MemoryParticipant, asking: _Asking, answering: _Answering
    ) -> None:
        match frame["t"]:
            case "call":
                call = (frame["target"], frame["method"], frame["body"])
                within = float(frame["within"])
                answering.begin(frame["id"], lambda: participant.call(*call, within=within), f"bus/{frame['target']}")
            case "call each":
                each = (frame["target"], frame["method"], frame["body"])
                work = _each(participant, *each, float(frame["within"]))
                answering.begin(frame["id"], lambda: work, f"bus/{frame['target']}")
            case "withdraw":
                participant.withdraw()
                asking.wire.send(t="reply", id=frame["id"], ok=True)
            case "reply":
                asking.answered(frame)
            case "cancel":
                answering.cancel(frame["id"])
            case "publish":
                news = participant.publish(frame["topic"], frame["body"])
                world.spawn(_quietly(news), name=f"bus/{frame['topic']}")
            case "serve":
                participant.serve(
                    frame["target"], {name: _forward(asking, frame["target"], name) for name in frame["methods"]}
                )
            case "listen":
                topic = frame["topic"]

                async def tell(message: Message) -> None:
                    asking.wire.send(t="event", topic=topic, sender=message.sender, body=message.body)

                participant.listen(topic, tell)


async def _quietly(work: Any) -> None:
    try:
        await work
    except BusError as error:
        log.warning("not published", why=str(error))


async def _each(
    participant: MemoryParticipant, target: str, method: str, body: Mapping[str, Any], within: float
) -> list[dict[str, Any]]:
    """Write down what each server of a target said."""
    told: list[dict[str, Any]] = []
    for reply in await participant.call_each(target, method, body, within=within):
        one = {"identity": reply.identity, "answer": reply.answer}
        if reply.error is not None:
            one |= {"error": str(reply.error), "kind": getattr(reply.error, "kind", "")}
        told.append(one)
    return told


def _reply(told: Mapping[str, Any]) -> Reply:
    """Read what `_each` wrote down."""
    error: BusError | None = None
    if "error" in told:
        error = RemoteError(told["kind"], told["error"]) if told["kind"] else Unreachable(told["error"])
    return Reply(identity=told["identity"], answer=told["answer"], error=error)


def _forward(asking: _Asking, target: str, method: str) -> Handler:
    async def handler(message: Message) -> Any:
        return await asking.ask(
            "ask", 3600, target=target, method=method, sender=message.sender, body=dict(message.body)
        )

    return handler


@attrs.define
class LocalBus:
    """A participant in another process than the hub; it comes back by itself when the hub was away."""

    path: Path
    identity: str
    credential: str = attrs.field(repr=False)
    _served: dict[str, Mapping[str, Handler]] = attrs.field(factory=dict)
    _listened: dict[str, list[Listener]] = attrs.field(factory=dict)
    _asking: _Asking | None = None
    _answering: _Answering | None = None
    _withdrawn: bool = False
    _task: asyncio.Task[None] | None = None
    _up: asyncio.Event = attrs.field(factory=asyncio.Event)
    refused: str = ""
    """Why the hub does not let this participant in, when it does not."""

    async def open(self) -> None:
        """Connect in the background, again and again."""
        self._task = world.spawn(self._stay_connected(), name=f"bus/{self.identity}")

    async def connected(self) -> None:
        """Wait until the hub has let this participant in."""
        await self._up.wait()

    async def call(self, target: str, method: str, body: Mapping[str, Any] | None = None, *, within: float = 30) -> Any:
        return await self._call("call", target, method, body, within)

    async def call_each(
        self, target: str, method: str, body: Mapping[str, Any] | None = None, *, within: float = 30
    ) -> list[Reply]:
        return [_reply(told) for told in await self._call("call each", target, method, body, within)]

    async def _call(self, kind: str, target: str, method: str, body: Mapping[str, Any] | None, within: float) -> Any:
        check_permitted(self.identity, "call", target)
        if self._asking is None:
            raise Unreachable(self.refused or f"the bus at {self.path} is not there")
        told = {**spans.carried(), **(body or {})}
        return await self._asking.ask(kind, within, target=target, method=method, body=told)

    async def publish(self, topic: str, body: Mapping[str, Any]) -> None:
        check_permitted(self.identity, "publish", topic)
        if self._asking:
            self._asking.wire.send(t="publish", topic=topic, body=dict(body))

    def serve(self, target: str, methods: Mapping[str, Handler]) -> Callable[[], None]:
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
            except (*_ENDED, KeyError) as error:
                log.info("bus not connected", path=str(self.path), why=repr(error))
            await asyncio.sleep(0.2)

    async def _connection(self) -> None:
        wire = _Wire(*await asyncio.open_unix_connection(self.path))
        asking, answering = _Asking(wire), _Answering(wire)
        try:
            wire.send(identity=self.identity, credential=self.credential)
            welcome = await wire.read()
            if welcome["t"] != "welcome":
                self.refused = str(welcome.get("why"))
                log.error("the bus refused this process", why=self.refused)
                await asyncio.sleep(5)
                return
            for target, methods in ({} if self._withdrawn else self._served).items():
                wire.send(t="serve", target=target, methods=list(methods))
            for topic in self._listened:
                wire.send(t="listen", topic=topic)
            self._asking, self._answering = asking, answering
            self._up.set()
            while True:
                self._handle(await wire.read(), asking, answering)
        finally:
            self._asking = self._answering = None
            self._up.clear()
            asking.lost()
            answering.lost()
            await wire.close()

    def _handle(self, frame: dict[str, Any], asking: _Asking, answering: _Answering) -> None:
        match frame["t"]:
            case "reply":
                asking.answered(frame)
            case "ask":
                message = Message(frame["sender"], frame["body"])
                handler = self._served.get(frame["target"], {}).get(frame["method"])
                if handler is None:
                    asking.wire.send(t="reply", id=frame["id"], error="not served any more", unreachable=True)
                    return
                answering.begin(frame["id"], lambda: _answer(handler, message), f"bus/{frame['target']}")
            case "cancel":
                answering.cancel(frame["id"])
            case "ping":
                asking.wire.send(t="pong")
            case "event":
                message = Message(frame["sender"], frame["body"])
                for listener in tuple(self._listened.get(frame["topic"], ())):
                    world.spawn(_tell(listener, frame["topic"], message), name=f"bus/{frame['topic']}")


async def _answer(handler: Handler, message: Message) -> Any:
    with spans.attached(message.body):
        return await handler(message)


async def _tell(listener: Listener, topic: str, message: Message) -> None:
    try:
        await listener(message)
    except Exception as error:
        log.warning("bus listener raised", topic=topic, exc_info=error)
