"""Writes what the scheduler saw and decided as a trace that can be replayed elsewhere.

Hosts are as they are now, without what the servers of the decisions hold; the servers come back as the trace goes on.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs
import numpy as np
import sqlalchemy as sa

from novakit import world
from novakit.calls.decisions import DecisionRequest
from novakit.calls.traces import (
    SchedulerTrace,
    TracedAggregate,
    TracedAsk,
    TracedEvent,
    TracedFacts,
    TracedGroup,
    TracedHost,
    TracedStock,
)
from novakit.concurrency.turns import Turns
from novakit.scheduler.picture import cells
from novakit.scheduler.picture.devices import pools_of
from novakit.scheduler.picture.measurements import Builds
from novakit.scheduler.picture.state import CloudState
from novakit.scheduler.picture.table import HostTable
from novakit.store import Session
from novakit.store.compute import server_groups
from novakit.store.placement.tables import CountedInventory
from novakit.store.scheduler import activity, decisions, host_metrics, numa, picture, standing
from novakit.store.scheduler.activity import Activity
from novakit.store.scheduler.decisions import DecisionRow
from novakit_hookspecs.columns import of_class
from novakit_hookspecs.hosts import PCI_CLASS
from novakit_hookspecs.numa import Taken
from novakit_hookspecs.plain import to_record
from novakit_hookspecs.trees import Tree

CATEGORIES = (
    *("availability_zone", "hypervisor_type", "cpu_info", "supported_instances", "machine_types", "cell"),
    "disabled_reason",
)
NUMBERS = ("hypervisor_version", "failed_builds")
FLAGS = ("enabled", "up")
OBJECTS = ("node", "host_ip")
PARTS = ("total", "reserved", "capacity", "max_unit")


@attrs.define
class _Others:
    """What stands on hosts beside the servers of the trace, by row where nothing else is said."""

    used: dict[int, dict[str, int]] = attrs.field(factory=dict)
    servers: dict[int, int] = attrs.field(factory=dict)
    taken: dict[int, tuple[Taken, ...]] = attrs.field(factory=dict)
    activity: Activity = attrs.field(factory=Activity)
    free_devices: set[str] = attrs.field(factory=set)
    """Providers of those PCI devices that they leave."""
    trees: dict[int, Tree] = attrs.field(factory=dict)
    """What they leave of the providers of hosts that have several."""


async def record(state: CloudState, limit: int) -> SchedulerTrace:
    """Return hosts, aggregates, groups and the latest decisions with the ends of their servers."""
    async with state.store.read() as session:
        rows = sorted(await decisions.some(session, limit=limit), key=lambda row: row["number"])
        placed = {row["server_id"] for row in rows if row["outcome"] == "placed"}
        span = (rows[0]["number"], rows[-1]["number"]) if rows else (0, 0)
        others = await _others(session, state, standing.placed_by(*span), placed)
        metrics = await _metrics(session, state)
        groups = await _groups(session, state, rows, placed)
        built = await standing.built(session, placed)
        released = await standing.released(session, placed)
        present = set(await picture.roots_held(session, placed))
    hosts: list[TracedHost] = []
    turns = Turns()
    for row in range(state.table.size):
        hosts.append(_host(state, row, others, metrics))
        await turns.pause()
    return SchedulerTrace(
        hosts=tuple(hosts),
        aggregates=tuple(_aggregates(state)),
        groups=tuple(groups),
        events=tuple(events(rows, built, released, present)),
    )


async def _others(session: Session, state: CloudState, but: sa.Select[object], placed: set[str]) -> _Others:
    table, others = state.table, _Others()
    held_of: dict[str, int] = {}
    held: dict[tuple[str, str], int] = {}
    for root, provider, name, used in await standing.held_by_others(session, but):
        row = table.row_of_provider(root)
        held[provider, name] = used
        if row is not None:
            amounts = others.used.setdefault(row, {})
            amounts[name] = amounts.get(name, 0) + used
            held_of[provider] = held_of.get(provider, 0) + used
    for provider, count in (await standing.others_on(session, but)).items():
        row = table.row_of_provider(provider)
        if row is not None:
            others.servers[row] = count
    capacity = await standing.capacity_of(session, PCI_CLASS) if state.functions else {}
    others.free_devices = {provider for provider, most in capacity.items() if most > held_of.get(provider, 0)}
    others.trees = await _trees(session, state, held)
    others.activity = await activity.beside(session, but)
    with_cells = [table.providers[row] for row, host in enumerate(table.column("numa")) if host is not None]
    for some in picture.chunks(with_cells):
        for provider, plans in (await numa.held(session, some)).items():
            row = table.row_of_provider(provider)
            left = {server: plan for server, plan in plans.items() if server not in placed}
            if row is not None and left:
                others.taken[row] = tuple(cells.with_taken(table.column("numa")[row], left).taken)
    return others


async def _trees(session: Session, state: CloudState, held: Mapping[tuple[str, str], int]) -> dict[int, Tree]:
    """Return by row what each provider of a host has left beside what is `held` of its classes."""
    found = {}
    # The picture may be renewed while the inventories are read, so ids and tree are taken together beforehand.
    known = [(row, ids, state.table.column("tree")[row]) for row, ids in sorted(state.providers.items())]
    for some in picture.chunks(known):
        stock = await state.placement.inventories(session, [id for _, ids, _ in some for id in ids])
        left: dict[str, dict[str, CountedInventory]] = {
            id: {name: {**each, "used": held.get((id, name), 0)} for name, each in classes.items()}
            for id, classes in stock.items()
        }
        for row, ids, tree in some:
            traits = {id: one.traits for id, one in zip(ids, tree.providers, strict=True)}
            _, grown = state.trees.grown(state.table.providers[row], ids, left, traits)
            if grown is not None:
                found[row] = grown
    return found


async def _metrics(session: Session, state: CloudState) -> dict[str, dict[str, float]]:
    """Return what hosts measured lately, by host; the table has it only where a filter or weigher in force reads it."""
    now = world.now()
    rates = await Builds().rates(session, now)
    found = {host: {"failure_rate": rate} for host, rate in rates.items()}
    oldest = now - timedelta(seconds=state.measurements.max_age)
    for row in await host_metrics.since(session, 0):
        if row["received_at"] > oldest:
            found.setdefault(row["host"], {}).update(row["metrics"])
    return found


async def _groups(
    session: Session, state: CloudState, rows: Sequence[DecisionRow], placed: set[str]
) -> list[TracedGroup]:
    """Return the groups of the requests, with those members that stand and are not of the trace."""
    ids = {group.id for row in rows if (group := _ask(row).asked.group) is not None}
    if not ids:
        return []
    known = await server_groups.policies(session, ids)
    places = await server_groups.places(session, known)
    found = []
    for id, row in known.items():
        members = {}
        for root, servers in places.get(id, {}).items():
            at = state.table.row_of_provider(root)
            if at is not None:
                members.update(dict.fromkeys(servers - placed, state.table.names[at]))
        found.append(
            TracedGroup(
                group=id,
                policy=row["policy"],
                max_server_per_host=row["rules"].get("max_server_per_host"),
                strategy=str(row["metadata"].get("placement_strategy", "")),
                members=members,
            )
        )
    return found


def _host(state: CloudState, row: int, others: _Others, metrics: Mapping[str, Mapping[str, float]]) -> TracedHost:
    table = state.table
    name = table.names[row]
    used = others.used.get(row, {})
    stock = {
        each: TracedStock(
            used=used.get(each, 0), **{part: int(table.column(of_class(part, each))[row]) for part in PARTS}
        )
        for each in table.resource_classes()
        if table.column(of_class("total", each))[row]
    }
    numa = table.column("numa")[row]
    pools = None
    if row in state.functions:
        pools = pools_of(state.functions[row], lambda one: one.provider in others.free_devices)
    return TracedHost(
        host=name,
        traits=tuple(table.traits(row)),
        facts=_facts(table, row),
        servers=others.servers.get(row, 0),
        io_ops=others.activity.io_ops.get(name, 0),
        flavors=others.activity.flavors.get(name),
        image_properties=others.activity.image_properties.get(name),
        stock=stock,
        numa=tuple(numa.cells) if numa else None,
        taken=others.taken.get(row, ()) if numa else (),
        pci=pools,
        tree=others.trees.get(row),
        metrics={each: float(value) for each, value in metrics.get(name, {}).items() if np.isfinite(value)},
    )


def _facts(table: HostTable, row: int) -> TracedFacts:
    facts: dict[str, Any] = {fact: table.vocabulary(fact)[int(table.codes(fact)[row])] for fact in CATEGORIES}
    facts |= {fact: int(table.column(fact)[row]) for fact in NUMBERS}
    facts |= {fact: bool(table.column(fact)[row]) for fact in FLAGS}
    facts |= {fact: table.column(fact)[row] for fact in OBJECTS}
    plain: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in facts.items()}
    return TracedFacts(**plain)


def _aggregates(state: CloudState) -> Iterator[TracedAggregate]:
    table = state.table
    for one in table.aggregates:
        members = [name for name, inside in zip(table.names, table.in_aggregate(one.id), strict=True) if inside]
        yield TracedAggregate(name=one.name, metadata=dict(one.metadata), hosts=tuple(members))


def events(
    rows: Sequence[DecisionRow],
    built: Sequence[standing.Moment],
    released: Sequence[standing.Moment],
    present: set[str],
) -> list[TracedEvent]:
    """Return requests, ends of builds and ends of servers in the order of time, which counts from the first request."""
    if not rows:
        return []
    start = rows[0]["at"]
    found: list[tuple[datetime, TracedEvent]] = []
    stood: dict[str, str] = {}
    last: dict[str, datetime] = {}
    for row in rows:
        ask = _ask(row)
        if stood.get(row["server_id"]) in ask.asked.excluded_hosts and not ask.asked.cell:
            found.append((row["at"], TracedEvent(at=0.0, release=row["server_id"])))
        found.append((row["at"], _answered(row, ask)))
        if row["outcome"] == "placed":
            stood[row["server_id"]], last[row["server_id"]] = row["record"].get("host") or "", row["at"]
    ended = [
        *((at, TracedEvent(at=0.0, built=server)) for server, at in built),
        *((at, TracedEvent(at=0.0, release=server)) for server, at in released),
    ]
    found += [(at, event) for at, event in ended if at >= start]
    gone = {server for server, at in released if at >= last[server]}
    found += [(world.now(), TracedEvent(at=0.0, release=server)) for server in sorted(stood.keys() - gone - present)]
    return [
        attrs.evolve(event, at=round((at - start).total_seconds(), 3))
        for at, event in sorted(found, key=lambda pair: pair[0])
    ]


def _ask(row: DecisionRow) -> TracedAsk:
    # A decision of a version before this one may say nothing of what was asked.
    plain = {"flavor": "", "resources": {}, **row["record"].get("asked", {})}
    asked = to_record(plain, DecisionRequest, tolerant=True)
    return TracedAsk(server_id=row["server_id"], project_id=row["project_id"], asked=asked)


def _answered(row: DecisionRow, ask: TracedAsk) -> TracedEvent:
    if row["outcome"] == "placed":
        return TracedEvent(at=0.0, ask=ask, placed=row["record"].get("host"))
    return TracedEvent(at=0.0, ask=ask, refused=row["record"].get("message", ""))
