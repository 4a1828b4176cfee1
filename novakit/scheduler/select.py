"""Choose hosts and claim them: whatever waits is decided together and claimed in one transaction.

The idea: requests that come while a batch is under way wait, and are the next batch. A batch brings the picture up to
date once, decides about one server after another in memory, and claims all of them in one transaction. Whose claim is
refused, because another scheduler was faster or somebody wrote the same rows of Placement at that moment, is decided
again with the picture read anew.
The invariant: a server has one claim at most, and keeps it when it is asked for again. What the table counts for
servers that were not claimed after all is taken back, also when the transaction fails. Nobody is refused by a picture
that may be old: before the first refusal it is read again.
The cost: 0.3 to 0.5 ms of CPU for each server of a batch, 1.8 ms for one that comes alone; each conflict costs one
more transaction (`limits.tries` at most).
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

import attrs
import sqlalchemy as sa
import structlog

from novakit import errors, world
from novakit.calls.capacity import CapacityReport
from novakit.calls.counts import SchedulerCounts, StepCounts
from novakit.calls.decisions import DecisionRecord, TriedHost, read
from novakit.calls.scheduler import Earlier, NextBest, Refusal, Selection
from novakit.calls.traces import SchedulerTrace
from novakit.placement import Placement
from novakit.placement.ledger import CONCURRENT_UPDATE
from novakit.request_spec.hints import servers_named
from novakit.scheduler import claims
from novakit.scheduler.choose import Chooser
from novakit.scheduler.limits import Counts, SchedulerLimits
from novakit.scheduler.picture.groups import Groups
from novakit.scheduler.picture.state import CloudState
from novakit.scheduler.pipeline import record
from novakit.scheduler.pipeline.pipeline import Pipeline
from novakit.scheduler.pipeline.record import Decision
from novakit.scheduler.pipeline.steps import AnyPipelineStep
from novakit.scheduler.tries import Given, Try, Waiting
from novakit.scheduler.whatif import capacity, trace
from novakit.store import Store
from novakit.store.faults import is_collision
from novakit.store.scheduler import decisions, numa, picture
from novakit.store.scheduler.decisions import DecisionRow
from novakit_hookspecs.scheduling import Ask

log = structlog.get_logger(__name__)

PRUNED_EVERY = 1000
"""Decisions that are written between two looks for old ones."""


@attrs.frozen
class _Claimed:
    """What became of those of a batch, once that is committed."""

    given: Mapping[Try, Selection]
    held: Mapping[Waiting, int]
    """Who had a claim before and keeps it, and the row of its host."""
    refused: Sequence[tuple[Waiting, Decision]]
    again: Sequence[Waiting]
    """Who is to be decided once more."""
    written: int
    """Records."""


@attrs.define(eq=False)
class Scheduler:
    """Chooses a host for each server and claims it."""

    store: Store
    placement: Placement
    state: CloudState
    pipeline: Pipeline
    name: str = "scheduler"
    limits: SchedulerLimits = attrs.field(factory=SchedulerLimits)
    counts: Counts = attrs.field(factory=Counts)
    left_out: Mapping[str, str] = attrs.field(factory=dict)
    """Filters and weighers that are on by default and could not be built, and why."""
    groups: Groups = attrs.field(init=False)
    chooser: Chooser = attrs.field(init=False)
    _queue: list[Waiting] = attrs.field(factory=list)
    _drain: asyncio.Task[None] | None = None
    _written: int = 0

    def __attrs_post_init__(self) -> None:
        self.groups = Groups(self.store, self.state.table)
        self.chooser = Chooser(self.state, self.pipeline, self.groups, self.limits, self.name)

    async def open(self) -> None:
        """Load the picture of the cloud."""
        await self.state.refresh()

    async def select(
        self, asks: Sequence[Ask], earlier: Mapping[str, Earlier] | None = None
    ) -> list[Selection | Refusal]:
        """Choose and claim a host for each server, all of them in as few transactions as possible.

        A server that has its claim already gets the same host again.
        `earlier` is, by server, the decision whose host failed: the first of its next best hosts that still fits is
        taken, and only where none does, the best of all hosts.
        """
        for ask in asks:
            servers_named(ask.hints)
        loop = asyncio.get_running_loop()
        failed = earlier or {}
        waiting = [Waiting(ask, loop.create_future(), ask, earlier=failed.get(ask.server_id)) for ask in asks]
        self._queue.extend(waiting)
        if self._drain is None or self._drain.done():
            self._drain = world.spawn(self._work(), name="scheduler/select")
        if len(waiting) == 1:  # as nearly always: to gather one answer takes a turn of the loop more
            return [await waiting[0].answer]
        return list(await asyncio.gather(*(one.answer for one in waiting)))

    async def dry_run(self, ask: Ask) -> DecisionRecord:
        """Decide without claiming or storing anything. Returns the record."""
        await self.state.refresh()
        waiting = Waiting(ask, asyncio.get_running_loop().create_future(), ask)
        await self._resolve([waiting])
        decision, _ = await self.chooser.decide(waiting)
        told = attrs.evolve(decision.record, outcome="placed" if decision.placed else "refused")
        return attrs.evolve(told, message=record.OUT_OF_ORDER) if told.failed else told

    def measures(self) -> SchedulerCounts:
        """Return what this scheduler counted, and what its filters, weighers and driver came to."""
        pipeline, counts = self.pipeline, self.counts
        steps: dict[str, Sequence[AnyPipelineStep]] = {
            "filter": pipeline.filters,
            "weigher": pipeline.weighers,
            "scheduler": [pipeline.driver] if pipeline.driver else [],
        }
        return SchedulerCounts(
            scheduler=self.name,
            hosts=self.state.table.size,
            placed=counts.placed,
            refused=counts.refused,
            failed=counts.failed,
            conflicts=counts.conflicts,
            batches=counts.batches,
            seconds=counts.seconds,
            waited=counts.waited.told(),
            claimed=counts.claimed.told(),
            batched=counts.batched.told(),
            left_out=dict(self.left_out),
            failing={
                f"{what} {step.name}": step.failing for what, some in steps.items() for step in some if step.failing
            },
            filters=_told(steps["filter"]),
            weighers=_told(steps["weigher"]),
            drivers=_told(steps["scheduler"]),
        )

    async def trace(self, limit: int) -> SchedulerTrace:
        """Return the hosts as they are and the latest decisions as a trace that can be replayed."""
        self.state.mark_stale()
        await self.state.refresh()
        return await trace.record(self.state, limit)

    async def capacity(self, ask: Ask, survive: int = 0) -> CapacityReport:
        """Count how many more servers like this fit, and with `survive` the same after losing that many hosts."""
        self.state.mark_stale()
        await self.state.refresh()
        table = self.state.table
        waiting = Waiting(ask, asyncio.get_running_loop().create_future(), ask)
        await self._resolve([waiting])
        ask = waiting.ask
        if ask.group is not None and (group := self.groups.get(ask.group.id)) is not None:
            ask = attrs.evolve(ask, group=group.ask(ask.server_id))
        told = await capacity.capacity(self.pipeline, table, ask)
        if survive:
            lost = capacity.heaviest(table, survive)
            async with self.store.read() as session:
                held = await picture.loads_on(session, [table.providers[row] for row in lost])
            loads = [capacity.HostLoad(server, resources) for server, resources in held.items()]
            after = await capacity.after_loss(self.pipeline, table, ask, lost, loads)
            told = attrs.evolve(told, survive=after)
        return told

    async def decisions(self, *, server_id: str) -> list[DecisionRecord]:
        """Return the records of the decisions about a server, latest first."""
        async with self.store.read() as session:
            rows = await decisions.some(session, server_id=server_id)
        return [read(described(row)) for row in rows]

    async def _work(self) -> None:
        if self.limits.wait:
            await asyncio.sleep(self.limits.wait)
        while self._queue:
            batch, self._queue = self._queue[: self.limits.batch], self._queue[self.limits.batch :]
            started = world.monotonic()
            await self._place_or_tell(batch)
            self.counts.batches += 1
            self.counts.batched.note(len(batch))
            self.counts.seconds += world.monotonic() - started

    async def _place_or_tell(self, batch: Sequence[Waiting], *, tries: int = 1) -> None:
        """Place a batch; when that fails, place each alone, so that only the one at fault hears of it.

        One that collided with another transaction is tried again, `limits.tries` times in all.
        """
        try:
            await self._place(batch)
        except Exception as error:
            self.state.mark_stale()
            left = [one for one in batch if not one.over]
            if len(batch) == 1:
                if left and tries < self.limits.tries and _came_between(error):
                    self.counts.conflicts += 1
                    await self._place_or_tell(left, tries=tries + 1)
                    return
                for one in left:
                    self.counts.failed += 1
                    one.answer.set_exception(error)
                return
            log.warning("a batch could not be placed at once", servers=len(left), exc_info=error)
            for one in left:
                await self._place_or_tell([one])

    async def _place(self, batch: Sequence[Waiting]) -> None:
        fresh = await self.state.refresh()
        # Between the refresh and the claim other schedulers write on. That is what the claim is conditional for.
        await self._resolve(batch)
        pending, looked = list(batch), False
        while pending := [one for one in pending if not one.over]:
            counted, names = self.state.stock_reads, self.state.table.names
            tries, refused = await self.chooser.choose(pending)
            if refused and not looked and not (fresh and self.state.is_sure()):
                looked = True
                tries, refused, names = await self._look_again(pending, tries, refused, names)
            began = world.monotonic()
            try:
                done = await self._claim(pending, tries, refused, counted, names)
            except BaseException as error:
                if self.state.table.names is names:
                    # Also when this task is cancelled: the table would count servers that nobody has claimed, for ever.
                    self.chooser.take_back(tries)
                    raise
                # Rows are those of other hosts by now, so nobody can tell what is counted where.
                self.state.start_over()
                if isinstance(error, Exception):
                    raise _begun_anew() from error
                raise
            self.counts.claimed.note(world.monotonic() - began)
            pending = [*await self._settle(tries, done), *done.again]
            self._written += done.written
            if self._written >= PRUNED_EVERY:
                self._written = 0
                await self._prune()

    async def _claim(
        self,
        pending: Sequence[Waiting],
        tries: Sequence[Try],
        refused: Sequence[tuple[Waiting, Decision]],
        counted: int,
        names: Sequence[str],
    ) -> _Claimed:
        """Claim what was decided and write the records, in one transaction."""

        async def write(*, unread: bool) -> _Claimed:
            # The conductor waits until the host is on the disk, and with it this claim, before anything is done
            # there; a claim that is lost with the power is made anew by the same operation.
            async with self.store.write(flushed=False) as session:
                claimed: Sequence[Try]
                held: Mapping[Waiting, int] = {}
                if unread:
                    claimed = await claims.claim_unread(session, self.state, tries[0], counted)
                else:
                    claimed, held = await claims.claim(session, self.state, pending, tries, counted)
                known: dict[int, object] = {}
                rows = [one.decision.row(known) for one in claimed]
                # Who has a claim was given room a second time: whoever was refused beside that is decided again.
                anew = bool(held) and any(one.waiting in held for one in tries)
                left = [(one, decision) for one, decision in refused if one not in held]
                rows += [] if anew else [decision.row() for _, decision in left]
                await decisions.add(session, rows)
                # Said before the commit: whoever looks meanwhile may find that a host went away.
                given = {one: self._selection_of(one) for one in claimed}
                if self.state.table.names is not names:
                    raise _begun_anew()
            again = [one for one, _ in left] if anew else []
            return _Claimed(given, held, [] if anew else left, again, len(rows))

        if claims.may_be_unread(self.state, pending, tries):
            with suppress(claims.OtherwiseThanPictured):
                return await write(unread=True)
        return await write(unread=False)

    async def _look_again(
        self,
        pending: Sequence[Waiting],
        tries: list[Try],
        refused: Sequence[tuple[Waiting, Decision]],
        known: Sequence[str],
    ) -> tuple[list[Try], list[tuple[Waiting, Decision]], list[str]]:
        """Refuse nobody on a picture that is a moment old: bring it up to date and decide once more.

        Takes and returns the hosts' names by row with which it was decided.
        """
        without = [one for one, _ in refused]
        self.state.mark_doubtful()
        await self.state.refresh()
        self.groups.forget({one.ask.group.id for one in without if one.ask.group})
        await self._resolve(pending)
        names = self.state.table.names
        if names is not known:
            return *await self.chooser.choose(pending), names
        again, still_refused = await self.chooser.choose(without)
        return [*tries, *again], still_refused, names

    async def _resolve(self, batch: Sequence[Waiting]) -> None:
        """Fill in what the hints and the groups mean at this moment."""
        wanted = {one.ask.group.id for one in batch if one.ask.group}
        if wanted:
            await self.groups.load(wanted)
        for one in batch:
            named = servers_named(one.ask.hints)
            if named and not one.ask.server_hosts:
                async with self.store.read() as session:
                    roots = await picture.roots_held(session, named, project_id=one.ask.project_id)
                rows = {server: self.state.table.row_of_provider(root) for server, root in roots.items()}
                hosts = {server: self.state.table.names[row] for server, row in rows.items() if row is not None}
                one.ask = attrs.evolve(one.ask, server_hosts=hosts)

    async def _settle(self, tries: Sequence[Try], done: _Claimed) -> list[Waiting]:
        """Answer what is settled; give back what must be decided again."""
        held = done.held
        lost = [one for one in tries if one not in done.given]
        if lost:
            self.chooser.take_back(lost)
        for one, selection in done.given.items():
            self._answer(one.waiting, selection)
            self.counts.placed += 1
            one.decision.count_removed()
        if held:
            async with self.store.read() as session:
                rows = {waiting.ask.server_id: row for waiting, row in held.items()}
                before = await claims.given(session, self.state, rows)
            for waiting, row in held.items():
                self._answer(waiting, self._selection(waiting, row, "", (), before[waiting.ask.server_id]))
        for waiting, decision in done.refused:
            self.counts.refused += 1
            decision.count_removed()
            self._answer(waiting, _refusal(decision))
        conflicts = [one for one in lost if one.waiting not in held and not one.waiting.over]
        if conflicts:
            await self._learn(conflicts)
        return [one.waiting for one in conflicts]

    async def _learn(self, conflicts: Sequence[Try]) -> None:
        """Somebody else was faster: read what others have taken, here and elsewhere, and try the next best hosts."""
        self.counts.conflicts += len(conflicts)
        for one in conflicts:
            one.waiting.conflicts.append(TriedHost(host=self.state.table.names[one.row], why="another claim took it"))
        await self.state.reread({one.row for one in conflicts})
        # Who was faster on one host is so on others, too, and a try costs a transaction.
        self.state.mark_stale()
        await self.state.refresh()
        regroup = {one.waiting.ask.group.id for one in conflicts if one.waiting.ask.group}
        self.groups.forget(regroup)
        await self.groups.load(regroup)
        for one in conflicts:
            waiting = one.waiting
            if len(waiting.conflicts) >= self.limits.tries:
                one.decision.placed = False
                one.decision.message = (
                    f"No valid host was found. Other requests took the chosen host {len(waiting.conflicts)} times while"
                    " this server was being placed; try again."
                )
                one.decision.add(message=one.decision.message, conflicts=tuple(waiting.conflicts), host=None)
                async with self.store.write() as session:
                    await decisions.add(session, [one.decision.row()])
                self.counts.refused += 1
                self._answer(waiting, _refusal(one.decision))

    def _selection_of(self, one: Try) -> Selection:
        return self._selection(one.waiting, one.row, one.decision.id, one.alternates, one.given)

    def _selection(
        self, waiting: Waiting, row: int, decision_id: str, alternates: tuple[NextBest, ...], given: Given
    ) -> Selection:
        table = self.state.table
        return Selection(
            server_id=waiting.ask.server_id,
            host=table.names[row],
            node=table.column("node")[row],
            provider_id=table.providers[row],
            availability_zone=self.state.zone(row),
            decision_id=decision_id,
            alternates=alternates,
            numa=given.numa,
            devices=given.devices,
        )

    def _answer(self, waiting: Waiting, answer: Selection | Refusal) -> None:
        self.counts.waited.note(world.monotonic() - waiting.since)
        if not waiting.answer.done():
            waiting.answer.set_result(answer)

    async def _prune(self) -> None:
        since = world.now() - timedelta(days=self.limits.keep_days)
        async with self.store.write() as session:
            await decisions.prune(session, keep=self.limits.keep_decisions, since=since)
            await numa.prune(session)


def _told(steps: Sequence[AnyPipelineStep]) -> dict[str, StepCounts]:
    return {
        step.name: StepCounts(
            plugin=step.plugin,
            calls=step.calls,
            seconds=round(step.seconds, 6),
            removed=step.removed,
            faults=step.faults,
            last_fault=step.last_fault,
        )
        for step in steps
    }


def _begun_anew() -> errors.Conflict:
    return errors.Conflict("A host went away while servers were being placed; try again.", kind=CONCURRENT_UPDATE)


def _came_between(error: Exception) -> bool:
    """Return whether another transaction wrote at the same moment what this one was about to: it may be done again."""
    if isinstance(error, errors.Conflict):
        return error.kind == CONCURRENT_UPDATE
    return isinstance(error, sa.exc.DBAPIError) and is_collision(error, twins=True)


def described(row: DecisionRow) -> dict[str, object]:
    """Return a stored decision as the JSON object that `novakit.calls.decisions.read` reads."""
    told = {"id": row["id"], "outcome": row["outcome"], "at": row["at"].isoformat(), "number": row["number"]}
    return {**told, **row["record"]}


def _refusal(decision: Decision) -> Refusal:
    detail = decision.detail or decision.message
    return Refusal(server_id=decision.ask.server_id, message=decision.message, detail=detail, decision_id=decision.id)
