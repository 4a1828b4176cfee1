"""The record of a decision: what each filter removed and why, what the best hosts weighed, and the nearest miss.

The idea: what a decision removed is known from the masks; the reasons are asked of the filters afterwards, for the
hosts that each removed. The nearest miss is the host that the fewest filters refuse, and among those the one that
lacks the least: found by halving, since a filter can say of many hosts at once how far the nearest of them is off.
The invariant: what a tenant reads (`message`) counts hosts and names none; what names hosts (`detail`, `nearest`) is
for operators. A plugin that fails while it explains costs its own reason only.
The cost: 0.2 ms where a host was found, for the weights of the best ones. A refusal asks the filters once more about
all hosts and then up to `LOOKS` times about some of them: 1.3 ms at 1,000 hosts, 2.2 ms at 10,000.
"""

import heapq
from collections.abc import Mapping, Sequence
from typing import TypedDict, Unpack

import attrs
import numpy as np
from numpy.typing import NDArray

from novakit import world
from novakit.calls.decisions import (
    DecisionGroup,
    DecisionReason,
    DecisionRecord,
    DecisionRequest,
    DecisionStage,
    GivenDevice,
    HostWeight,
    Miss,
    NearestMiss,
    TriedHost,
    written,
)
from novakit.scheduler.picture.table import HostTable
from novakit.scheduler.pipeline.pipeline import Outcome, Pipeline, Stage
from novakit.scheduler.pipeline.steps import AnyPipelineStep, Broken, PipelineStep, applies_mask, reasons
from novakit_hookspecs.numa import Taken
from novakit_hookspecs.scheduling import Ask, FilterSpec, GroupAsk, Reason

OUT_OF_ORDER = "The scheduler could not decide: one of its checks is broken."
TOP = 5
"""Hosts whose weights are kept."""
LOOKS = 100
"""Questions to filters on the way to the nearest miss; two for each halving of the hosts are the rule."""


class DecisionChange(TypedDict, total=False):
    """What becomes known of a decision after its pass of the filters: fields of its record."""

    server_id: str
    request_id: str
    message: str
    with_decision: str
    next_best_of: str
    timings: Mapping[str, float]
    host: str | None
    node: str | None
    availability_zone: str | None
    alternates: tuple[str, ...] | None
    conflicts: tuple[TriedHost, ...]
    numa: tuple[Taken, ...]
    devices: tuple[GivenDevice, ...]


@attrs.define
class Decision:
    """One decision on its way to the store."""

    id: str
    ask: Ask
    _record: DecisionRecord
    placed: bool = False
    message: str = ""
    """For tenants: one or two sentences without names of hosts."""
    detail: str = ""
    """For operators."""
    removed: Sequence[tuple[AnyPipelineStep, int]] = attrs.field(factory=tuple, repr=False)
    """How many hosts each filter removed for it; nothing where an earlier decision's pass served again."""
    _more: DecisionChange = attrs.field(factory=DecisionChange)
    """What was added and is not in the record yet: to make one anew costs 10 µs, and three things are added to most."""

    @property
    def record(self) -> DecisionRecord:
        """Return what is known of it so far."""
        if self._more:
            self._record, self._more = attrs.evolve(self._record, **self._more), {}
        return self._record

    def add(self, **fields: Unpack[DecisionChange]) -> None:
        """Write down more of it."""
        self._more |= fields

    def count_removed(self) -> None:
        """Count at each filter what it removed for this decision."""
        for step, count in self.removed:
            step.removed += count

    def row(self, known: dict[int, object] | None = None) -> dict[str, object]:
        """Return the row to store; `known` are parts that decisions share, as they were written for the ones before."""
        return {
            "id": self.id,
            "server_id": self.ask.server_id,
            "project_id": self.ask.project_id,
            "outcome": "placed" if self.placed else "refused",
            "at": world.now(),
            "record": written(self._record, known, self._more),
        }


async def compose(pipeline: Pipeline, table: HostTable, ask: Ask, outcome: Outcome, scheduler: str) -> Decision:
    """Make the record of one pass of the pipeline, before anything is claimed."""
    stages = [await _stage(stage, outcome, index, ask) for index, stage in enumerate(outcome.stages)]
    id, message, detail = world.new_id(), "", ""
    best: tuple[HostWeight, ...] = ()
    equal, miss = 0, None
    if outcome.failed:
        detail = outcome.failed
        message = f"{OUT_OF_ORDER} The operator finds it as decision {id}."
    elif outcome.ranking is not None:
        best = weights(table, outcome)
        equal = int((outcome.ranking.total == outcome.ranking.total.max()).sum())
    else:
        miss = await nearest(pipeline, table, ask, outcome)
        message = sentence(outcome.looked_at, stages)
        detail = _detail(message, miss)
    record = DecisionRecord(
        server_id=ask.server_id,
        request_id=ask.request_id,
        project_id=ask.project_id,
        scheduler=scheduler,
        asked=asked(ask),
        hosts=outcome.looked_at,
        filters=tuple(stages),
        timings={"filter_ms": round(outcome.filter_ms, 3), "weigh_ms": round(outcome.weigh_ms, 3)},
        driver=pipeline.driver.name if pipeline.driver is not None else "",
        skipped_weighers=tuple(outcome.skipped_weighers),
        failed=outcome.failed,
        weights=best,
        equally_good=equal if equal > 1 else 0,
        nearest=miss,
        message=message,
    )
    removed = [(stage.step, stage.before - stage.after) for stage in outcome.stages if stage.mask is not None]
    return Decision(id, ask, record, message=message, detail=detail, removed=removed)


async def why_none(outcome: Outcome, ask: Ask) -> str:
    """Return why no host was found, as one sentence; empty where one was."""
    if outcome.failed or outcome.ranking is not None:
        return ""
    stages = [await _stage(stage, outcome, index, ask) for index, stage in enumerate(outcome.stages)]
    return sentence(outcome.looked_at, stages)


def asked(ask: Ask) -> DecisionRequest:
    """Return the parts of a request that say why it fits or not."""
    image = ask.image
    return DecisionRequest(
        flavor=ask.flavor_name,
        resources=dict(ask.resources),
        user_id=ask.user_id,
        vcpus=ask.vcpus,
        memory_mb=ask.memory_mb,
        root_gb=ask.root_gb,
        ephemeral_gb=ask.ephemeral_gb,
        swap_mb=ask.swap_mb,
        boots_from_volume=ask.boots_from_volume,
        count=max(1, ask.count),
        availability_zone=ask.availability_zone or None,
        host=ask.host or None,
        node=ask.node or None,
        force=ask.force,
        cell=ask.cell or None,
        image=image.id if image else "",
        extra_specs=dict(ask.extra_specs),
        image_format=image.disk_format if image else "",
        image_properties=dict(image.properties) if image else {},
        config_drive=ask.config_drive,
        hints=dict(ask.hints),
        required_traits=tuple(sorted(ask.required_traits)),
        forbidden_traits=tuple(sorted(ask.forbidden_traits)),
        server_hosts=dict(ask.server_hosts),
        group=_group(ask.group) if ask.group else None,
        excluded_hosts=tuple(sorted(ask.excluded_hosts)),
    )


def _group(group: GroupAsk) -> DecisionGroup:
    return DecisionGroup(
        id=group.id,
        policy=group.policy,
        max_server_per_host=group.max_server_per_host or None,
        strategy=group.strategy,
    )


async def refusal(outcome: Outcome, ask: Ask) -> str:
    """Return which filter removed the last hosts and for what reason most of these: `ram: not_enough_memory_mb`."""
    if outcome.failed:
        return next((f"{stage.name}: broken" for stage in reversed(outcome.stages) if stage.broken), "broken")
    for index in reversed(range(len(outcome.stages))):
        told = await _stage(outcome.stages[index], outcome, index, ask)
        if told.reasons:
            return f"{told.name}: {max(told.reasons, key=lambda reason: reason.count).code}"
    return "no_hosts"


async def _stage(stage: Stage, outcome: Outcome, index: int, ask: Ask) -> DecisionStage:
    why: tuple[DecisionReason, ...] = ()
    if not stage.broken and stage.mask is not None and stage.after < stage.before:
        before = np.ones(outcome.looked_at, np.bool_)
        for earlier in outcome.stages[:index]:
            if earlier.mask is not None:
                before &= earlier.mask
        removed = np.flatnonzero(before & ~stage.mask)
        why = tuple([_kept(reason) for reason in await reasons(stage.step, removed, ask)])
    return DecisionStage(
        name=stage.name,
        before=stage.before,
        after=stage.after,
        ms=round(stage.ms, 4),
        broken=stage.broken,
        asked=bool(stage.broken) or stage.mask is not None,
        reasons=why,
    )


def _kept(reason: Reason) -> DecisionReason:
    """Return of a filter's reason what is kept."""
    return DecisionReason(**_parts(reason))


def _missed(step: AnyPipelineStep, reason: Reason) -> Miss:
    return Miss(filter=step.name, **_parts(reason))


class _ReasonParts(TypedDict):
    code: str
    count: int
    message: str
    wanted: object
    available: object
    remedy: str


def _parts(reason: Reason) -> _ReasonParts:
    return {
        "code": reason.code,
        "count": int(reason.count),
        "message": reason.message,
        "wanted": _bare(reason.wanted),
        "available": _bare(reason.available),
        "remedy": reason.remedy,
    }


def _bare(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, set | frozenset):
        return sorted(value)
    return value if value is None or isinstance(value, str | int | float | list | tuple | dict) else str(value)


def sentence(looked_at: int, stages: Sequence[DecisionStage]) -> str:
    """Say to a tenant why no host was found, in counts alone."""
    if not looked_at:
        return "No valid host was found. There are no compute hosts yet."
    told = [f"{reason.count} {reason.message}" for stage in stages for reason in stage.reasons]
    hosts = "1 host" if looked_at == 1 else f"{looked_at} hosts"
    return f"No valid host was found. {hosts} looked at: {', '.join(told)}."


def _detail(message: str, nearest: NearestMiss | None) -> str:
    if not nearest:
        return message
    remedies = "; ".join(miss.remedy for miss in nearest.misses if miss.remedy)
    return f"{message} Nearest: {nearest.host}" + (f"; it would fit if: {remedies}." if remedies else ".")


def weights(table: HostTable, outcome: Outcome) -> tuple[HostWeight, ...]:
    """Return the weights of the best hosts, by weigher."""
    ranking = outcome.ranking
    assert ranking is not None
    return tuple(
        HostWeight(
            host=table.names[int(ranking.rows[place])],
            total=round(float(ranking.total[place]), 6),
            by={step.name: round(float(share[place]), 6) for step, share in ranking.parts},
        )
        for place in ranking.top(TOP)
    )


@attrs.define(order=True)
class _Some:
    """Hosts that the same filters refuse, none of which is nearer than `bound`."""

    bound: float
    size: int
    number: int
    rows: NDArray[np.intp] = attrs.field(order=False)
    steps: Sequence[PipelineStep[FilterSpec]] = attrs.field(order=False)


async def nearest(pipeline: Pipeline, table: HostTable, ask: Ask, outcome: Outcome) -> NearestMiss | None:
    """Find the host that came closest, and the smallest change that would have made it fit; None without hosts.

    The closest is refused by the fewest filters, and of those hosts lacks the least, as the filters count it.
    """
    if not table.size:
        return None
    asked, driver = _asked(pipeline, ask, outcome)
    masks: list[tuple[PipelineStep[FilterSpec], NDArray[np.bool_]]] = []
    for step in asked:
        if step.skips(ask) or not step.by_column:
            continue
        try:
            masks.append((step, await pipeline.mask(step, ask, np.ones(table.size, np.bool_))))
        except Broken:
            continue
    refusing = np.array([~mask for _, mask in masks], np.bool_).reshape(len(masks), table.size)
    misses = refusing.sum(axis=0)
    rows = np.flatnonzero(misses == misses.min())
    row = await _closest(rows, refusing, [step for step, _ in masks], ask)
    told = [
        _missed(step, reason)
        for step, mask in masks
        if not mask[row]
        for reason in await reasons(step, np.array([row], np.intp), ask)
    ]
    told += await _last_misses(asked, ask, row)
    if driver is not None and driver.mask is not None and not driver.mask[row]:
        why = await reasons(driver.step, np.array([row], np.intp), ask)
        told += [_missed(driver.step, reason) for reason in why]
    return NearestMiss(host=table.names[row], misses=tuple(told))


def _asked(pipeline: Pipeline, ask: Ask, outcome: Outcome) -> tuple[Sequence[PipelineStep[FilterSpec]], Stage | None]:
    """Return the filters that the request had to pass, and what the driver did where it decided."""
    if ask.force and (ask.host or ask.node):
        return [step for step in pipeline.filters if step.spec.when_forced], None
    if pipeline.driver is None or any(stage.step is pipeline.driver and stage.broken for stage in outcome.stages):
        return pipeline.filters, None
    return pipeline.split()[0], next((stage for stage in outcome.stages if stage.step is pipeline.driver), None)


async def _closest(
    rows: NDArray[np.intp], refusing: NDArray[np.bool_], steps: Sequence[PipelineStep[FilterSpec]], ask: Ask
) -> int:
    """Find the host that lacks the least, by halving: filters tell of many hosts how far the nearest of them is off."""
    if not steps:
        return int(rows[0])
    packed = np.ascontiguousarray(np.packbits(refusing[:, rows], axis=0).T)
    alike = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, firsts, kind_of = np.unique(alike, return_index=True, return_inverse=True)
    heap: list[_Some] = []
    looks = 0

    async def consider(some: NDArray[np.intp], refused: Sequence[PipelineStep[FilterSpec]]) -> None:
        nonlocal looks
        looks += len(refused)
        bound = 0.0
        for step in refused:
            bound += min(_shortfall(reason) for reason in await reasons(step, some, ask))
        heapq.heappush(heap, _Some(bound, len(some), looks, some, refused))

    for kind, first in enumerate(firsts):
        refused = [step for step, refuses in zip(steps, refusing[:, rows[first]], strict=True) if refuses]
        await consider(rows[kind_of == kind], refused)
    while True:
        best = heapq.heappop(heap)
        if best.size == 1 or not best.steps or looks > LOOKS:
            return int(best.rows[0])
        half = best.size // 2
        await consider(best.rows[:half], best.steps)
        await consider(best.rows[half:], best.steps)


def _shortfall(reason: Reason) -> float:
    """Return how far off a filter says a host is; a foreign one that says nothing sensible means entirely."""
    told = reason.shortfall
    return float(told) if isinstance(told, int | float) and np.isfinite(told) else 1.0


async def _last_misses(steps: Sequence[PipelineStep[FilterSpec]], ask: Ask, row: int) -> list[Miss]:
    """Ask the filters of the simple form about the one host."""
    told: list[Miss] = []
    some = np.array([row], np.intp)
    for step in steps:
        if step.skips(ask) or step.by_column:
            continue
        try:
            passes = bool((await step.call(applies_mask(step, ask), some))[0])
        except Broken:
            continue
        if not passes:
            told.extend(_missed(step, reason) for reason in await reasons(step, some, ask))
    return told
