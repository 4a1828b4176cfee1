"""The engine: leases operations, walks their steps, writes each outcome, and picks up what others left behind."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import attrs
import structlog

from novakit import tracing, world
from novakit.bus import RemoteBusy, RemoteError, RemoteRefused, Unreachable
from novakit.conductor.work import Commit, Failed, JoinedCommit, Postponed, Rewind, Step, Verb, Work
from novakit.gather import Gather
from novakit.store import Store
from novakit.store import operations as rows
from novakit.store.engine import Row, Session
from novakit.store.faults import is_passing

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=15)
RETRY = 0.5
"""Seconds after which a write is tried again that the store could not take."""
GATHER = 0.002
"""Seconds the engine waits for more work before it takes a batch of leases."""


class _Lost(Exception):
    """The lease has gone to another engine; whatever is under way here is its business now."""


class _Cancelled(Exception):
    """A delete took over."""


@attrs.frozen
class _Progress:
    """What one operation wants written."""

    work: Work
    commit: Commit | None
    values: Mapping[str, Any]


@attrs.define
class Engine:
    """Runs operations, up to `limit` at a time."""

    store: Store
    verbs: Mapping[str, Verb]
    limit: int = 64
    boundary: Callable[[str], None] = lambda place: None
    """Called at the begin and end of each step, named `create/place/begin`: where tests kill the process."""
    note: Callable[[Work, str], None] = lambda work, state: None
    """Called when an operation has `begun` for the first time, and after it ended, with its final state."""
    owner: str = attrs.field(factory=world.new_id)
    ended: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    """Operations that this engine ended, by kind and final state."""
    _running: dict[str, asyncio.Task[None]] = attrs.field(factory=dict)
    _interruptible: set[str] = attrs.field(factory=set)
    _writing: Gather["_Progress", Exception | None] = attrs.field(init=False)
    _wake: asyncio.Event = attrs.field(factory=asyncio.Event)
    _stopping: bool = False

    def __attrs_post_init__(self) -> None:
        self._writing = Gather(self._write_many)

    def measures(self) -> dict[str, Any]:
        """Give what this engine counted: `operations` that ended by kind and state, and how many are `running`."""
        operations = [{"kind": kind, "state": state, "count": count} for (kind, state), count in self.ended.items()]
        return {"operations": operations, "running": len(self._running)}

    def wake(self) -> None:
        """Say that there may be new work."""
        self._wake.set()

    async def run(self, *, alone: bool) -> None:
        """Run until `stop`; `alone` says that no other engine shares the store, so old leases are void."""
        keeper = world.spawn(self._keep_leases(), name="operations/leases")
        try:
            while not self._stopping:
                self._wake.clear()
                leased = 0
                try:
                    if alone:
                        await self._take_over()
                        alone = False
                    leased = await self._lease()
                except Exception as error:
                    # Whatever is the matter with the store, who runs nothing any more would be of no use to anybody.
                    log.error(
                        "no operations could be leased", exc_info=None if is_passing(error) else error, why=str(error)
                    )
                if not leased or len(self._running) >= self.limit:
                    await self._rest()
        finally:
            keeper.cancel()

    async def _take_over(self) -> None:
        async with self.store.write() as session:
            freed = await rows.forget_leases(session)
        if freed:
            log.info("took over operations that were under way", count=freed)

    async def _lease(self) -> int:
        free = self.limit - len(self._running)
        if free <= 0:
            return 0
        async with self.store.write() as session:
            taken = await rows.lease(session, self.owner, world.now() + LEASE, free)
        for row in taken:
            self._running[row["id"]] = world.spawn(self._one(row), name=f"operation/{row['kind']}/{row['id']}")
        return len(taken)

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(0.5):
                await self._wake.wait()
        except TimeoutError:
            return
        await asyncio.sleep(GATHER)

    async def _keep_leases(self) -> None:
        """Renew what runs, and interrupt what a delete elsewhere cancelled."""
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 3)
            if self._running:
                try:
                    async with self.store.write() as session:
                        gone = await rows.renew(session, self.owner, self._running, world.now() + LEASE)
                except Exception as error:
                    log.error(
                        "leases could not be renewed", exc_info=None if is_passing(error) else error, why=str(error)
                    )
                    continue
                self.interrupt(gone)

    def interrupt(self, operation_ids: set[str]) -> None:
        """Stop cancelled operations where they may be stopped; the others see it at their next step."""
        for each in operation_ids & self._interruptible:
            if task := self._running.get(each):
                task.cancel()

    async def stop(self, within: float) -> None:
        """Take no new work, let what runs finish for `within` seconds, then leave the rest to the next start."""
        self._stopping = True
        self.wake()
        if tasks := list(self._running.values()):
            _, left = await asyncio.wait(tasks, timeout=within)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _one(self, row: Row) -> None:
        work = Work.of(row)
        try:
            if row["cancelled"]:
                raise _Cancelled
            if work.attempt == 1:
                self.note(work, "begun")
            facts = {"operation__id": work.id, "server__id": work.server_id, "operation__attempt": work.attempt}
            with tracing.within(tracing.tracer(), f"operation.{work.kind}", tracing.parent(work.data), **facts):
                await self._walk(self.verbs[work.kind], work, row)
        except _Lost:
            log.warning("lease lost", operation=work.id, kind=work.kind)
        except (_Cancelled, asyncio.CancelledError):
            if not self._stopping:
                with suppress(_Lost):
                    await self._finish(work, "cancelled", None)
        finally:
            self._running.pop(work.id, None)
            self._interruptible.discard(work.id)
            self.wake()

    async def _walk(self, verb: Verb, work: Work, row: Row) -> None:
        """Do what is left of the operation, or take it back, until it ends or has to wait."""
        step, undoing = row["step"], row["state"] == "undoing"
        while True:
            try:
                if undoing:
                    await self._undo(verb, work)
                    return
                for each in verb.after(step):
                    await self._do(verb, each, work)
                    step = each.name
                return
            except Rewind as error:
                step = _before(verb, error.step)
                work.end(world.now().isoformat(), "Error", str(error))
                await self._write(work, error.commit, step=step, reason=str(error))
            except (Postponed, Unreachable) as error:
                waited = (world.now() - row["created_at"]).total_seconds()
                if undoing or isinstance(error, Postponed) or waited < verb.patience:
                    await self._postpone(work, error)
                    return
                await self._fail(work, Failed("The host did not answer.", details=str(error)))
                undoing = True
            except RemoteError as error:
                if undoing or isinstance(error, RemoteBusy):
                    await self._postpone(work, error)
                    return
                await self._fail(work, _as_failure(error))
                undoing = True
            except Failed as error:
                await self._fail(work, error)
                undoing = True
            except (_Lost, _Cancelled):
                raise
            except Exception as error:
                log.error("operation step raised", operation=work.id, kind=work.kind, exc_info=error)
                if undoing or is_passing(error):
                    await self._postpone(work, error)
                    return
                await self._fail(work, Failed("An internal error happened.", details=repr(error)))
                undoing = True

    async def _do(self, verb: Verb, step: Step, work: Work) -> None:
        if step.shown_as:
            work.begin(step.shown_as, world.now().isoformat())
        self.boundary(f"{work.kind}/{step.name}/begin")
        if step.interruptible:
            self._interruptible.add(work.id)
        try:
            with tracing.within(tracing.tracer(), f"step.{step.name}"):
                commit = await step.do(work)
        finally:
            self._interruptible.discard(work.id)
        self.boundary(f"{work.kind}/{step.name}/done")
        if step.shown_as:
            work.end(world.now().isoformat(), "Success")
        if step is verb.steps[-1]:
            await self._finish(work, "done", commit, step=step.name)
        else:
            await self._write(work, commit, step=step.name)
        self.boundary(f"{work.kind}/{step.name}/end")

    async def _fail(self, work: Work, failure: Failed) -> None:
        work.end(world.now().isoformat(), "Error", failure.details or failure.message)
        log.warning("operation failed", operation=work.id, kind=work.kind, server=work.server_id, why=failure.message)
        work.data["failure"] = failure.plain()
        await self._write(work, None, state="undoing", reason=failure.message)

    async def _undo(self, verb: Verb, work: Work) -> None:
        self.boundary(f"{work.kind}/undo/begin")
        self._interruptible.add(work.id)
        try:
            with tracing.within(tracing.tracer(), "step.undo", failure=work.data["failure"]["message"]):
                commit = await verb.undo(work, Failed.of(work.data["failure"]))
        finally:
            self._interruptible.discard(work.id)
        self.boundary(f"{work.kind}/undo/done")
        await self._finish(work, "failed", commit)
        self.boundary(f"{work.kind}/undo/end")

    async def _write(self, work: Work, commit: Commit | None, **values: Any) -> None:
        outcome = await self._writing(_Progress(work, commit, values))
        while outcome is not None and is_passing(outcome) and not self._stopping:
            # Given up here, the operation would stand still until its lease runs out, long after the store is back.
            log.warning("the outcome of a step waits for the store", operation=work.id, why=type(outcome).__name__)
            await asyncio.sleep(RETRY)
            outcome = await self._writing(_Progress(work, commit, values))
        if outcome is not None:
            raise outcome

    async def _write_many(self, batch: Sequence["_Progress"]) -> list[Exception | None]:
        """Write what operations under way came to, in one transaction; one that cannot be written costs only itself."""
        try:
            async with self.store.write() as session:
                return await self._write_together(session, batch)
        except Exception as error:
            if len(batch) == 1:
                return [error]
        return [(await self._write_many([each]))[0] for each in batch]

    async def _write_together(self, session: Session, batch: Sequence["_Progress"]) -> list[Exception | None]:
        changes = {each.work.id: {"data": each.work.data, "events": each.work.events, **each.values} for each in batch}
        cancelled = await rows.change_many(session, self.owner, changes)
        outcomes: list[Exception | None] = []
        alike: dict[type[JoinedCommit], list[Any]] = {}
        for each in batch:
            told = _outcome(cancelled.get(each.work.id), each.values)
            outcomes.append(told)
            if told is not None or each.commit is None:
                continue
            if isinstance(each.commit, JoinedCommit):
                alike.setdefault(type(each.commit), []).append(each.commit)
            else:
                await each.commit(session)
        for kind, commits in alike.items():
            await kind.write(session, commits)
        return outcomes

    async def _finish(self, work: Work, state: str, commit: Commit | None, **values: Any) -> None:
        await self._write(work, commit, state=state, finished_at=world.now(), **values)
        self.ended[work.kind, state] += 1
        self.note(work, state)

    async def _postpone(self, work: Work, error: Exception) -> None:
        seconds = getattr(error, "seconds", None) or min(0.5 * 2 ** min(work.attempt, 7), 30)
        log.info("operation waits", operation=work.id, kind=work.kind, why=str(error), seconds=seconds)
        await self._write(
            work, None, not_before=world.now() + timedelta(seconds=seconds), lease_until=None, reason=str(error)
        )


def _why(error: Exception) -> dict[str, Any]:
    """Say why the store did not do it: in a word where that passes by itself, else with all that is known."""
    return {"why": type(error).__name__} if is_passing(error) else {"exc_info": error}


def _outcome(cancelled: bool | None, values: Mapping[str, Any]) -> Exception | None:
    if cancelled is None:
        return _Lost()
    return _Cancelled() if cancelled and values.get("state") != "cancelled" else None


def _before(verb: Verb, step: str) -> str | None:
    names = [each.name for each in verb.steps]
    place = names.index(step)
    return names[place - 1] if place else None


def _as_failure(error: RemoteError) -> Failed:
    message = str(error) if isinstance(error, RemoteRefused) else "The host could not do it."
    return Failed(message, details=f"{error.kind}: {error}")
