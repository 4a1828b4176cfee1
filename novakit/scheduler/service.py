"""The scheduler on the bus: it answers `SchedulerCalls`, and hears what makes its picture stale."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from novakit import errors
from novakit.bus import Bus, topics
from novakit.bus import serve as serve_contract
from novakit.calls.capacity import CapacityReport
from novakit.calls.counts import SchedulerCounts
from novakit.calls.decisions import DecisionRecord
from novakit.calls.plugins import PluginRow
from novakit.calls.scheduler import Earlier, Refusal, SchedulerCalls, Selection
from novakit.calls.traces import SchedulerTrace
from novakit.placement import Placement
from novakit.scheduler.limits import SchedulerLimits
from novakit.scheduler.picture.measurements import MAX_AGE
from novakit.scheduler.picture.state import CloudState
from novakit.scheduler.pipeline.ask import Checking, checked
from novakit.scheduler.pipeline.compose import Composed, Offered, PipelineOptions, compose
from novakit.scheduler.pipeline.steps import AnyPipelineStep
from novakit.scheduler.plugins import offered
from novakit.scheduler.select import Scheduler
from novakit.store import Store
from novakit.store.faults import is_passing, shown
from novakit_hookspecs.errors import Busy
from novakit_hookspecs.scheduling import Ask

STALE_TOPICS = (topics.HOSTS_CHANGED, topics.PLACEMENT_CHANGED, topics.AGGREGATES_CHANGED)
"""What is published when the scheduler should look at the change numbers before its next decision."""
MAX_TRACE = 20_000
"""Decisions in one trace."""
MAX_ASKS = 1000
"""Servers in one call."""


def build(
    store: Store,
    placement: Placement,
    filters: Iterable[object],
    weighers: Iterable[object],
    *,
    options: PipelineOptions | None = None,
    refused: Mapping[str, Sequence[str]] | None = None,
    driver: Offered | None = None,
    limits: SchedulerLimits | None = None,
    down_after: float = 60.0,
    refresh_every: float = 0.25,
    metrics_max_age: float = MAX_AGE,
    default_zone: str = "nova",
    name: str = "scheduler",
) -> tuple[Scheduler, Composed]:
    """Make a scheduler of the filters and weighers on offer. Raises ConfigError when one that is named is not in it.

    An offer has `spec` and `plugin.distribution`, as `PluginHost.filters` and `PluginHost.weighers` hold them.
    `refused` says by kind which plugins are installed and not in service.
    With `driver`, that plugin decides in place of the filters and weighers.
    """
    state = CloudState(store, placement, down_after=down_after, default_zone=default_zone, refresh_every=refresh_every)
    chosen = options or PipelineOptions()
    composed = compose(_offered(filters), _offered(weighers), state.table, chosen, refused, driver)
    steps: list[AnyPipelineStep] = [*composed.pipeline.filters, *composed.pipeline.weighers]
    steps += [composed.pipeline.driver] if composed.pipeline.driver is not None else []
    state.wanted = frozenset(name for step in steps for name in step.spec.reads)
    state.measurements.wanted, state.measurements.max_age = state.wanted, metrics_max_age
    scheduler = Scheduler(store, placement, state, composed.pipeline, name=name, limits=limits or SchedulerLimits())
    scheduler.left_out = composed.faults
    return scheduler, composed


def _offered(offers: Iterable[Any]) -> list[Offered]:
    return [offer if isinstance(offer, Offered) else offered(offer) for offer in offers]


def serve(scheduler: Scheduler, bus: Bus, rows: Callable[[], Sequence[PluginRow]] = tuple) -> Callable[[], None]:
    """Answer calls to `scheduler` and hear what makes its picture stale; the result takes both back."""
    service = SchedulerService(scheduler, rows)
    undo = [serve_contract(bus, SchedulerCalls, lambda _: service)]
    undo.append(topics.BUILDS_ENDED.listen(bus, service.build_ended))
    undo.append(topics.GROUPS_CHANGED.listen(bus, service.group_changed))
    undo.extend(topic.listen(bus, service.stale) for topic in STALE_TOPICS)

    def stop() -> None:
        for step in undo:
            step()

    return stop


@attrs.define
class SchedulerService(SchedulerCalls):
    """The scheduler, as others reach it."""

    scheduler: Scheduler
    rows: Callable[[], Sequence[PluginRow]] = tuple
    _checked: Checking = attrs.field(init=False, factory=Checking)

    async def select(
        self, asks: tuple[Ask, ...], earlier: Mapping[str, Earlier] | None = None
    ) -> tuple[Selection | Refusal, ...]:
        if not 0 < len(asks) <= MAX_ASKS:
            raise errors.BadRequest(f"select takes 1 to {MAX_ASKS} servers, not {len(asks)}.")
        try:
            return tuple(await self.scheduler.select([self._checked(one) for one in asks], earlier or {}))
        except Exception as error:
            if is_passing(error):
                raise Busy(f"The database could not take the claim just now: {shown(error)}.") from error
            raise

    async def dry_run(self, ask: Ask) -> DecisionRecord:
        return await self.scheduler.dry_run(checked(ask))

    async def capacity(self, ask: Ask, survive: int = 0) -> CapacityReport:
        return await self.scheduler.capacity(checked(ask), survive)

    async def counts(self) -> SchedulerCounts:
        return self.scheduler.measures()

    async def plugins(self) -> tuple[PluginRow, ...]:
        return tuple(self.rows())

    async def trace(self, limit: int) -> SchedulerTrace:
        return await self.scheduler.trace(min(limit, MAX_TRACE))

    def build_ended(self, news: topics.BuildEnded) -> None:
        """Hear how a build ended."""
        self.scheduler.state.build_ended(news.host, news.worked)

    def group_changed(self, news: topics.GroupChanged) -> None:
        """Hear that a server group has another rule or other members."""
        self.scheduler.groups.forget([news.id])

    def stale(self, news: topics.Changed) -> None:
        """Hear that hosts, placement or aggregates changed."""
        self.scheduler.state.mark_stale()
