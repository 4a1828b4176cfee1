"""What every bus does, in one process or across many."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import attrs
import structlog

log = structlog.get_logger(__name__)


@attrs.frozen
class Sealed:
    """A record on its way, which nobody can change: on a wire it is plain data, within a process it stays itself.

    Writing and reading a host's topology costs more than all else that is done for a new server.
    """

    record: object
    write: Callable[[object], object]

    def plain(self) -> object:
        """Return the record as plain data."""
        return self.write(self.record)


def plain_of(value: object) -> object:
    """Return what a message holds as plain data, for `orjson.dumps`. Raises TypeError."""
    if isinstance(value, Sealed):
        return value.plain()
    raise TypeError(f"a message cannot hold a {type(value).__name__}")


@attrs.frozen
class Message:
    """What a handler gets: who sent it, and plain data; within a process `Sealed` records, too."""

    sender: str
    """The authenticated identity of the caller: `conductor`, `api`, `scheduler:<name>` or `agent:<host>`."""
    body: Mapping[str, object]
    deployment: str = ""
    """The id of the deployment whose bus this is; empty where the bus was given none."""


MessageHandler = Callable[[Message], Awaitable[object]]
Listener = Callable[[Message], None]
"""Takes note of a message and returns; what there is to do about it is done later, by somebody else."""


class BusError(Exception):
    """A call did not give an answer."""


class Unreachable(BusError):
    """Nobody serves the target, or it did not answer in time; the work may or may not have been done."""


class NotTaken(Unreachable):
    """Nobody took the call, so nothing of it was done: no process serves the target, or the one that does refuses it
    for now."""


class RemoteError(BusError):
    """The other side raised: `kind` is the error's class name, the message is its sentence."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class RemoteBusy(RemoteError):
    """The other side said: not now, ask again."""


class RemoteRefused(RemoteError):
    """The other side said: what was asked can never work there; the sentence is for whoever asked for it."""


class RemoteNotFound(RemoteError):
    """The other side said: what was named does not exist there."""


class BadAnswer(RemoteError):
    """The other side answered with what is no answer to what it was asked."""

    def __init__(self, message: str) -> None:
        super().__init__("BadAnswer", message)


_KINDS = {"Busy": RemoteBusy, "Refused": RemoteRefused, "NotFound": RemoteNotFound}


def remote_error(kind: str, message: str) -> RemoteError:
    """Make the error that stands for what the other side raised."""
    return _KINDS.get(kind, RemoteError)(kind, message)


class BadCall(BusError):
    """A call came that lacks something, or holds what is not of its contract."""


class NotPermitted(BusError):
    """The participant may not do that on the bus, whoever it says it is."""


@attrs.frozen(kw_only=True)
class Reply:
    """What one of several servers of a target said."""

    identity: str
    answer: object = None
    error: BusError | None = None
    """Why there is no answer."""


def check_permitted(identity: str, action: str, name: str) -> None:
    """Hold every participant to its part; raise `NotPermitted`.

    A compute host may call the conductor and serve itself, and nothing else.
    It cannot reach other hosts, the scheduler or any topic.
    Any other role serves the target of its own name: `scheduler`, and `scheduler:<name>` of several, the target
    `scheduler`.
    """
    if identity.startswith("agent:"):
        own = {("call", "conductor"), ("serve", f"agent.{identity.removeprefix('agent:')}")}
        allowed = (action, name) in own
    else:
        allowed = action != "serve" or name == identity.partition(":")[0]
    if not allowed:
        raise not_permitted(identity, action, name)


def not_permitted(identity: str, action: str, name: str) -> NotPermitted:
    """Log what a participant tried and may not do, and make the error that it gets."""
    # The name is the participant's own, of any length, and goes into the log and the answer.
    log.warning("not permitted on the bus", identity=identity, action=action, name=str(name)[:80])
    return NotPermitted(f"{identity} may not {action} {str(name)[:80]}")


class Bus(Protocol):
    """One participant's connection to the others."""

    @property
    def identity(self) -> str:
        """Return who this participant is to the others."""

    async def call(
        self, target: str, method: str, body: Mapping[str, object] | None = None, *, within: float = 30
    ) -> object:
        """Ask one server of `target` and wait for its answer for `within` seconds.

        Several servers share the calls to a target: each call goes to one of them, to one that has less to do rather
        than more, and to one that has gone silent only where all have.
        Raises RemoteError when the other side raised, Unreachable when no answer came, which is known at once
        where the server that had the call has died, and soon where it hangs.
        It may have done its work all the same, so what several serve must bear being asked twice.
        """

    async def call_each(
        self, target: str, method: str, body: Mapping[str, object] | None = None, *, within: float = 30
    ) -> list[Reply]:
        """Ask every server of `target` the same. Returns what each said within `within` seconds, by identity."""

    async def publish(self, topic: str, body: Mapping[str, object]) -> None:
        """Tell everybody who listens to `topic`; nobody listening is fine, and nothing is kept for later."""

    def serve(self, target: str, methods: Mapping[str, MessageHandler]) -> Callable[[], None]:
        """Answer calls to `target`; the result takes the service back."""

    def listen(self, topic: str, listener: Listener) -> Callable[[], None]:
        """Hear what is published on `topic`; the result ends it."""

    async def drain(self, within: float) -> None:
        """Take no more calls, and wait for up to `within` seconds until those that were taken are answered."""

    async def close(self) -> None:
        """Leave; calls under way end as `Unreachable`."""
