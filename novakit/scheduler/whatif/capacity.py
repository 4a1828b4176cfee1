"""How many more servers of a kind fit, where, what runs out first, and what is left when hosts are lost."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict

import attrs
import numpy as np
from numpy.typing import NDArray

from novakit.calls.capacity import CapacityAfterLoss, CapacityReport, HostRoom
from novakit.concurrency.turns import Turns
from novakit.scheduler.picture import cells, trees
from novakit.scheduler.picture.table import HostTable
from novakit.scheduler.pipeline import record
from novakit.scheduler.pipeline.pipeline import Outcome, Pipeline
from novakit_hookspecs.columns import of_class
from novakit_hookspecs.scheduling import Ask

SHOWN = 50
"""Hosts listed, those with the most room first."""
APART = "NUMA cells and devices"
"""What runs out where amounts are left, but not as the servers want them beside each other."""
SPREAD = "what one provider has"
"""What runs out where amounts are left, but not with one resource provider of the host."""


@attrs.frozen
class HostLoad:
    """What one server on a lost host needs elsewhere."""

    server_id: str
    resources: Mapping[str, int]


async def capacity(pipeline: Pipeline, table: HostTable, ask: Ask) -> CapacityReport:
    """Count how many servers like this one fit on each host, by what filters and scheduler driver say of each."""
    sandbox = table.copy()
    return CapacityReport(**await _count(pipeline.over(sandbox), sandbox, ask))


class _Counted(TypedDict):
    """The fields of `Capacity`."""

    flavor: str
    resources: dict[str, int]
    fits: int
    hosts: tuple[HostRoom, ...]
    runs_out_first: dict[str, int]
    hosts_in_question: int
    counted_by: str
    failed: str
    message: str


async def _count(pipeline: Pipeline, sandbox: HostTable, ask: Ask) -> _Counted:
    outcome = await pipeline.run(sandbox, ask)
    free = {name: sandbox.column(of_class("free", name)).astype(np.float64) for name in ask.resources}
    fits, limiting = await beside(sandbox, ask, *room(free, ask.resources, outcome.alive))
    accepted, refusing, failed = await _accepted(pipeline, sandbox, ask, fits)
    classes = [*ask.resources, APART, SPREAD]
    fitting = np.flatnonzero(accepted)
    best = fitting[np.argsort(-accepted[fitting], kind="stable")][:SHOWN]
    ends = {int(row): refusing.get(int(row), classes[limiting[row]]) for row in fitting}
    # The first server of an affinity group binds the others to its host.
    bound = ask.group is not None and ask.group.policy == "affinity"
    driver = next((stage for stage in outcome.stages if stage.step is pipeline.driver and not stage.broken), None)
    return {
        "flavor": ask.flavor_name,
        "resources": dict(ask.resources),
        "fits": int(accepted.max(initial=0) if bound else accepted.sum()),
        "hosts": tuple(
            [HostRoom(host=sandbox.names[row], fits=int(accepted[row]), runs_out=ends[int(row)]) for row in best]
        ),
        "runs_out_first": dict(Counter(ends.values()).most_common()),
        "hosts_in_question": int(np.count_nonzero(outcome.alive)),
        "counted_by": driver.name if driver is not None else "filters",
        "failed": outcome.failed or failed,
        "message": await record.why_none(outcome, ask),
    }


async def _accepted(
    pipeline: Pipeline, sandbox: HostTable, ask: Ask, most: NDArray[np.int64]
) -> tuple[NDArray[np.int64], dict[int, str], str]:
    """Lower the counts to what is let through one after another: a filter may say that a host holds enough.

    All hosts are asked at once about their last server, those that refuse it about one half way, and so on; a host
    that takes a server is taken to have taken the ones before.
    Gives counts, by row the filter that ends them, and why that could not be said.
    """
    # The first server is known to fit: the filters let the host through with nothing more on it.
    low, high = np.minimum(most, 1), most.copy()
    middle, failed = high.copy(), ""
    while not failed and (low < high).any():
        outcome = await _with(pipeline, sandbox, ask, middle - 1)
        failed, takes = outcome.failed, outcome.alive
        low = np.where(takes, middle, low)
        high = np.where(takes, high, np.maximum(middle - 1, low))
        middle = (low + high + 1) // 2
    refusing: dict[int, str] = {}
    lowered = np.flatnonzero(low < most)
    if len(lowered) and not failed:
        outcome = await _with(pipeline, sandbox, ask, low)
        for stage in outcome.stages:
            if stage.mask is not None:
                for row in lowered[~stage.mask[lowered]]:
                    refusing.setdefault(int(row), stage.name)
    return low, refusing, failed


async def _with(pipeline: Pipeline, sandbox: HostTable, ask: Ask, counts: NDArray[np.int64]) -> Outcome:
    """Run the pipeline as if so many servers like this one were on each host already."""
    held = np.maximum(counts, 0)
    if ask.group is not None:
        members = dict(ask.group.hosts)
        for row in np.flatnonzero(held):
            members[sandbox.names[row]] = members.get(sandbox.names[row], 0) + int(held[row])
        ask = attrs.evolve(ask, group=attrs.evolve(ask.group, hosts=members))
    sandbox.add_claims(held, ask.resources)
    try:
        return await pipeline.run(sandbox, ask)
    finally:
        sandbox.add_claims(-held, ask.resources)


def room(
    free: Mapping[str, NDArray[np.float64]], wanted: Mapping[str, int], among: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Count the servers that fit on each host, and say which resource (by its place in `wanted`) ends it there."""
    if not wanted:
        return np.zeros(len(among), np.int64), np.zeros(len(among), np.intp)
    counts = np.stack([np.floor(np.maximum(free[name], 0) / amount) for name, amount in wanted.items()])
    fits = np.where(among, counts.min(axis=0), 0).astype(np.int64)
    return fits, counts.argmin(axis=0)


async def beside(
    table: HostTable, ask: Ask, fits: NDArray[np.int64], limiting: NDArray[np.intp]
) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Lower the counts of `room` to the servers that can be given their parts of the host one after another.

    Parts are cells and devices, and what lies with several providers.
    """
    request = cells.wanted(ask)
    fits, limiting = fits.copy(), limiting.copy()
    known: dict[object, tuple[int, int]] = {}
    turns = Turns()
    for row in np.flatnonzero(fits if request is not None else (fits > 0) & table.column("nested")):
        await turns.pause()
        most = int(fits[row])
        host, pools, tree = (table.column(name)[row] for name in ("numa", "pci", "tree"))
        # Hosts in the same state have the same answer, and a cloud has few different states.
        key = (None if host is None else host.room, pools, tree, most)
        if key not in known:
            with_cells = most if request is None else _number(request.successive(host, pools or ()), most)
            with_all = with_cells if tree is None else _number(trees.successive(tree, ask), with_cells)
            known[key] = with_all, len(ask.resources) + (with_all < with_cells)
        if known[key][0] < most:
            fits[row], limiting[row] = known[key]
    return fits, limiting


def _number(some: Iterable[object], most: int) -> int:
    return sum(1 for _ in itertools.islice(some, most))


def heaviest(table: HostTable, count: int) -> list[int]:
    """Return the rows of the hosts whose servers hold the most memory, and where that is equal, the most CPUs."""
    order = np.lexsort((-table.column("used_vcpus"), -table.column("used_memory_mb")))
    return [int(row) for row in order[:count]]


async def after_loss(
    pipeline: Pipeline, table: HostTable, ask: Ask, lost: Sequence[int], loads: Sequence[HostLoad]
) -> CapacityAfterLoss:
    """Move the servers of lost hosts to the others, largest first, and count what still fits then.

    The moved servers are only held to the amounts they need; zones, groups, traits, cells and devices are not looked
    at.
    Where some find no room on the roomiest hosts, all are packed as tightly as possible instead.
    """
    sandbox = table.copy()
    for row in lost:
        sandbox.put(row, up=False)
    order = sorted(loads, key=lambda load: (-load.resources.get("MEMORY_MB", 0), -load.resources.get("VCPU", 0)))
    moves = await _moves(sandbox, order, roomiest=True)
    if len(moves) < len(order):
        moves = max(moves, await _moves(sandbox, order, roomiest=False), key=len)
    for row, load in moves:
        sandbox.add_claim(row, load.resources)
        sandbox.put(row, io_ops=int(table.column("io_ops")[row]))
    return CapacityAfterLoss(
        **await _count(pipeline.over(sandbox), sandbox, ask),
        lost=tuple([table.names[row] for row in lost]),
        moved=len(moves),
        homeless=len(loads) - len(moves),
    )


async def _moves(table: HostTable, loads: Sequence[HostLoad], *, roomiest: bool) -> list[tuple[int, HostLoad]]:
    """Give each server, in this order, the host with the most or the least memory free among those that can take it."""
    standing = table.column("up") & table.column("enabled")
    classes = {name for load in loads for name in load.resources} | {"MEMORY_MB"}
    free = {name: table.column(of_class("free", name)).astype(np.float64) for name in classes}
    largest = {name: table.column(of_class("max_unit", name)) for name in classes}
    moves, turns = [], Turns()
    for load in loads:
        await turns.pause()
        fitting = standing.copy()
        for name, amount in load.resources.items():
            fitting &= (free[name] >= amount) & (largest[name] >= amount)
        if fitting.any():
            memory = free["MEMORY_MB"] if roomiest else -free["MEMORY_MB"]
            row = int(np.where(fitting, memory, -np.inf).argmax())
            moves.append((row, load))
            for name, amount in load.resources.items():
                free[name][row] -= amount
    return moves
