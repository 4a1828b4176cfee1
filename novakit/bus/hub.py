"""The hub of the bus of several processes on one machine: a Unix socket to the process that holds the bus itself.

The idea: every participant in another process has a stand-in on the bus of this one, so that there is one set of
rules for who may call what, whether a call crosses a process border or not.
The invariant: a participant is who its credential says (`novakit/bus/enrolments.py`), and the hub writes that name on
each message itself, so a compute host cannot speak for another. What a host may send, ask and keep waiting is
bounded.
The cost: a call through the socket takes 70 µs of CPU on both sides together, one within the process 10 µs; a
participant costs a task, and a sign of life twice a second where it shares a target.
"""

import asyncio
import math
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import orjson
import structlog

from novakit import world
from novakit.bus.enrolments import Enrolments
from novakit.bus.interface import BusError, Message, MessageHandler, Unreachable, check_permitted
from novakit.bus.memory import MemoryBus, MemoryParticipant
from novakit.bus.places import HostPace, HostPlaces
from novakit.bus.wire import ENDED, LIMIT, Answering, Asking, BadFrame, NotANewQuestion, Wire
from novakit.errors import in_words

log = structlog.get_logger(__name__)

STRANGERS = 64
"""Connections that may be there without having said who they are; above it the oldest goes of the user with most."""
HOST_LIMIT = 16 << 20
"""Bytes of one message of a compute host: the report of one with thousands of guests has a few hundred thousand."""
HOST_CALLS = 256
"""Calls of one compute host that are answered at a time; the next one is told to ask again."""
HELLO = 4096
"""Bytes with which somebody says who they are, at most."""


@attrs.define(eq=False)
class _Joined:
    """A participant in another process, as the hub knows it."""

    wire: Wire
    participant: MemoryParticipant
    stamp: str
    """What stands for the credential it came with."""
    heard: float = attrs.field(factory=world.monotonic)
    """When it gave a sign of life last; moments in which the hub itself slept do not count."""


@attrs.frozen
class _SocketCall:
    """A call that came over the socket."""

    participant: MemoryParticipant
    target: str
    method: str
    body: Mapping[str, object]
    within: float
    is_each: bool
    """Whether each server of the target is asked."""

    async def answer(self, waited: float = 0.0) -> object:
        ask = _each if self.is_each else MemoryParticipant.call
        return await ask(self.participant, self.target, self.method, self.body, within=self.within - waited)


@attrs.define
class _FromHost:
    """What one compute host sends."""

    name: str
    pace: HostPace = attrs.field(factory=HostPace)

    async def take(self, call: _SocketCall, places: HostPlaces, method: str) -> object:
        """Answer a call once it has a place among those of its method. Raises what answering it raises."""
        began = world.monotonic()
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(call.within):
                    await stack.enter_async_context(places.at_work(self.name, method))
            except TimeoutError:
                why = f"no answer within {call.within} s: all places for calls of {call.method} were taken"
                raise Unreachable(why) from None
            return await call.answer(world.monotonic() - began)


@attrs.define
class LocalHub:
    """Lets other processes of this machine join the bus of this one.

    Those that share a target with others are asked for a sign of life at every beat.
    Who gives none is given no calls that others can take, and at last hung up on, which ends the calls it had; it
    comes back by itself when it goes on.
    """

    bus: MemoryBus
    path: Path
    enrolments: Enrolments
    group: int | None = None
    """The Unix group whose members reach the socket; None is its owner alone."""
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
    _hosts: dict[str, "_FromHost"] = attrs.field(factory=dict)
    """By compute host, and kept while it is away: coming back gives it no new burst."""
    _places: HostPlaces = attrs.field(factory=lambda: HostPlaces(HOST_CALLS))
    _strangers: dict[Wire, int] = attrs.field(factory=dict)
    """Who has not said yet who it is, the oldest first, with the Unix user that connected."""
    _taking_over: set[str] = attrs.field(factory=set)
    """Names of which somebody waits to hear whether they are free: one at a time, so those who wait are few."""

    async def start(self) -> None:
        """Begin to listen; a socket left by a killed process is replaced."""
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._connected, self.path)
        if self.group is not None:
            os.chown(self.path, -1, self.group)
        self.path.chmod(0o600 if self.group is None else 0o660)
        self._watch = world.spawn(self._watch_all(), name="bus/watch")

    async def stop(self) -> None:
        """Close every connection, all at once: those who read nothing are waited for together."""
        if self._watch:
            self._watch.cancel()
        if self._server:
            self._server.close()
        await asyncio.gather(*(wire.close() for wire in self._wires))
        self.path.unlink(missing_ok=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer)
        self._wires.add(wire)
        joined: _Joined | None = None
        asking, answering = Asking(wire), Answering(wire)
        try:
            if (joined := await self._let_in(wire)) is None:
                return
            is_host = joined.participant.identity.startswith("agent:")
            name = joined.participant.identity
            host = self._hosts.setdefault(name, _FromHost(name)) if is_host else None
            while True:
                frame = await wire.read(LIMIT if host is None else HOST_LIMIT)
                if host is not None:
                    await self._places.sent(host.pace, wire.size)
                if is_host and frame["t"] in ("call", "call each") and answering.open >= HOST_CALLS:
                    wire.send(t="reply", id=frame["id"], error="too many calls at once; ask again", kind="Busy")
                    continue
                joined.heard, joined.participant.silent = world.monotonic(), False
                self._handle(frame, joined.participant, asking, answering, host)
        except (BadFrame, orjson.JSONDecodeError, KeyError, TypeError, BusError) as error:
            # A warning, so that it is folded: a host that comes back at once to do it again writes few lines.
            identity = joined and joined.participant.identity
            log.warning("a bus participant is disconnected", identity=identity, why=in_words(error))
            if isinstance(error, NotANewQuestion):
                wire.send(t="refused", why=in_words(error))
        except (*ENDED, TimeoutError) as error:
            log.info("bus connection ended", identity=joined and joined.participant.identity, why=in_words(error))
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

    async def _let_in(self, wire: Wire) -> _Joined | None:
        """Hear who somebody is, and let them join, or say why not."""
        self._make_room()
        self._strangers[wire] = wire.user()
        try:
            async with asyncio.timeout(10):
                hello = await wire.read(HELLO)
        finally:
            self._strangers.pop(wire, None)
        identity = str(hello.get("identity", ""))
        stamp = self.enrolments.admits(identity, str(hello.get("credential", "")))
        why = ""
        if stamp is None:
            why = (
                f"the credential is not that of {identity[:80]}, or it was rotated or revoked; make a new one with"
                " `novakit host rotate` or `novakit role rotate`, and copy it to that process"
            )
        elif not await self._is_free(identity):
            why = f"another process is joined as {identity}; stop it first, or give this one another name"
        if stamp is None or why:
            log.warning("a bus participant is refused", identity=identity[:80], why=why)
            wire.send(t="refused", why=why)
            return None
        joined = _Joined(wire, self.bus.join(identity), stamp)
        self._joined.add(joined)
        wire.send(t="welcome")
        return joined

    def _make_room(self) -> None:
        """Hang up on a connection that says nothing, where there are too many: one that speaks is heard at once."""
        if len(self._strangers) < STRANGERS:
            return
        most, _ = Counter(self._strangers.values()).most_common(1)[0]
        oldest = next(wire for wire, user in self._strangers.items() if user == most)
        log.warning("a bus connection that has not said who it is was closed to make room for another", user=most)
        del self._strangers[oldest]
        oldest.hang_up()

    async def _is_free(self, identity: str) -> bool:
        """Return whether a name that only one may have is free; one that gives no sign of life loses its name."""
        if ":" not in identity:
            return True
        if identity in self._taking_over:
            return False
        self._taking_over.add(identity)
        try:
            return await self._becomes_free(identity)
        finally:
            self._taking_over.discard(identity)

    async def _becomes_free(self, identity: str) -> bool:
        asked = world.monotonic()
        while (old := next((one for one in self._joined if one.participant.identity == identity), None)) is not None:
            if old.heard > asked:
                return False
            if world.monotonic() - asked > self.silent_after:
                log.warning("a bus participant does not answer, and another takes its place", identity=identity)
                old.wire.hang_up()
                self._joined.discard(old)
                await old.participant.close()
                continue
            old.wire.send(t="ping")
            await asyncio.sleep(self.beat / 10)
        return identity not in self.bus.members

    async def _watch_all(self) -> None:
        before = world.monotonic()
        while True:
            await asyncio.sleep(self.beat)
            now = world.monotonic()
            # When this process itself did not run (stopped, or its loop busy), nobody could be heard: that time is not
            # held against anybody, or a pause of the hub would end all connections at once.
            slept, before = max(now - before - self.beat, 0.0), now
            for joined in list(self._joined):
                if not self.enrolments.still_admits(joined.participant.identity, joined.stamp):
                    log.warning(
                        "a participant whose credential was rotated or revoked is disconnected",
                        identity=joined.participant.identity,
                    )
                    joined.wire.hang_up()
            for joined in [each for each in self._joined if each.participant.shares]:
                joined.heard += slept
                silence = now - joined.heard
                joined.participant.silent = silence > self.silent_after
                if silence > self.hang_up_after:
                    log.warning(
                        "a bus participant does not answer",
                        identity=joined.participant.identity,
                        seconds=round(silence),
                    )
                    joined.wire.hang_up()
                else:
                    joined.wire.send(t="ping")

    def _handle(
        self,
        frame: dict[str, Any],
        participant: MemoryParticipant,
        asking: Asking,
        answering: Answering,
        host: "_FromHost | None",
    ) -> None:
        match frame["t"]:
            case "call" | "call each" as kind:
                within, is_each = _seconds(frame["within"]), kind == "call each"
                call = _SocketCall(participant, frame["target"], frame["method"], frame["body"], within, is_each)
                work: Callable[[], Awaitable[object]] = call.answer
                if host is not None:
                    # Names that nobody serves are the host's own: they share one count, or each would have one.
                    method = str(call.method) if self.bus.has(call.target, call.method) else ""
                    work = partial(host.take, call, self._places, method)
                answering.begin(frame["id"], work, f"bus/{call.target}")
            case "withdraw":
                participant.withdraw()
                asking.wire.send(t="reply", id=frame["id"], ok=True)
            case "reply":
                asking.answered(frame)
            case "cancel":
                answering.cancel(frame["id"])
            case "publish":
                # Asked here as well: what the task finds out would end nothing, and cost a line of the log each time.
                check_permitted(participant.identity, "publish", frame["topic"])
                news = participant.publish(frame["topic"], frame["body"])
                world.spawn(_quietly(news), name=f"bus/{frame['topic']}")
            case "serve":
                participant.serve(
                    frame["target"], {name: _forward(asking, frame["target"], name) for name in frame["methods"]}
                )
            case "listen":
                topic = frame["topic"]

                def tell(message: Message) -> None:
                    asking.wire.send(t="event", topic=topic, sender=message.sender, body=message.body)

                participant.listen(topic, tell)


def _seconds(said: object) -> float:
    """Read for how many seconds a caller waits. Raises TypeError for what is not a finite number."""
    if isinstance(said, bool) or not isinstance(said, int | float) or not math.isfinite(said):
        raise TypeError(f"{str(said)[:40]!r} is not a number of seconds")
    return float(said)


async def _quietly(work: Awaitable[object]) -> None:
    try:
        await work
    except BusError as error:
        log.warning("a message could not be published", why=str(error))


async def _each(
    participant: MemoryParticipant, target: str, method: str, body: Mapping[str, object], *, within: float
) -> list[dict[str, object]]:
    """Write down what each server of a target said."""
    told: list[dict[str, object]] = []
    for reply in await participant.call_each(target, method, body, within=within):
        one = {"identity": reply.identity, "answer": reply.answer}
        if reply.error is not None:
            one |= {"error": str(reply.error), "kind": getattr(reply.error, "kind", "")}
        told.append(one)
    return told


def _forward(asking: Asking, target: str, method: str) -> MessageHandler:
    async def handler(message: Message) -> object:
        return await asking.ask(
            "ask",
            3600,
            target=target,
            method=method,
            sender=message.sender,
            deployment=message.deployment,
            body=dict(message.body),
        )

    return handler
