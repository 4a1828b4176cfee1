"""Choose hosts and claim them: whatever waits is decided together and claimed in one transaction."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import attrs
import numpy as np
import structlog

from novakit import world
from novakit.monitoring import spans
from novakit.monitoring.tallies import Spread
from novakit.placement import Placement
from novakit.scheduler import capacity, cells, claims, record, trace
from novakit.scheduler.ask import servers_in_hints
from novakit.scheduler.claims import Given
from novakit.scheduler.groups import ANTI_AFFINITY, Groups, admit
from novakit.scheduler.pipeline import Pipeline
from novakit.scheduler.ranking import Ranking
from novakit.scheduler.record import Decision
from novakit.scheduler.state import CloudState
from novakit.scheduler.steps import Step
from novakit.store import Session, Store, decisions, numa, scheduling
from novakit.store.engine import Row
from novakit_hookspecs.affinity import Choice
from novakit_hookspecs.scheduling import Ask

log = structlog.get_logger(__name__)


@attrs.frozen(kw_only=True)
class Selection:
    """A host, with what the server needs claimed on it."""

    server_id: str
    host: str
    node: str
    provider_id: str
    availability_zone: str
    decision_id: str
    alternates: tuple[dict[str, str], ...] = ()
    """The next best hosts as host, node and provider_id; nothing is claimed there."""
    numa: tuple[Mapping[str, Any], ...] = ()
    """One `Taken` record as plain data for each guest cell: the host's cell, CPUs, pins, pages."""
    devices: tuple[Mapping[str, str], ...] = ()
    """Address and kind of each PCI device that the guest is to be handed, by address."""


@attrs.frozen(kw_only=True)
class Refusal:
    """No host: a sentence for the tenant, and one for the operator."""

    server_id: str
    message: str
    detail: str
    decision_id: str


@attrs.frozen(kw_only=True)
class SchedulerLimits:
    """How much the scheduler does at once, and what it keeps."""

    batch: int = 128
    """Requests decided together at most."""
    alternates: int = 3
    subset: int = 1
    """The first host is drawn from this many best ones; more of them mean fewer conflicts between schedulers."""
    tries: int = 10
    """Hosts tried for one server when others claim at the same time."""
    keep_decisions: int = 20000
    keep_days: float = 14.0
    wait: float = 0.0
    """Seconds to wait for further requests before deciding."""


@attrs.frozen(kw_only=True)
class Earlier:
    """What an earlier decision about the same server named as next best, for when its first choice failed."""

    decision_id: str
    hosts: tuple[str, ...]
    """Best first."""


@attrs.define(eq=False)
class _Waiting:
    ask: Ask
    answer: asyncio.Future[Selection | Refusal]
    asked: Ask
    """As it came, for comparing with the next one."""
    since: float = attrs.field(factory=world.monotonic)
    trace: spans.Context = attrs.field(factory=spans.here)
    """Below what the decision's span hangs."""
    earlier: "Earlier | None" = None
    conflicts: list[dict[str, str]] = attrs.field(factory=list)


@attrs.define(eq=False)
class _Try:
    waiting: _Waiting
    decision: Decision
    row: int
    alternates: tuple[dict[str, str], ...]
    choice: Choice | None = None
    """What the table counts as given to it of cells and devices."""
    given: Given = attrs.field(factory=Given)


WAITED = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BATCHED = (1, 2, 4, 8, 16, 32, 64, 128)


@attrs.define
class Counts:
    """What the scheduler did since it started."""

    placed: int = 0
    refused: int = 0
    failed: int = 0
    """Requests whose batch raised."""
    conflicts: int = 0
    batches: int = 0
    seconds: float = 0.0
    """Time spent on all batches."""
    waited: Spread = attrs.field(factory=lambda: Spread(WAITED))
    """Seconds from each request to its answer."""
    claimed: Spread = attrs.field(factory=lambda: Spread(WAITED))
    """Seconds of each transaction that claims, the wait for other writers included."""
    batched: Spread = attrs.field(factory=lambda: Spread(BATCHED))
    """Servers decided together."""


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
    _queue: list[_Waiting] = attrs.field(factory=list)
    _drain: asyncio.Task[None] | None = None
    _written: int = 0

    def __attrs_post_init__(self) -> None:
        self.groups = Groups(self.store, self.state.table)

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
            servers_in_hints(ask)
        loop = asyncio.get_running_loop()
        failed = earlier or {}
        waiting = [_Waiting(ask, loop.create_future(), ask, earlier=failed.get(ask.server_id)) for ask in asks]
        self._queue.extend(waiting)
        if self._drain is None or self._drain.done():
            self._drain = world.spawn(self._work(), name="scheduler/select")
        return list(await asyncio.gather(*(one.answer for one in waiting)))

    async def dry_run(self, ask: Ask) -> dict[str, Any]:
        """Decide without claiming or storing anything; give the record."""
        await self.state.refresh()
        waiting = _Waiting(ask, asyncio.get_running_loop().create_future(), ask)
        await self._resolve([waiting])
        decision, _ = await self._decide(waiting, _Batch())
        if "failed" in decision.record:
            decision.record["message"] = record.OUT_OF_ORDER
        return decision.record

    def measures(self) -> dict[str, Any]:
        """Give the counters: decisions, conflicts, and of each filter and weigher calls, seconds, removals, faults."""
        steps: dict[str, Sequence[Step[Any]]] = {"filters": self.pipeline.filters, "weighers": self.pipeline.weighers}
        steps["drivers"] = [self.pipeline.driver] if self.pipeline.driver else []
        told: dict[str, Any] = {"scheduler": self.name, "hosts": self.state.table.size, **attrs.asdict(self.counts)}
        told["left_out"] = dict(self.left_out)
        for kind, some in steps.items():
            told[kind] = {
                step.name: {
                    "plugin": step.plugin,
                    "calls": step.calls,
                    "seconds": round(step.seconds, 6),
                    "removed": step.removed,
                    "faults": step.faults,
                    "last_fault": step.last_fault,
                }
                for step in some
            }
        return told

    async def trace(self, limit: int) -> list[dict[str, Any]]:
        """Give the hosts as they are and the latest decisions as a trace that can be replayed."""
        await self.state.refresh()
        async with self.store.read() as session:
            rows = await decisions.some(session, limit=limit)
            ended = await scheduling.ended(session, {row["server_id"] for row in rows})
        table = self.state.table
        return [*trace.hosts(table, self.state.functions), *trace.aggregates(table), *trace.events(rows, ended)]

    async def capacity(self, ask: Ask, survive: int = 0) -> dict[str, Any]:
        """Count how many more servers like this fit, and with `survive` the same after losing that many hosts."""
        await self.state.refresh()
        table = self.state.table
        told = await capacity.capacity(self.pipeline, table, ask)
        if survive:
            lost = capacity.heaviest(table, survive)
            async with self.store.read() as session:
                held = await scheduling.loads_on(session, [table.providers[row] for row in lost])
            loads = [capacity.Load(server, resources) for server, resources in held.items()]
            told["survive"] = await capacity.after_loss(self.pipeline, table, ask, lost, loads)
        return told

    async def decisions(self, *, server_id: str) -> list[dict[str, Any]]:
        """Give the records of the decisions about a server, latest first."""
        async with self.store.read() as session:
            rows = await decisions.some(session, server_id=server_id)
        return [described(row) for row in rows]

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

    async def _place_or_tell(self, batch: Sequence[_Waiting]) -> None:
        """Place a batch; when that fails, place each alone, so that only the one at fault hears of it."""
        try:
            await self._place(batch)
        except Exception as error:
            self.state.mark_stale()
            left = [one for one in batch if not one.answer.done()]
            if len(batch) == 1:
                for one in left:
                    self.counts.failed += 1
                    one.answer.set_exception(error)
                return
            log.warning("a batch could not be placed at once", servers=len(left), exc_info=error)
            for one in left:
                await self._place_or_tell([one])

    async def _place(self, batch: Sequence[_Waiting]) -> None:
        fresh = await self.state.refresh()
        await self._resolve(batch)
        pending = list(batch)
        while pending:
            tries, refused = await self._choose(pending)
            if refused and not fresh:
                fresh = True
                tries, refused = await self._look_again(pending, tries, refused)
            began = world.monotonic()
            try:
                async with self.store.write() as session:
                    held = await self._held(session, pending)
                    claimed = await self._claim(session, [one for one in tries if one.waiting not in held], held)
                    rows = [one.decision.row() for one in claimed]
                    rows += [decision.row() for one, decision in refused if one not in held]
                    await decisions.add(session, rows)
            except BaseException:
                self._take_back(tries)
                raise
            self.counts.claimed.note(world.monotonic() - began)
            pending = await self._settle(tries, claimed, refused, held)
            await self._prune(len(rows))

    async def _look_again(
        self, pending: Sequence[_Waiting], tries: list[_Try], refused: Sequence[tuple[_Waiting, Decision]]
    ) -> tuple[list[_Try], list[tuple[_Waiting, Decision]]]:
        """Refuse nobody on a picture that is a moment old: bring it up to date and decide once more."""
        known = self.state.table.names
        without = [one for one, _ in refused]
        self.state.mark_stale()
        await self.state.refresh()
        self.groups.forget({one.ask.group.id for one in without if one.ask.group})
        await self._resolve(pending)
        if self.state.table.names is not known:
            return await self._choose(pending)
        again, still_refused = await self._choose(without)
        return [*tries, *again], still_refused

    async def _resolve(self, batch: Sequence[_Waiting]) -> None:
        """Fill in what the hints and the groups mean at this moment."""
        wanted = {one.ask.group.id for one in batch if one.ask.group}
        if wanted:
            await self.groups.load(wanted)
        for one in batch:
            named = servers_in_hints(one.ask)
            if named and not one.ask.server_hosts:
                async with self.store.read() as session:
                    roots = await scheduling.roots_held(session, named, project_id=one.ask.project_id)
                rows = {server: self.state.table.row_of_provider(root) for server, root in roots.items()}
                hosts = {server: self.state.table.names[row] for server, row in rows.items() if row is not None}
                one.ask = attrs.evolve(one.ask, server_hosts=hosts)

    async def _choose(self, pending: Sequence[_Waiting]) -> tuple[list[_Try], list[tuple[_Waiting, Decision]]]:
        tries: list[_Try] = []
        refused: list[tuple[_Waiting, Decision]] = []
        batch = _Batch()
        spent = world.monotonic()
        for one in pending:
            decision, ranking = await self._decide(one, batch)
            if ranking is None:
                refused.append((one, decision))
                continue
            tries.append(self._pick(one, decision, ranking, batch))
            if world.monotonic() - spent > 0.01:
                await asyncio.sleep(0)
                spent = world.monotonic()
        return tries, refused

    async def _decide(self, one: _Waiting, batch: "_Batch") -> tuple[Decision, Ranking | None]:
        tracer = spans.tracer()
        if tracer is None:
            return await self._decided(one, batch)
        with spans.within(tracer, "scheduler.decision", one.trace, server__id=one.ask.server_id) as span:
            decision, ranking = await self._decided(one, batch)
            asked = [stage["name"] for stage in decision.record["filters"] if stage.get("asked", True)]
            spans.note(
                span,
                decision__id=decision.id,
                decision__outcome="refused" if ranking is None else "placed",
                decision__follows=decision.record.get("with_decision"),
                hosts__before=decision.record["hosts"],
                hosts__after=0 if ranking is None else int(np.isfinite(ranking.total).sum()),
                filters__count=len(asked),
                filters__list=asked,
            )
            return decision, ranking

    async def _decided(self, one: _Waiting, batch: "_Batch") -> tuple[Decision, Ranking | None]:
        ask = one.ask
        group = self.groups.get(ask.group.id) if ask.group else None
        if group is not None:
            ask = attrs.evolve(ask, group=group.ask(ask.server_id))
        if one.conflicts:
            ask = attrs.evolve(ask, excluded_hosts=ask.excluded_hosts | {tried["host"] for tried in one.conflicts})
        last = batch.last
        if last is not None and not one.conflicts and one.earlier is None and last.serves(one.asked):
            await self.pipeline.reconsider(self.state.table, ask, last.ranking, last.place)
            if np.isfinite(last.ranking.total.max()):
                return last.again(ask, self.state), last.ranking
        outcome = await self.pipeline.run(self.state.table, ask)
        decision = await record.compose(self.pipeline, self.state.table, ask, outcome, self.name)
        if one.conflicts:
            decision.record["conflicts"] = one.conflicts
        ranking = None if outcome.failed else outcome.ranking
        alone = bool(one.conflicts or one.earlier or self.pipeline.driver) or (
            group is not None and group.policy != ANTI_AFFINITY
        )
        batch.last = None if ranking is None or alone else _Last(one.asked, decision, ranking, 0)
        return decision, ranking

    def _pick(self, one: _Waiting, decision: Decision, ranking: Ranking, batch: "_Batch") -> _Try:
        table = self.state.table
        places = self._next_best(one, ranking)
        if places and one.earlier:
            decision.record["next_best_of"] = one.earlier.decision_id
        else:
            places = ranking.best(1 + self.limits.alternates, self.limits.subset)
        rows = [int(ranking.rows[place]) for place in places if np.isfinite(ranking.total[place])]
        alternates = tuple(self._described(row) for row in rows[1:])
        decision.placed = True
        decision.record.update(
            host=table.names[rows[0]],
            node=table.column("node")[rows[0]],
            availability_zone=self._zone(rows[0]),
            alternates=[one["host"] for one in alternates],
        )
        if batch.last is not None:
            batch.last.place = places[0]
        table.add_claim(rows[0], one.ask.resources)
        choice = cells.take(table, rows[0], one.ask)
        if one.ask.group and (group := self.groups.get(one.ask.group.id)):
            group.put(one.ask.server_id, table.names[rows[0]])
        return _Try(one, decision, rows[0], alternates, choice)

    def _next_best(self, one: _Waiting, ranking: Ranking) -> list[int]:
        """Give the places of those next best hosts of the earlier decision that still fit, in its order."""
        rows = (self.state.table.row(name) for name in (one.earlier.hosts if one.earlier else ()))
        places = [int(place) for row in rows if row is not None for place in np.flatnonzero(ranking.rows == row)]
        return [place for place in places if np.isfinite(ranking.total[place])]

    def _described(self, row: int) -> dict[str, str]:
        table = self.state.table
        return {"host": table.names[row], "node": table.column("node")[row], "provider_id": table.providers[row]}

    async def _held(self, session: Session, pending: Sequence[_Waiting]) -> dict[_Waiting, int]:
        """Find the servers that have a claim already, on a host they may stay on."""
        roots = await scheduling.roots_held(session, {one.ask.server_id for one in pending})
        held: dict[_Waiting, int] = {}
        for one in pending if roots else ():
            row = self.state.table.row_of_provider(roots.get(one.ask.server_id, ""))
            if row is not None and self.state.table.names[row] not in one.ask.excluded_hosts:
                held[one] = row
        return held

    async def _claim(self, session: Session, tries: Sequence[_Try], held: Mapping[_Waiting, int]) -> list[_Try]:
        grouped = [
            (one.waiting.ask.group.id, one.waiting.ask.server_id, self.state.table.providers[one.row])
            for one in tries
            if one.waiting.ask.group
        ]
        crowded = await admit(session, grouped) if grouped else set()
        admitted = [one for one in tries if one.waiting.ask.server_id not in crowded]
        if not admitted:
            return []
        claimed = []
        answers = await claims.claim(session, self.state, [(one.waiting.ask, one.row) for one in admitted])
        for one, given in zip(admitted, answers, strict=True):
            if given is not None:
                one.given = given
                one.decision.record.update(given.described())
                claimed.append(one)
        return claimed

    async def _settle(
        self,
        tries: Sequence[_Try],
        claimed: Sequence[_Try],
        refused: Sequence[tuple[_Waiting, Decision]],
        held: Mapping[_Waiting, int],
    ) -> list[_Waiting]:
        """Answer what is settled; give back what must be decided again."""
        done = {id(one) for one in claimed}
        lost = [one for one in tries if id(one) not in done]
        self._take_back(lost)
        for one in claimed:
            answer = self._selection(one.waiting, one.row, one.decision.id, one.alternates)
            self._answer(one.waiting, attrs.evolve(answer, numa=one.given.numa, devices=one.given.devices))
            self.counts.placed += 1
        before = await self._given_before(held)
        for waiting, row in held.items():
            answer, given = self._selection(waiting, row, "", ()), before[waiting.ask.server_id]
            self._answer(waiting, attrs.evolve(answer, numa=given.numa, devices=given.devices))
        for waiting, decision in refused:
            if waiting not in held:
                self.counts.refused += 1
                self._answer(waiting, _refusal(decision))
        conflicts = [one for one in lost if one.waiting not in held]
        if conflicts:
            await self._learn(conflicts)
        return [one.waiting for one in conflicts if not one.waiting.answer.done()]

    async def _given_before(self, held: Mapping[_Waiting, int]) -> Mapping[str, Given]:
        """Tell what cells and devices servers hold that were placed before."""
        if not held:
            return {}
        async with self.store.read() as session:
            return await claims.given(session, self.state, {one.ask.server_id: row for one, row in held.items()})

    async def _learn(self, conflicts: Sequence[_Try]) -> None:
        """Somebody else was faster: read those hosts again, and try the next best ones."""
        self.counts.conflicts += len(conflicts)
        await self.state.reread({one.row for one in conflicts})
        regroup = {one.waiting.ask.group.id for one in conflicts if one.waiting.ask.group}
        self.groups.forget(regroup)
        await self.groups.load(regroup)
        for one in conflicts:
            waiting = one.waiting
            waiting.conflicts.append({"host": self.state.table.names[one.row], "why": "claimed by somebody else"})
            if len(waiting.conflicts) >= self.limits.tries:
                one.decision.placed = False
                one.decision.message = (
                    f"No valid host was found. {len(waiting.conflicts)} hosts were taken by others while this server "
                    "was being placed; try again."
                )
                one.decision.record.update(message=one.decision.message, conflicts=waiting.conflicts, host=None)
                async with self.store.write() as session:
                    await decisions.add(session, [one.decision.row()])
                self.counts.refused += 1
                self._answer(waiting, _refusal(one.decision))

    def _take_back(self, tries: Sequence[_Try]) -> None:
        for one in tries:
            taken = {name: -amount for name, amount in one.waiting.ask.resources.items()}
            self.state.table.add_claim(one.row, taken, -1)
            if one.choice is not None:
                cells.take_back(self.state.table, one.row, one.choice)
            if one.waiting.ask.group and (group := self.groups.get(one.waiting.ask.group.id)):
                group.take(one.waiting.ask.server_id)

    def _selection(
        self, waiting: _Waiting, row: int, decision_id: str, alternates: tuple[dict[str, str], ...]
    ) -> Selection:
        table = self.state.table
        return Selection(
            server_id=waiting.ask.server_id,
            host=table.names[row],
            node=table.column("node")[row],
            provider_id=table.providers[row],
            availability_zone=self._zone(row),
            decision_id=decision_id,
            alternates=alternates,
        )

    def _zone(self, row: int) -> str:
        table = self.state.table
        return str(table.vocabulary("availability_zone")[table.codes("availability_zone")[row]])

    def _answer(self, waiting: _Waiting, answer: Selection | Refusal) -> None:
        self.counts.waited.note(world.monotonic() - waiting.since)
        if not waiting.answer.done():
            waiting.answer.set_result(answer)

    async def _prune(self, written: int) -> None:
        self._written += written
        if self._written < 1000:
            return
        self._written = 0
        since = world.now() - timedelta(days=self.limits.keep_days)
        async with self.store.write() as session:
            await decisions.prune(session, keep=self.limits.keep_decisions, since=since)
            await numa.prune(session)


def described(row: Row) -> dict[str, Any]:
    """Give a stored decision as plain data."""
    told = {"id": row["id"], "outcome": row["outcome"], "at": row["at"].isoformat(), "number": row["number"]}
    return {**told, **row["record"]}


def _refusal(decision: Decision) -> Refusal:
    detail = decision.detail or decision.message
    return Refusal(server_id=decision.ask.server_id, message=decision.message, detail=detail, decision_id=decision.id)


@attrs.define
class _Last:
    """The decision before, whose ranking serves the next server of the same request."""

    asked: Ask
    decision: Decision
    ranking: Ranking
    place: int

    def serves(self, ask: Ask) -> bool:
        same = attrs.evolve(self.asked, server_id=ask.server_id, request_id=ask.request_id)
        return same == ask

    def again(self, ask: Ask, state: CloudState) -> Decision:
        """Make the record of a further server of the same request."""
        told = {**self.decision.record, "server_id": ask.server_id, "request_id": ask.request_id}
        told.update(with_decision=self.decision.id, timings={})
        return Decision(world.new_id(), ask, told)


@attrs.define
class _Batch:
    """What decisions that are made one after another remember of each other."""

    last: _Last | None = None
