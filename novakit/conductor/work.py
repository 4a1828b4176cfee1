"""What a verb is made of: named steps, each done again after a crash until its outcome is written down."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import attrs

from novakit.store.engine import Row, Session

Commit = Callable[[Session], Awaitable[None]]
"""What a step wants written in the same transaction that records the step as done."""


@runtime_checkable
class JoinedCommit(Protocol):
    """A commit that can be written together with others of its class."""

    async def __call__(self, session: Session) -> None:
        """Write this one."""

    @staticmethod
    async def write(session: Session, commits: Sequence[Any]) -> None:
        """Write several, which belong to different operations."""


@attrs.define
class Work:
    """One operation under way, as its steps see it."""

    id: str
    kind: str
    server_id: str
    project_id: str
    user_id: str
    request_id: str
    attempt: int
    data: dict[str, Any]
    """What the steps remember; written with every step."""
    events: list[dict[str, Any]]
    """What users are shown of the steps: name, started_at, finished_at, result, host, details."""
    seen: dict[str, Any] = attrs.field(factory=dict)
    """What this process read on the way and the next step may use; never written."""

    @classmethod
    def of(cls, row: Row) -> "Work":
        """Take an operation's row."""
        return cls(**{field.name: row[field.name] for field in attrs.fields(cls) if field.name != "seen"})

    def begin(self, name: str, at: str) -> None:
        """Show that a step began."""
        self.events.append({"name": name, "started_at": at})

    def end(self, at: str, result: str, details: str | None = None) -> None:
        """Show how the step that began last ended, unless that is known already."""
        if self.events and "finished_at" not in self.events[-1]:
            self.events[-1] |= {"finished_at": at, "result": result, "host": self.data.get("host")}
            if details:
                self.events[-1]["details"] = details


@attrs.frozen(kw_only=True)
class Step:
    """One step of a verb; doing it twice is doing it once."""

    name: str
    do: Callable[[Work], Awaitable[Commit | None]]
    shown_as: str | None = None
    """The event's name in the list of instance actions; None hides the step."""
    interruptible: bool = False
    """Whether a delete may stop it in the middle; a step that claims something runs to its end."""


@attrs.frozen(kw_only=True)
class Verb:
    """What an operation of one kind does."""

    kind: str
    steps: Sequence[Step]
    undo: Callable[[Work, "Failed"], Awaitable[Commit | None]]
    """Takes back whatever the steps did, in any order and as often as needed; its commit records the failure."""
    patience: float = 600
    """Seconds for which something that cannot be reached is asked again before the operation fails."""

    def after(self, step: str | None) -> Sequence[Step]:
        """Give the steps that are left once `step` is done."""
        names = [each.name for each in self.steps]
        return self.steps[names.index(step) + 1 :] if step in names else self.steps


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
