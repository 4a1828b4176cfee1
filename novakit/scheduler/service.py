"""The scheduler on the bus: target `scheduler`, plain data in and out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from novakit import errors
from novakit.bus import Bus, Message
from novakit.placement import Placement
from novakit.scheduler.answers import Earlier, Refusal, SchedulerLimits, Selection
from novakit.scheduler.picture.measurements import MAX_AGE
from novakit.scheduler.picture.state import CloudState
from novakit.scheduler.pipeline.ask import from_plain
from novakit.scheduler.pipeline.compose import Composed, Offered, SchedulerOptions, compose
from novakit.scheduler.pipeline.steps import Step
from novakit.scheduler.select import Scheduler
from novakit.store import Store
from novakit.store.faults import is_passing
from novakit_hookspecs.errors import Busy

TARGET = "scheduler"
STALE_TOPICS = ("hosts.changed", "placement.changed", "aggregates.changed")
"""What is published when the scheduler should look at the change numbers before its next decision."""
GROUPS_TOPIC = "server_groups.changed"
"""Published with the `id` of a server group whose rule or members changed."""
BUILDS_TOPIC = "builds.ended"
"""Published with `host` and `worked` when a build ended, so that failing hosts are avoided."""
MAX_TRACE = 20_000
"""Decisions in one trace."""
MAX_ASKS = 1000
"""Servers in one call."""


def build(
    store: Store,
    placement: Placement,
    filters: Iterable[Any],
    weighers: Iterable[Any],
    *,
    options: SchedulerOptions | None = None,
    refused: Mapping[str, Sequence[str]] | None = None,
    driver: Offered | None = None,
    limits: SchedulerLimits | None = None,
    down_after: float = 60.0,
    refresh_every: float = 0.25,
    metrics_max_age: float = MAX_AGE,
    default_zone: str = "nova",
    name: str = TARGET,
) -> tuple[Scheduler, Composed]:
    """Make a scheduler of the filters and weighers on offer; raise `ConfigError` when one that is named is not in it.

    An offer has `spec` and `plugin.distribution`, as `PluginHost.filters` and `PluginHost.weighers` hold them.
    `refused` says by kind which plugins are installed and not in service.
    With `driver`, that plugin decides in place of the filters and weighers.
    """
    state = CloudState(store, placement, down_after=down_after, default_zone=default_zone, refresh_every=refresh_every)
    chosen = options or SchedulerOptions()
    composed = compose(_offered(filters), _offered(weighers), state.table, chosen, refused, driver)
    steps: list[Step[Any]] = [*composed.pipeline.filters, *composed.pipeline.weighers]
    steps += [composed.pipeline.driver] if composed.pipeline.driver is not None else []
    state.wanted = frozenset(name for step in steps for name in step.spec.reads)
    state.measurements.wanted, state.measurements.max_age = state.wanted, metrics_max_age
    scheduler = Scheduler(store, placement, state, composed.pipeline, name=name, limits=limits or SchedulerLimits())
    scheduler.left_out = composed.faults
    return scheduler, composed


def _offered(offers: Iterable[Any]) -> list[Offered]:
    return [offer if isinstance(offer, Offered) else Offered(offer.spec, offer.plugin.distribution) for offer in offers]


def serve(scheduler: Scheduler, bus: Bus) -> Callable[[], None]:
    """Answer calls to `scheduler` and hear what makes its picture stale; the result takes both back."""
    service = SchedulerService(scheduler)
    methods = {
        "select": service.select,
        "explain": service.explain,
        "dry_run": service.dry_run,
        "capacity": service.capacity,
        "counts": service.counts,
        "trace": service.trace,
    }
    undo = [bus.serve(TARGET, methods)]
    undo.append(bus.listen(BUILDS_TOPIC, service.build_ended))
    undo.append(bus.listen(GROUPS_TOPIC, service.group_changed))
    undo.extend(bus.listen(topic, service.stale) for topic in STALE_TOPICS)

    def stop() -> None:
        for step in undo:
            step()

    return stop


@attrs.define
class SchedulerService:
    """The scheduler's calls, from and to plain data."""

    scheduler: Scheduler

    async def select(self, message: Message) -> Mapping[str, Any]:
        """Take `asks`, give `results` in the same order: a host with its claim, or a refusal.

        `earlier` may hold, by server, the `decision_id` of an answer whose host failed, and its next best `hosts`.
        """
        asks = message.body.get("asks")
        if not isinstance(asks, list) or not 0 < len(asks) <= MAX_ASKS:
            raise errors.BadRequest(f"select takes a list `asks` of 1 to {MAX_ASKS} servers.")
        earlier = {
            str(server): Earlier(decision_id=str(one["decision_id"]), hosts=tuple(map(str, one["hosts"])))
            for server, one in (message.body.get("earlier") or {}).items()
        }
        try:
            results = await self.scheduler.select([from_plain(one) for one in asks], earlier)
        except Exception as error:
            if is_passing(error):
                raise Busy(f"The database could not take the claim just now: {type(error).__name__}.") from error
            raise
        return {"results": [answer(one) for one in results]}

    async def explain(self, message: Message) -> Mapping[str, Any]:
        """Give the decisions about the server `server_id`, latest first."""
        return {"decisions": await self.scheduler.decisions(server_id=str(message.body.get("server_id", "")))}

    async def dry_run(self, message: Message) -> Mapping[str, Any]:
        """Decide about `ask` without claiming anything; give the record."""
        return {"decision": await self.scheduler.dry_run(from_plain(message.body.get("ask") or {}))}

    async def capacity(self, message: Message) -> Mapping[str, Any]:
        """Count how many more servers like `ask` fit, and after the loss of `survive` hosts."""
        ask, survive = from_plain(message.body.get("ask") or {}), int(message.body.get("survive", 0))
        return {"capacity": await self.scheduler.capacity(ask, survive)}

    async def counts(self, message: Message) -> Mapping[str, Any]:
        """Give what the scheduler counted and timed since it started."""
        return {"counts": self.scheduler.measures()}

    async def trace(self, message: Message) -> Mapping[str, Any]:
        """Give hosts and the latest `limit` decisions as a trace."""
        return {"trace": await self.scheduler.trace(int(message.body.get("limit", MAX_TRACE)))}

    async def build_ended(self, message: Message) -> None:
        """Hear how a build ended."""
        self.scheduler.state.build_ended(str(message.body.get("host")), bool(message.body.get("worked")))

    async def group_changed(self, message: Message) -> None:
        """Hear that a server group has another rule or other members."""
        self.scheduler.groups.forget([str(message.body.get("id"))])

    async def stale(self, message: Message) -> None:
        """Hear that hosts, placement or aggregates changed."""
        self.scheduler.state.mark_stale()


def answer(result: Selection | Refusal) -> dict[str, Any]:
    """Give a result as plain data."""
    if isinstance(result, Refusal):
        return {
            "server_id": result.server_id,
            "refused": {"message": result.message, "detail": result.detail},
            "decision_id": result.decision_id,
        }
    told = attrs.asdict(result, recurse=False)
    return {**told, **{name: list(told[name]) for name in ("alternates", "numa", "devices")}}
