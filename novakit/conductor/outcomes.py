"""What operations under way have come to, written: the outcomes of many steps in one transaction.

The idea: all that has an outcome at one moment is written together: the progress of the operations in one statement
for each set of columns, and the commits of one kind in one statement for all. The end of a step that may be written
later is kept with its operation until the next one ends, or for `LATER`.
The invariant: of an operation whose lease has gone to another engine nothing is written, of one that is cancelled only
its end; its commits stand or fall with its progress, in their order. An outcome that cannot be written costs only
itself: the others are written without it. What the store cannot take for the moment waits in memory until it can, for
given up here the operation would stand still until its lease runs out.
The cost: one statement and 1 to 2 ms of CPU for one alone; for 50 together one statement and 30 µs each, for 200 25 µs.
A statement more on PostgreSQL, and where one of them was cancelled or lost, for which all are written a second time.
"""

import asyncio
from collections.abc import Sequence
from typing import TypeGuard, Unpack

import attrs
import structlog

from novakit import world
from novakit.concurrency.deadlines import alarm
from novakit.concurrency.gather import Gather
from novakit.conductor.work import AnyWork, Commit, JoinedCommit, Unwritten
from novakit.store import Store
from novakit.store import operations as rows
from novakit.store.compute import servers
from novakit.store.engine import Session
from novakit.store.faults import is_passing, shown

log = structlog.get_logger(__name__)

RETRY = 0.5
"""Seconds after which a write is tried again that the store could not take; the outcome waits in memory meanwhile."""
LATER = 0.25
"""Seconds the end of a step that may be written later waits for the next one to end: no user sees so short a state.

Where 64 operations share a busy service it is 0.1 to 0.2 s until the next one ends; at 0.1 every second was written."""


class Lost(Exception):
    """The lease has gone to another engine; which goes on with the operation; nothing is written here."""


class Cancelled(Exception):
    """A delete took over."""


@attrs.frozen
class _Progress:
    """What one operation wants written."""

    work: AnyWork
    commits: Sequence[Commit]
    values: rows.OperationChange
    flushed: bool
    """Whether it must be on the disk before anything else is done."""


@attrs.define
class Outcomes:
    """Writes what the operations of one engine came to."""

    store: Store
    owner: str
    """Who holds the leases of the operations."""
    stopping: bool = False
    """Whether a write that the store cannot take is left to whoever goes on with the operation."""
    _writing: Gather[_Progress, Exception | None] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._writing = Gather(self._write_many)

    async def write_later(self, work: AnyWork, step: str, commits: Sequence[Commit]) -> None:
        """Have the end of a step written with what comes next, or in a moment."""
        before = await self._taken(work)
        later = work.unwritten = Unwritten(step, [*(before.commits if before else ()), *commits])

        async def write() -> None:
            try:
                await self._write_now(work, later.commits, {"step": step})
            except Exception as error:
                # It stays unwritten; whatever is written next comes upon the same, and then it counts.
                log.debug("the end of a step is not written yet", operation=work.id, why=shown(error))
            else:
                work.unwritten = None

        def begin() -> None:
            later.writing = world.spawn(write(), name=f"operation/{work.id}/later")

        later.due = alarm(LATER, begin)

    async def write(self, work: AnyWork, commits: Sequence[Commit], **values: Unpack[rows.OperationChange]) -> None:
        """Write what an operation came to, with what of it is unwritten.

        Raises Lost, Cancelled, and what the store raises that does not pass by itself.
        """
        await self._write(work, commits, values)

    async def write_unflushed(
        self, work: AnyWork, commits: Sequence[Commit], **values: Unpack[rows.OperationChange]
    ) -> None:
        """Do as `write` does, but do not wait for the disk: nothing is done outside of the store before that."""
        await self._write(work, commits, values, flushed=False)

    async def _write(
        self, work: AnyWork, commits: Sequence[Commit], values: rows.OperationChange, *, flushed: bool = True
    ) -> None:
        later = await self._taken(work)
        if later is not None and values.get("state") != "cancelled":
            commits, values = [*later.commits, *commits], {"step": later.step, **values}
        await self._write_now(work, commits, values, flushed=flushed)

    async def _taken(self, work: AnyWork) -> Unwritten | None:
        """Take what is not written yet, once nobody is at it."""
        later = work.unwritten
        if later is not None:
            if later.due is not None:
                later.due.take_back()
            if later.writing is not None:
                await asyncio.wait([later.writing])
        left, work.unwritten = work.unwritten, None
        return left

    async def _write_now(
        self, work: AnyWork, commits: Sequence[Commit], values: rows.OperationChange, *, flushed: bool = True
    ) -> None:
        progress = _Progress(work, commits, {"silent_since": None, **values}, flushed)
        outcome = await self._writing(progress)
        while outcome is not None and is_passing(outcome) and not self.stopping:
            # Given up here, the operation would stand still until its lease runs out, long after the store is back.
            log.warning("the outcome of a step waits for the store", operation=work.id, why=shown(outcome))
            await asyncio.sleep(RETRY)
            outcome = await self._writing(progress)
        if outcome is not None:
            raise outcome

    async def _write_many(self, batch: Sequence[_Progress], *, unread: bool = True) -> list[Exception | None]:
        """Write what operations under way came to, in one transaction; one that cannot be written costs only itself.

        With `unread` it is not asked before whether all of them are ours still; where one is not, it is done anew.
        """
        try:
            async with self.store.write(flushed=any(each.flushed for each in batch)) as session:
                return await self._write_together(session, batch, unread=unread)
        except rows.Contested:
            return await self._write_many(batch, unread=False)
        except Exception as error:
            if len(batch) == 1:
                return [error]
        return [(await self._write_many([each]))[0] for each in batch]

    async def _write_together(
        self, session: Session, batch: Sequence[_Progress], *, unread: bool
    ) -> list[Exception | None]:
        await servers.lock_some(session, {each.work.server_id for each in batch if each.commits})
        changes: dict[str, rows.OperationChange] = {
            each.work.id: {"data": each.work.data, "events": each.work.events, **each.values} for each in batch
        }
        cancelled = await rows.change_many(session, self.owner, changes, unread=unread)
        outcomes: list[Exception | None] = []
        alike: dict[type[JoinedCommit], list[JoinedCommit]] = {}
        for each in batch:
            told = _outcome(cancelled.get(each.work.id), each.values)
            outcomes.append(told)
            # One operation's commits are written in their order: a failure must not be written before the step that
            # was to be written later, which then could not be any more.
            are_joined = all(map(_is_joined, each.commits))
            for commit in each.commits if told is None else ():
                if are_joined and _is_joined(commit):
                    alike.setdefault(type(commit), []).append(commit)
                else:
                    await commit(session)
        for kind, commits in alike.items():
            await kind.write(session, commits)
        return outcomes


_JOINED: dict[type, bool] = {}
"""Which classes of commits are written together: to compare one with a protocol costs more than to write it."""


def _is_joined(commit: Commit) -> TypeGuard[JoinedCommit]:
    """Return whether a commit is written together with others of its class."""
    kind = type(commit)
    if kind not in _JOINED:
        _JOINED[kind] = issubclass(kind, JoinedCommit)
    return _JOINED[kind]


def _outcome(cancelled: bool | None, values: rows.OperationChange) -> Exception | None:
    if cancelled is None:
        return Lost()
    return Cancelled() if cancelled and values.get("state") != "cancelled" else None
