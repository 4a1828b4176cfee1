"""How many more servers of a kind fit, where, what runs out first, and what is left when hosts are lost."""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import orjson
from numpy.typing import NDArray

from novakit import world
from novakit.scheduler import cells
from novakit.scheduler.pipeline import Pipeline
from novakit.scheduler.table import HostTable
from novakit_hookspecs.columns import of_class
from novakit_hookspecs.plain import to_plain
from novakit_hookspecs.scheduling import Ask

SHOWN = 50
"""Hosts listed, those with the most room first."""
APART = "NUMA cells and devices"
"""What runs out where amounts are left, but not as the servers want them beside each other."""


@attrs.frozen
class Load:
    """What one server on a lost host needs elsewhere."""

    server_id: str
    resources: Mapping[str, int]


async def capacity(pipeline: Pipeline, table: HostTable, ask: Ask) -> dict[str, Any]:
    """Count how many servers like this one fit on each host that the filters let through."""
    outcome = await pipeline.run(table, ask)
    free = {name: table.column(of_class("free", name)).astype(np.float64) for name in ask.resources}
    fits, limiting = await beside(table, ask, *room(free, ask.resources, outcome.alive))
    told = _told(table, ask, fits, limiting)
    told["hosts_in_question"] = int(np.count_nonzero(outcome.alive))
    if outcome.failed:
        told["failed"] = outcome.failed
    return told


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
    """Lower the counts of `room` to the servers that can be given their cells and devices one after another."""
    wish = cells.wanted(ask)
    if wish is None:
        return fits, limiting
    fits, limiting = fits.copy(), limiting.copy()
    known: dict[bytes, int] = {}
    spent = world.monotonic()
    for row in np.flatnonzero(fits):
        if world.monotonic() - spent > 0.01:
            await asyncio.sleep(0)
            spent = world.monotonic()
        host, pools = table.column("numa")[row], table.column("pci")[row] or ()
        key = orjson.dumps([to_plain(host), to_plain(pools), int(fits[row])])
        if key not in known:
            known[key] = sum(1 for _ in itertools.islice(wish.successive(host, pools), int(fits[row])))
        if known[key] < fits[row]:
            fits[row], limiting[row] = known[key], len(ask.resources)
    return fits, limiting


def _told(table: HostTable, ask: Ask, fits: NDArray[np.int64], limiting: NDArray[np.intp]) -> dict[str, Any]:
    classes = [*ask.resources, APART]
    fitting = np.flatnonzero(fits)
    best = fitting[np.argsort(-fits[fitting], kind="stable")][:SHOWN]
    ends = {name: int(np.count_nonzero(limiting[fitting] == place)) for place, name in enumerate(classes)}
    ended = {name: count for name, count in sorted(ends.items(), key=lambda item: -item[1]) if count}
    return {
        "flavor": ask.flavor_name,
        "resources": dict(ask.resources),
        "fits": int(fits.sum()),
        "hosts": [
            {"host": table.names[row], "fits": int(fits[row]), "runs_out": classes[limiting[row]]} for row in best
        ],
        "runs_out_first": ended,
    }


def heaviest(table: HostTable, count: int) -> list[int]:
    """Give the rows of the hosts whose loss would hurt most: those with the largest share of anything in use."""
    share = np.zeros(table.size)
    for name in ("memory_mb", "vcpus", "disk_gb"):
        capacity = table.column(f"capacity_{name}")
        used = np.zeros(table.size)
        np.divide(table.column(f"used_{name}"), capacity, out=used, where=capacity > 0)
        share = np.maximum(share, used)
    share += table.column("used_memory_mb") / (table.column("used_memory_mb").max() + 1.0)
    return [int(row) for row in np.argsort(-share, kind="stable")[:count]]


async def after_loss(
    pipeline: Pipeline, table: HostTable, ask: Ask, lost: Sequence[int], loads: Sequence[Load]
) -> dict[str, Any]:
    """Move the servers of lost hosts to the others, largest first, and count what still fits then.

    The moved servers are only held to the amounts they need; zones, groups, traits, cells and devices are not looked
    at.
    """
    outcome = await pipeline.run(table, ask)
    standing = table.column("up") & table.column("enabled")
    standing[list(lost)] = False
    classes = {name for load in loads for name in load.resources} | set(ask.resources)
    free = {name: table.column(of_class("free", name)).astype(np.float64) for name in classes}
    homeless = 0
    for load in sorted(loads, key=lambda load: -load.resources.get("MEMORY_MB", 0)):
        fitting = standing.copy()
        for name, amount in load.resources.items():
            fitting &= free[name] >= amount
        if not fitting.any():
            homeless += 1
            continue
        roomiest = np.where(fitting, free.get("MEMORY_MB", fitting.astype(np.float64)), -np.inf)
        row = int(roomiest.argmax())
        for name, amount in load.resources.items():
            free[name][row] -= amount
    alive = outcome.alive.copy()
    alive[list(lost)] = False
    fits, limiting = await beside(table, ask, *room(free, ask.resources, alive))
    told = _told(table, ask, fits, limiting)
    told.update(lost=[table.names[row] for row in lost], moved=len(loads) - homeless, homeless=homeless)
    return told
