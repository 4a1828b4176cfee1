"""One operation under way: what its steps remember, what they want written, and how they say that they cannot go on.

The idea: a step gets a `Work` and returns a commit; the engine writes both in the transaction that records the step
as done. So a step may be run again at any time, and what it needs to know of earlier steps is in its memory, a frozen
record of its verb, and never in the process.
The invariant: `memory` and `beside` are all that the row's `data` holds, each under names of its own; `seen` is never
written. What is in `SECRETS` is gone from the row once the operation has ended. What an older version wrote can be
read: new fields have defaults. What nobody here knows, as a newer version wrote it, is written again as it was.
The cost: the memory is turned into plain data once for each step, 3 µs, and is part of the row that the engine writes
anyway.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, Unpack, runtime_checkable

import attrs

from novakit import world
from novakit.calls.host import GuestNote
from novakit.compute.states import Move, Moved
from novakit.concurrency.deadlines import Alarm
from novakit.network import PortInfo
from novakit.store.compute.servers import ServerColumns, ServerRow
from novakit.store.engine import Session
from novakit.store.operations import OperationRow, StepEvent
from novakit_hookspecs.fields import mapping_field
from novakit_hookspecs.plain import to_plain, to_record

Commit = Callable[[Session], Awaitable[None]]
"""What a step wants written in the same transaction that records the step as done."""


@runtime_checkable
class JoinedCommit(Protocol):
    """A commit that can be written together with others of its class."""

    async def __call__(self, session: Session) -> None:
        """Write this one."""

    @staticmethod
    async def write(session: Session, commits: Sequence[object]) -> None:
        """Write several, which belong to different operations."""


@attrs.frozen(kw_only=True)
class Memory:
    """What the steps of an operation remember: written with every step, and read again after a crash.

    Each verb has its own record below this one. A field that is added later has a default, so that an operation
    which was written before can still be read; one that is no longer known is passed over.
    """

    host: str | None = None
    """Where the steps do their work; shown with them."""


SECRETS = frozenset({"admin_pass"})
"""Fields of memories that are forgotten once an operation has ended, whichever way it ended."""
M = TypeVar("M", bound=Memory, covariant=True)  # what runs a verb reads memories of any


@attrs.frozen
class Failure:
    """Why an operation failed, as it is kept until all is taken back, and then with the server."""

    message: str
    """For the server's owner."""
    code: int = 500
    details: str = ""
    """For administrators."""


@attrs.frozen(kw_only=True)
class EngineMemory:
    """What the engine remembers of an operation, in its row beside the memory of the verb.

    A verb's memory may have no field with one of these names (`ENGINE_NAMES`), as both are keys of one object.
    """

    failure: Failure | None = None
    """Why it is taken back; written before anything is."""
    noted_end: datetime | None = None
    """When it ends, where that was noted on the host before it is written: one that is taken back after that knows its
    own note by it."""
    trace: Mapping[str, str] = mapping_field()
    """The trace context of who asked for it; empty where nobody traces."""
    unknown: Mapping[str, object] = mapping_field()
    """What else is in the row, as another version wrote it: that version may go on with the operation."""

    @classmethod
    def read(cls, data: Mapping[str, object], remembered: Collection[str]) -> "EngineMemory":
        """Read what is in an operation's row beside the fields that its verb remembers.

        Raises TypeError or ValueError for what cannot be read.
        """
        beside = data.keys() - remembered
        if not beside:
            return NOTHING_BESIDE
        failure, noted_end, trace = data.get("failure"), data.get("noted_end"), data.get("trace")
        return cls(
            failure=None if failure is None else to_record(failure, Failure, tolerant=True),
            noted_end=datetime.fromisoformat(str(noted_end)) if noted_end else None,
            # It serves a look at what happened and nothing else: one that cannot be understood keeps nobody waiting.
            trace={str(key): str(value) for key, value in trace.items()} if isinstance(trace, Mapping) else {},
            unknown={name: data[name] for name in beside - ENGINE_NAMES},
        )

    def plain(self) -> dict[str, object]:
        """Write down what is to be in the row beside the verb's memory."""
        told = dict(self.unknown)
        if self.failure is not None:
            told["failure"] = to_plain(self.failure)
        if self.noted_end is not None:
            told["noted_end"] = self.noted_end.isoformat()
        if self.trace:
            told["trace"] = dict(self.trace)
        return told


ENGINE_NAMES = frozenset(field.name for field in attrs.fields(EngineMemory)) - {"unknown"}
"""Under which names the row of an operation holds what the engine remembers; every other one is its verb's."""
NOTHING_BESIDE = EngineMemory()


def require_own_names(kind: type[Memory]) -> None:
    """Raise TypeError for a memory with a field of a name that is the engine's."""
    if taken := ENGINE_NAMES & {field.name for field in attrs.fields(kind)}:
        raise TypeError(f"{kind.__name__} has {', '.join(sorted(taken))}, under which the engine remembers its own")


@attrs.define(kw_only=True)
class Seen:
    """What one run of an operation has read on the way, and later steps of the same run need not read again.

    It is lost with the process, and with each new attempt: a step that finds nothing here reads it itself. Only verbs
    that build guests see anything; another family of verbs gets a record of its own.
    """

    server: ServerRow | None = None
    """The server's row, with the host that was chosen last; of one that was just written it has no number."""
    chosen: str | None = None
    """The host that this run chose, and so has asked for nothing yet but to wire."""
    ports: Sequence[PortInfo] | None = None
    """The server's ports, as they are bound to its host."""
    commits: int | None = None
    """How many transactions this process had committed when host and ports were: the guest is built after these."""
    note: GuestNote | None = None
    """The note that the guest was built with."""


@attrs.frozen
class HandedOver:
    """What whoever has just written an operation knows of it: to read that anew costs as much as a step."""

    memory: Memory
    seen: Seen


def remembered(kind: type[M], data: Mapping[str, object]) -> M:
    """Read what an operation remembers from its row. Raises TypeError or ValueError for what cannot be read."""
    known, _ = _FIELDS[kind]
    return to_record({name: data[name] for name in known if name in data}, kind)


def move_of(moves: Sequence[Move], event: str) -> Move:
    """Return the move of an event."""
    for move in moves:
        if move.event == event:
            return move
    raise LookupError(f"no move is called {event}")


class _Fields(dict[type, tuple[Sequence[str], Callable[[object], Sequence[object]]]]):
    """The names of each memory's fields, with what gets all their values in one call."""

    def __missing__(self, kind: type[Memory]) -> tuple[Sequence[str], Callable[[object], Sequence[object]]]:
        names = [field.name for field in attrs.fields(kind)]
        # Of a single name `attrgetter` makes no tuple.
        self[kind] = names, attrgetter(*names) if len(names) > 1 else lambda memory: (getattr(memory, names[0]),)
        return self[kind]


_FIELDS = _Fields()

if TYPE_CHECKING:
    # mypy holds each field that is given to its name and type, as it does for `attrs.evolve` alone.
    from attrs import evolve as evolve
else:

    def evolve(memory, **values):
        """Return a memory with other values of some fields.

        At half of what `attrs.evolve` costs, which looks at each field of the class anew.
        """
        names, values_of = _FIELDS[type(memory)]
        return type(memory)(**{**dict(zip(names, values_of(memory), strict=True)), **values})


@attrs.define
class Unwritten:
    """The end of a step that is to be written with that of the next one, or alone where that takes long."""

    step: str
    commits: list[Commit]
    due: Alarm | None = None
    writing: asyncio.Task[None] | None = None


@attrs.define
class Work(Generic[M]):
    """One operation under way, as its steps see it."""

    id: str
    kind: str
    """The verb's name."""
    moves: Sequence[Move]
    """The verb's table: every change of the server's states that the steps may make."""
    server_id: str
    project_id: str
    user_id: str
    request_id: str
    attempt: int
    memory: M
    """What the steps remember; a step that learns something puts another record here."""
    events: list[StepEvent]
    """What users are shown of the steps."""
    beside: EngineMemory = NOTHING_BESIDE
    """What the engine remembers beside the memory."""
    seen: Seen = attrs.field(factory=Seen)
    """What this run read on the way; never written."""
    unwritten: "Unwritten | None" = None
    """What is done of it and not written yet."""
    overtaken: bool = False
    """Whether its guest has seen more than this database, so that nobody asks for it any more; never written."""

    @classmethod
    def of(
        cls, row: OperationRow, moves: Sequence[Move], remembers: type[M], handed: HandedOver | None = None
    ) -> "Work[M]":
        """Take an operation's row, and what is known of it by whoever has just written it.

        Raises TypeError or ValueError when what it remembers cannot be read.
        """
        data, (known, _) = row["data"], _FIELDS[remembers]
        memory = handed.memory if handed is not None else None
        return cls(
            id=row["id"],
            kind=row["kind"],
            moves=moves,
            server_id=row["server_id"],
            project_id=row["project_id"],
            user_id=row["user_id"],
            request_id=row["request_id"],
            attempt=row["attempt"],
            memory=memory if isinstance(memory, remembers) else remembered(remembers, data),
            events=list(row["events"]),
            beside=EngineMemory.read(data, known),
            seen=handed.seen if handed is not None else Seen(),
        )

    @property
    def host(self) -> str:
        """Return the host that it is done on. Raises Failed where the server was on none."""
        if self.memory.host is None:
            raise Failed("The server is on no host.", code=409)
        return self.memory.host

    @property
    def data(self) -> dict[str, object]:
        """Write down what it remembers, and what the engine does."""
        plain: dict[str, object] = to_plain(self.memory)
        return plain if self.beside is NOTHING_BESIDE else {**self.beside.plain(), **plain}

    def note_end(self, moment: datetime) -> None:
        """Remember when it ends, as the host has noted it."""
        known = self.beside
        self.beside = EngineMemory(failure=known.failure, noted_end=moment, trace=known.trace, unknown=known.unknown)

    def forget_secrets(self) -> None:
        """Drop what nobody may find in the row of an operation that has ended."""
        secrets = [name for name in SECRETS if getattr(self.memory, name, None) is not None]
        if secrets:
            self.memory = attrs.evolve(self.memory, **dict.fromkeys(secrets))
        if not SECRETS.isdisjoint(self.beside.unknown):
            left = {name: value for name, value in self.beside.unknown.items() if name not in SECRETS}
            self.beside = attrs.evolve(self.beside, unknown=left)

    def moved(self, event: str, **values: Unpack[ServerColumns]) -> Moved:
        """Make a move of the verb's table, setting columns with it, the commit of a step."""
        return Moved(server_id=self.server_id, move=move_of(self.moves, event), values=values)

    def begin(self, name: str) -> None:
        """Show that a step begins; one that is tried again began when it was first tried."""
        if not (self.events and self.events[-1]["name"] == name and "finished_at" not in self.events[-1]):
            self.events.append({"name": name, "started_at": world.now().isoformat()})

    def end(self, result: str, details: str | None = None, *, then: str | None = None) -> None:
        """Show how the step that began last ends, unless that is known already, and that `then` begins with its end."""
        at = world.now().isoformat()
        if self.events and "finished_at" not in self.events[-1]:
            self.events[-1].update({"finished_at": at, "result": result, "host": self.memory.host})
            if details:
                self.events[-1]["details"] = details
        if then is not None:
            self.events.append({"name": then, "started_at": at})


AnyWork = Work[Memory]
"""Work of whichever verb; only the verb's own steps put another memory into it."""


class Failed(Exception):
    """The operation cannot succeed; `message` is for the owner, `details` for admins."""

    def __init__(self, message: str, *, code: int = 500, details: str = "") -> None:
        super().__init__(message)
        self.failure = Failure(message, code, details)


class Postponed(Exception):
    """Not now: the same step is tried again after `seconds`."""

    def __init__(self, reason: str, seconds: float | None = None) -> None:
        super().__init__(reason)
        self.seconds = seconds


class Rewind(Exception):
    """Start over from `step`, once `commit` is written; what was done since has been taken back."""

    def __init__(self, step: str, reason: str, commit: Commit | None = None) -> None:
        super().__init__(reason)
        self.step = step
        self.commit = commit
