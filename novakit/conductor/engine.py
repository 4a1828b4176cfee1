"""The engine: leases operations, walks their steps, writes each outcome, and picks up what others left behind.

The idea: what an operation has come to is in the store and nowhere else, so whoever holds its lease can go on with it.
The invariant: a step's outcome, what it changed of the server and that it is done are one transaction, which holds only
while the lease is ours and nobody has cancelled the operation. Rows are locked in one order, servers before operations,
by the engine and by the API alike, so that the two never wait for one another.
The cost: one transaction for each step, shared by all operations that have something to write at that moment: 500
servers for 16 clients make 0.7 transactions each, with all that create does. A step that is written later costs none
where the next one is quick.
"""

import asyncio
import contextvars
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from itertools import zip_longest

import attrs
import structlog

from novakit import tracing, world
from novakit.bus import BusError, RemoteBusy, RemoteError, Unreachable
from novakit.calls.counts import ConductorCounts, OperationCounts
from novakit.compute.states import UndefinedMove
from novakit.concurrency.deadlines import Deadline
from novakit.conductor.guests import age
from novakit.conductor.leases import LEASE, Leases
from novakit.conductor.outcomes import Cancelled, Lost, Outcomes
from novakit.conductor.parts import Parts
from novakit.conductor.steps import failures
from novakit.conductor.verb import AnyStep, AnyVerb, undone
from novakit.conductor.work import SECRETS, AnyWork, Commit, Failed, Failure, HandedOver, Postponed, Rewind
from novakit.store import Store
from novakit.store import operations as rows
from novakit.store.faults import is_passing, shown

log = structlog.get_logger(__name__)

OVERTAKEN = "The server has changed since this was asked for; look at it, and ask again if this is still wanted."
"""What a server's owner is told of a change that an older backup has open, and nobody asks for any more."""

REST = 0.5
"""Seconds after which the engine looks for work that nobody told it of: what was postponed, and what others left."""
GATHER = 0.002
"""Seconds the engine waits for more work before it leases a batch while others run: requests that come together are
written in one transaction, and nobody notices so short a wait. One that comes alone does not wait."""


@attrs.define
class Engine:
    """Runs operations, up to `limit` at a time."""

    parts: Parts
    verbs: Mapping[str, AnyVerb]
    limit: int = 64
    patience: float = 600.0
    """Seconds for which a host that is silent is asked again, from the first silence on."""
    boundary: Callable[[str], None] = lambda place: None
    """Called at the begin and end of each step, named `create/place/begin`: where tests kill the process."""
    note: Callable[[AnyWork, str], None] = lambda work, state: None
    """Called when an operation has `begun` for the first time, and after it ended, with its final state."""
    owner: str = attrs.field(factory=world.new_id)
    ended: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    """Operations that this engine ended, by kind and final state."""
    _running: dict[str, asyncio.Task[None]] = attrs.field(factory=dict)
    _interruptible: set[str] = attrs.field(factory=set)
    _context: contextvars.Context = attrs.field(factory=contextvars.copy_context)
    """In which operations run, whoever has asked for them."""
    _found: frozenset[str] = frozenset()
    """Operations that were open when this engine started; a restored backup has some that ended long ago."""
    leases: Leases = attrs.field(init=False)
    _outcomes: Outcomes = attrs.field(init=False)
    _silences: dict[str, float] = attrs.field(factory=dict)
    """By operation: when its host was silent first, by the monotonic clock."""
    _wake: asyncio.Event = attrs.field(factory=asyncio.Event)
    _told: int = 0
    """How often somebody said that there may be new work since the last look for it."""
    _looks_again: bool = False
    """Whether work may wait for the end of what runs."""
    _stopping: bool = False

    def __attrs_post_init__(self) -> None:
        self.leases = Leases(self.parts.store, self.owner, self.limit, self._begin)
        self._outcomes = Outcomes(self.parts.store, self.owner)

    @property
    def store(self) -> Store:
        """Return the store that operations are in."""
        return self.parts.store

    def measures(self) -> ConductorCounts:
        """Return what this engine counted."""
        ended = [OperationCounts(kind=kind, state=state, count=count) for (kind, state), count in self.ended.items()]
        return ConductorCounts(operations=tuple(ended), running=len(self._running))

    def wake(self) -> None:
        """Say that there may be new work."""
        self._told += 1
        self._wake.set()

    async def run(self, *, alone: bool) -> None:
        """Run until `stop`; `alone` says that no other engine shares the store, so old leases are void."""
        self._context = contextvars.copy_context()
        keeper, looked = world.spawn(self._keep_leases(), name="operations/leases"), False
        try:
            while not self._stopping:
                self._wake.clear()
                try:
                    if not looked:
                        await self._look()
                        looked = True
                    if alone:
                        if freed := await self.leases.take_over():
                            log.info("took over operations that were under way", count=freed)
                        alone = False
                    await self._lease()
                    self.leases.is_open = not self._stopping
                except Exception as error:
                    # Never let the loop end: an engine that leases nothing any more looks healthy and does nothing.
                    log.error("operations could not be leased", **_why(error))
                # Either there is nothing more, or no room for it; in both cases somebody says when that changes.
                await self._rest()
        finally:
            keeper.cancel()

    async def _look(self) -> None:
        async with self.store.read() as session:
            self._found = frozenset(row["id"] for row in await rows.unfinished(session))

    async def _lease(self) -> None:
        # What comes while something runs may wait for that to end, and of two that come at once the second may be for
        # the server of the first. After what was told of once while nothing ran nothing waits: its end is followed by
        # no look, which would be a transaction.
        told, ran = self._told, bool(self.leases.held)
        self._told = 0
        taken = await self.leases.take()
        came_together = told > 1 or (told == 1 and ran) or (told == 0 and bool(taken))
        self._looks_again = self.leases.waits or came_together or (self._looks_again and ran)
        for row in taken:
            self._begin(row, None)

    def _begin(self, row: rows.OperationRow, handed: HandedOver | None) -> None:
        if self._stopping:
            return  # whoever goes on with it finds it by its lease
        # Not in the context of a request that brought it: a span, and a place among requests, are that one's.
        name = f"operation/{row['kind']}/{row['id']}"
        self._running[row["id"]] = self._context.run(world.spawn, self._one(row, handed), name=name)

    async def _rest(self) -> None:
        try:
            with Deadline(REST):
                await self._wake.wait()
        except TimeoutError:
            return
        if self._running:
            await asyncio.sleep(GATHER)

    async def _keep_leases(self) -> None:
        """Renew what runs, and interrupt what a delete elsewhere cancelled."""
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 3)
            try:
                gone = await self.leases.renew()
            except Exception as error:
                log.error("leases could not be renewed", **_why(error))
                continue
            self.interrupt(gone)

    def interrupt(self, operation_ids: set[str]) -> None:
        """Stop cancelled operations where they may be stopped; the others see it at their next step."""
        for each in operation_ids & self._interruptible:
            if task := self._running.get(each):
                task.cancel()

    async def stop(self, within: float) -> None:
        """Take no new work, let what runs finish for `within` seconds, then leave the rest to the next start."""
        self._stopping = self._outcomes.stopping = True
        self.leases.is_open = False
        self.wake()
        if tasks := list(self._running.values()):
            _, left = await asyncio.wait(tasks, timeout=within)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _one(self, row: rows.OperationRow, handed: HandedOver | None) -> None:
        try:
            await self._run(row, handed)
        except Lost:
            log.warning(
                "the lease of an operation was lost; another engine goes on", operation=row["id"], kind=row["kind"]
            )
        except Exception as error:
            # It is leased again once the lease has run out, here or where it is understood.
            log.error("an operation could not be continued", operation=row["id"], kind=row["kind"], exc_info=error)
        finally:
            self._running.pop(row["id"], None)
            self.leases.held.discard(row["id"])
            self._interruptible.discard(row["id"])
            if self._looks_again:
                self._told += 2  # more than one may have waited
                self._wake.set()

    async def _run(self, row: rows.OperationRow, handed: HandedOver | None) -> None:
        if row["cancelled"]:
            # Nothing of it is read: a delete must not wait for an operation that is not understood here.
            await self._end_cancelled(row)
            return
        verb = self.verbs.get(row["kind"])
        if verb is None:
            log.error(
                "an operation of an unknown kind waits: another version of novakit made it, and must end it",
                operation=row["id"],
                kind=row["kind"],
            )
            return
        work: AnyWork = verb.work(row, handed)
        try:
            if work.attempt == 1:
                self.note(work, "begun")
            facts: dict[str, tracing.SpanFact] = {
                "operation__id": work.id,
                "server__id": work.server_id,
                "operation__attempt": work.attempt,
            }
            with tracing.within(tracing.tracer(), f"operation.{verb.kind}", tracing.above(work.beside.trace), **facts):
                await self._walk(verb, work, row)
        except (Cancelled, asyncio.CancelledError):
            # Cut off by the end of this engine it stays open, and the next one goes on with it.
            if not self._stopping:
                await self._finish(work, "cancelled", [])

    async def _end_cancelled(self, row: rows.OperationRow) -> None:
        async with self.store.write() as session:
            kept = {name: value for name, value in row["data"].items() if name not in SECRETS}
            ended: rows.OperationChange = {"state": "cancelled", "finished_at": world.now(), "data": kept}
            await rows.change_many(session, self.owner, {row["id"]: ended})
        self._silences.pop(row["id"], None)
        self.ended[row["kind"], "cancelled"] += 1

    async def _walk(self, verb: AnyVerb, work: AnyWork, row: rows.OperationRow) -> None:
        """Do what is left of the operation, or take it back, until it ends or has to wait."""
        step, silent = row["step"], self._silence(row)
        undoing, asked = row["state"] == "undoing" and not verb.tireless, work.id not in self._found or verb.places
        while True:
            try:
                if not asked:
                    work.overtaken = await self._is_overtaken(work, undoing)
                    asked = True
                    if work.overtaken and not undoing:
                        details = "its guest has seen more than this database, which was restored from an older backup"
                        raise Failed(OVERTAKEN, code=409, details=details)
                if undoing:
                    await self._undo(verb, work, step)
                    return
                left = verb.after(step)
                for each, following in zip_longest(left, left[1:]):
                    await self._do(verb, each, work, following)
                    step, silent = each.name, None
                return
            except Rewind as error:
                step, silent = verb.before(error.step), None
                work.end("Error", str(error))
                commits = [error.commit] if error.commit else []
                try:
                    await self._outcomes.write(work, commits, step=step, reason=str(error))
                except UndefinedMove as changed:
                    # Somebody has set the state meanwhile: started over in vain, it would be tried again for ever.
                    await self._fail(verb, work, failures.of_change(changed))
                    undoing = True
            except (Lost, Cancelled):
                raise
            except Exception as error:
                if not isinstance(error, Unreachable):
                    silent = None
                elif silent is None:
                    silent = world.monotonic()
                failure = None if undoing else self._failure(verb, work, error, silent)
                if failure is not None and verb.tireless:
                    why = failure.message
                    log.warning("a step failed and is tried until it works", operation=work.id, kind=verb.kind, why=why)
                    failure = None
                if failure is None:
                    await self._postpone(work, error, silent)
                    return
                await self._fail(verb, work, failure)
                undoing = True

    async def _is_overtaken(self, work: AnyWork, undoing: bool) -> bool:
        """Ask the host whether the guest has lived through what this database has open, and more. Raises BusError.

        To take something back does not wait for a host, which could not be reached for that either.
        """
        host = work.memory.host
        try:
            return host is not None and await age.newer_here(self.parts, host, work.server_id)
        except BusError:
            if undoing:
                return False
            raise

    def _failure(self, verb: AnyVerb, work: AnyWork, error: Exception, silent: float | None) -> Failure | None:
        """Return what an error of a step means for the owner; None when the step is to be done again later."""
        match error:
            case Failed():
                return error.failure
            case Postponed():
                return None
            case Unreachable():
                waited = world.monotonic() - silent if silent is not None else 0.0
                if waited < self.patience:
                    return None
                return failures.of_silence(work, waited, error)
            case RemoteBusy():
                return None
            case RemoteError():
                return failures.of_host(work, error)
            case UndefinedMove():
                return failures.of_change(error)
        log.error("a step of an operation failed unexpectedly", operation=work.id, kind=verb.kind, exc_info=error)
        return None if is_passing(error) else failures.unforeseen(work, error)

    async def _do(self, verb: AnyVerb, step: AnyStep, work: AnyWork, following: AnyStep | None) -> None:
        place, started = f"{verb.kind}/{step.name}", world.monotonic()
        work.begin(verb.event_of(step))
        self.boundary(f"{place}/begin")
        if step.interruptible:
            self._interruptible.add(work.id)
        try:
            with tracing.within(tracing.tracer(), f"step.{step.name}"):
                commit = await step.do(work, self.parts)
        finally:
            self._interruptible.discard(work.id)
        self.boundary(f"{place}/done")
        # The next step begins now, and whoever asks what takes so long is to see it.
        work.end("Success", then=verb.event_of(following) if following is not None else None)
        commits = [commit] if commit else []
        if following is not None:
            if step.is_written_later:
                await self._outcomes.write_later(work, step.name, commits)
            elif step.is_flushed_later:
                await self._outcomes.write_unflushed(work, commits, step=step.name)
            else:
                await self._outcomes.write(work, commits, step=step.name)
        else:
            await self._finish(work, "done", commits, step=step.name)
        self._tell(work, place, "step done", seconds=round(world.monotonic() - started, 3))
        self.boundary(f"{place}/end")

    def _tell(self, work: AnyWork, place: str, what: str, **more: object) -> None:
        """Log one line that a reader can follow a server by."""
        about = {"operation": work.id, "server": work.server_id, "request_id": work.request_id}
        log.info(f"{what}: {place}", host=work.memory.host, **more, **about)

    async def _fail(self, verb: AnyVerb, work: AnyWork, failure: Failure) -> None:
        work.end("Error", failure.details or failure.message)
        log.warning(
            "operation failed", operation=work.id, kind=verb.kind, server=work.server_id, host=work.memory.host,
            why=failure.message, details=failure.details,
        )  # fmt: skip
        # Written before anything is taken back: whoever goes on after a kill must take back, too, and not build again.
        work.beside = attrs.evolve(work.beside, failure=failure)
        shown = [undone(work, failure)] if verb.fails_first else []
        await self._outcomes.write(work, shown, state="undoing", reason=failure.message)

    async def _undo(self, verb: AnyVerb, work: AnyWork, done: str | None) -> None:
        """Take back what the steps did, the last one first, and end the operation as failed."""
        place, started = f"{verb.kind}/undo", world.monotonic()
        self.boundary(f"{place}/begin")
        # A delete may stop it anywhere: it removes all that is taken back here, and need not wait for a silent host.
        self._interruptible.add(work.id)
        commits: list[Commit] = []
        failure = work.beside.failure or failures.UNKNOWN
        try:
            with tracing.within(tracing.tracer(), "step.undo", failure=failure.message):
                for each in verb.begun(done):
                    if each.undo is not None and (commit := await each.undo(work, self.parts)):
                        commits.append(commit)
        finally:
            self._interruptible.discard(work.id)
        self.boundary(f"{place}/done")
        commits.append(undone(work, failure))
        await self._finish(work, "failed", commits)
        self._tell(work, place, "taken back", seconds=round(world.monotonic() - started, 3), why=failure.message)
        self.boundary(f"{place}/end")

    async def _finish(self, work: AnyWork, state: str, commits: Sequence[Commit], step: str | None = None) -> None:
        work.forget_secrets()
        self._silences.pop(work.id, None)
        ended = work.beside.noted_end if state == "done" else None
        values: rows.OperationChange = {"state": state, "finished_at": ended or world.now()}
        if step is not None:
            values["step"] = step
        await self._outcomes.write(work, commits, **values)
        self.ended[work.kind, state] += 1
        self.note(work, state)

    def _silence(self, row: rows.OperationRow) -> float | None:
        """Return since when the operation's host is silent, by the monotonic clock; None where it answered last."""
        since = row["silent_since"]
        if since is None:
            return None
        # Another process has only the moment that was written; a clock set forward must not use patience up.
        behind: float = min(max((world.now() - since).total_seconds(), 0.0), self.patience / 2)
        return self._silences.get(row["id"], world.monotonic() - behind)

    async def _postpone(self, work: AnyWork, error: Exception, silent: float | None) -> None:
        asked = error.seconds if isinstance(error, Postponed) else None
        seconds = asked or min(0.5 * 2 ** min(work.attempt, 7), 30)
        self._tell(work, work.kind, "operation waits", why=str(error), seconds=seconds)
        now, silent_since = world.now(), None
        if silent is not None:
            self._silences[work.id] = silent
            silent_since = now - timedelta(seconds=world.monotonic() - silent)
        # The lease is given back: whichever engine looks at that moment goes on.
        due = now + timedelta(seconds=seconds)
        await self._outcomes.write(
            work, [], silent_since=silent_since, reason=str(error), not_before=due, lease_until=None
        )


def _why(error: Exception) -> dict[str, object]:
    """Return why the store did not do it: in a word where that passes by itself, else with all that is known."""
    return {"why": shown(error)} if is_passing(error) else {"exc_info": error}
