"""The hub of the bus of several processes on one machine: a Unix socket to the process that holds the bus itself.

A participant proves its identity with a credential made from the hub's key, so a compute host that holds its own cannot
speak for another.
"""

import asyncio
import hashlib
import hmac
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import structlog

from novakit import durable, world
from novakit.bus.interface import BusError, Handler, Message
from novakit.bus.memory import MemoryBus, MemoryParticipant
from novakit.bus.wire import ENDED, Answering, Asking, Wire

log = structlog.get_logger(__name__)

KEY_LENGTH = 32
"""Bytes of the hub's key."""


def hub_key(path: Path) -> bytes:
    """Return the key of the hub, made at first use and readable by its owner alone.

    Raises ConfigError for a file that was cut off.
    """
    if not path.exists():
        durable.make(path, world.chance().randbytes(KEY_LENGTH))
    return durable.read_key(path, KEY_LENGTH)


def credential(key: bytes, identity: str) -> str:
    """Make what lets its holder join as `identity`."""
    return hmac.new(key, identity.encode(), hashlib.sha256).hexdigest()


@attrs.define(eq=False)
class _Joined:
    """A participant in another process, as the hub knows it."""

    wire: Wire
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
    _wires: set[Wire] = attrs.field(factory=set)
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
        wire = Wire(reader, writer)
        self._wires.add(wire)
        joined: _Joined | None = None
        identity = ""
        asking, answering = Asking(wire), Answering(wire)
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
        except (*ENDED, TimeoutError, KeyError, TypeError, BusError) as error:
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
        self, frame: dict[str, Any], participant: MemoryParticipant, asking: Asking, answering: Answering
    ) -> None:
        match frame["t"]:
            case "call":
                call = (frame["target"], frame["method"], frame["body"])
                within = _seconds(frame["within"])
                answering.begin(frame["id"], lambda: participant.call(*call, within=within), f"bus/{frame['target']}")
            case "call each":
                each = (frame["target"], frame["method"], frame["body"], _seconds(frame["within"]))
                answering.begin(frame["id"], lambda: _each(participant, *each), f"bus/{frame['target']}")
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


def _seconds(said: Any) -> float:
    """Read how long somebody waits; what is no number of seconds would set the clock of everybody's waiting wrong."""
    if type(said) not in (int, float) or not math.isfinite(said):
        raise TypeError(f"{str(said)[:40]!r} is no number of seconds")
    return float(said)


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


def _forward(asking: Asking, target: str, method: str) -> Handler:
    async def handler(message: Message) -> Any:
        return await asking.ask(
            "ask", 3600, target=target, method=method, sender=message.sender, body=dict(message.body)
        )

    return handler
