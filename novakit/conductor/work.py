"""One operation under way: what its steps remember, what they want written, and how they say that they cannot go on.

The idea: a step gets a `Work` and returns a commit; the engine writes both in the transaction that records the step
as done. So a step may be run again at any time, and what it needs to know of earlier steps is in its memory, a frozen
record of its verb, and never in the process.
The invariant: `memory` and `beside` are the whole row, `seen` is never written. What is in `SECRETS` is gone from the
row once the operation has ended. A memory that an older version wrote can be read: new fields have defaults, fields
that are no longer known are passed over.
The cost: the memory is turned into plain data once for each step, 3 µs, and is part of the row that the engine writes
anyway.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import attrs

from novakit import world
from novakit.compute.states import Move, Moved
from novakit.concurrency.deadlines import Alarm
from novakit.store.engine import Session
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


class OperationRow(Protocol):
    """The row of an operation, as it was read or as it was just written."""

    def __getitem__(self, name: str, /) -> Any:
        """Return the value of a column."""


SECRETS = frozenset({"admin_pass"})
"""Fields of memories that are forgotten once an operation has ended, whichever way it ended."""

MEMORY = "memory"
"""Under which name the memory of a row that was just written is handed over beside what was seen."""
_NOTED_END = "noted_end"
M = TypeVar("M", bound=Memory, covariant=True)  # what runs a verb reads memories of any


def remembered(kind: type[M], data: Mapping[str, object]) -> M:
    """Read what an operation remembers from its row. Raises TypeError or ValueError for what cannot be read."""
    known = {field.name for field in attrs.fields(kind)}
    return to_record({name: value for name, value in data.items() if name in known}, kind)


def move_of(moves: Sequence[Move], event: str) -> Move:
    """Return the move of an event."""
    for move in moves:
        if move.event == event:
            return move
    raise LookupError(f"no move is called {event}")


_FIELDS: dict[type, tuple[Sequence[str], Callable[[object], Sequence[object]]]] = {}


def _fields_of(kind: type[Memory]) -> tuple[Sequence[str], Callable[[object], Sequence[object]]]:
    """Return the names of a memory's fields, and what gets all their values in one call."""
    if kind not in _FIELDS:
        names = [field.name for field in attrs.fields(kind)]
        _FIELDS[kind] = names, attrgetter(*names)
    return _FIELDS[kind]


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
    events: list[dict[str, object]]
    """What users are shown of the steps: name, started_at, finished_at, result, host, details."""
    beside: dict[str, Any] = attrs.field(factory=dict)
    """What the engine keeps beside the memory: the trace it belongs to, and why it failed."""
    seen: dict[str, Any] = attrs.field(factory=dict)
    """What this process read on the way and the next step may use; never written."""
    unwritten: "Unwritten | None" = None
    """What is done of it and not written yet."""
    overtaken: bool = False
    """Whether its guest has seen more than this database, so that nobody asks for it any more; never written."""

    @classmethod
    def of(
        cls, row: OperationRow, moves: Sequence[Move], remembers: type[M], seen: Mapping[str, object] | None = None
    ) -> "Work[M]":
        """Take an operation's row, and what is known beside it.

        Raises TypeError or ValueError when what it remembers cannot be read.
        """
        known, given = {field.name for field in attrs.fields(remembers)}, {**(seen or {})}
        # Whoever has just written the row has its memory; to read it anew costs as much as a step.
        memory = given.pop(MEMORY, None)
        return cls(
            id=row["id"],
            kind=row["kind"],
            moves=moves,
            server_id=row["server_id"],
            project_id=row["project_id"],
            user_id=row["user_id"],
            request_id=row["request_id"],
            attempt=row["attempt"],
            memory=memory if isinstance(memory, remembers) else remembered(remembers, row["data"]),
            events=list(row["events"]),
            beside={name: value for name, value in row["data"].items() if name not in known},
            seen=given,
        )

    @property
    def host(self) -> str:
        """Return the host that it is done on. Raises Failed where the server was on none."""
        if self.memory.host is None:
            raise Failed("The server is on no host.", code=409)
        return self.memory.host

    @property
    def noted_end(self) -> datetime | None:
        """Return when the operation ends, where that was noted on the host before it is written; else None.

        It is kept beside the memory: an operation that is taken back after that knows its own note by it.
        """
        said = self.beside.get(_NOTED_END)
        return datetime.fromisoformat(said) if said else None

    @noted_end.setter
    def noted_end(self, moment: datetime) -> None:
        self.beside[_NOTED_END] = moment.isoformat()

    @property
    def data(self) -> dict[str, object]:
        """Write down what it remembers, and what the engine keeps beside it."""
        return {**self.beside, **to_plain(self.memory)}

    def remember(self, **values: Any) -> None:
        """Put a memory in the place of this one that has other values of some fields.

        At half of what `attrs.evolve` costs, which looks at each field of the class anew.
        """
        names, values_of = _fields_of(type(self.memory))
        known: dict[str, Any] = dict(zip(names, values_of(self.memory), strict=True))
        self.memory = type(self.memory)(**{**known, **values})

    def forget_secrets(self) -> None:
        """Drop what nobody may find in the row of an operation that has ended."""
        secrets = [name for name in SECRETS if getattr(self.memory, name, None) is not None]
        if secrets:
            self.memory = attrs.evolve(self.memory, **dict.fromkeys(secrets))

    def moved(self, event: str, **values: object) -> Moved:
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
            self.events[-1] |= {"finished_at": at, "result": result, "host": self.memory.host}
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
        self.message = message
        self.code = code
        self.details = details

    def plain(self) -> Mapping[str, Any]:
        """Write it as data that survives a restart."""
        return {"message": self.message, "code": self.code, "details": self.details}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> "Failed":
        """Read what `plain` wrote."""
        return cls(plain["message"], code=plain["code"], details=plain["details"])


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
