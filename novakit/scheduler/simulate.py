"""Replays a recorded trace of requests under a set of filters and weighers, in memory, and measures the outcome.

A trace is one JSON object a line: hosts first (`{"host": ..., "stock": {...}}`), then what happened, in order
(`{"at": seconds, "ask": {...}}` and `{"at": seconds, "release": server id}`).
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import orjson

from novakit import errors
from novakit.scheduler import cells
from novakit.scheduler.ask import from_plain
from novakit.scheduler.capacity import room
from novakit.scheduler.compose import Offered, SchedulerOptions, compose
from novakit.scheduler.record import compose as explain
from novakit.scheduler.table import HostTable, Stock, fact_name
from novakit_hookspecs.affinity import Choice
from novakit_hookspecs.hosts import PciPool
from novakit_hookspecs.plain import to_record
from novakit_hookspecs.scheduling import Aggregate, Ask, GroupAsk

_FACTS = (
    "node",
    "availability_zone",
    "hypervisor_type",
    "hypervisor_version",
    "cpu_info",
    "supported_instances",
    "cell",
)


@attrs.frozen(kw_only=True)
class Trace:
    """Hosts, and what was asked of them."""

    hosts: Sequence[Mapping[str, Any]]
    aggregates: Sequence[Mapping[str, Any]]
    events: Sequence[Mapping[str, Any]]


@attrs.define
class Result:
    """What became of a trace."""

    placed: int = 0
    failed: int = 0
    reasons: Counter[str] = attrs.field(factory=Counter)
    """Refused requests by the first reason's code of the filter that removed the last host."""
    times_ms: list[float] = attrs.field(factory=list)
    peak_hosts: int = 0
    """Hosts in use at the busiest moment."""
    hosts: int = 0
    memory_share: float = 0.0
    """How full the hosts in use are at the end, by memory."""
    largest_fit: int = 0
    """How many more of the largest flavor of the trace fit at the end."""

    def plain(self) -> dict[str, Any]:
        """Give it as plain data."""
        ordered = sorted(self.times_ms) or [0.0]
        return {
            "placed": self.placed,
            "failed": self.failed,
            "reasons": dict(self.reasons.most_common()),
            "hosts": self.hosts,
            "peak_hosts_in_use": self.peak_hosts,
            "memory_share_of_hosts_in_use": round(self.memory_share, 4),
            "largest_flavor_still_fits": self.largest_fit,
            "median_ms": round(ordered[len(ordered) // 2], 3),
            "p99_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 3),
        }


def read(lines: Iterable[bytes | str]) -> Trace:
    """Read a trace; raise `ConfigError` naming the line that cannot be understood."""
    hosts: list[Mapping[str, Any]] = []
    aggregates: list[Mapping[str, Any]] = []
    events: list[Mapping[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise errors.ConfigError(f"line {number} of the trace is not JSON: {error}") from error
        if not isinstance(entry, dict):
            raise errors.ConfigError(f"line {number} of the trace is no JSON object")
        if isinstance(entry.get("host"), str):
            hosts.append(entry)
        elif isinstance(entry.get("aggregate"), dict):
            aggregates.append(entry["aggregate"])
        elif isinstance(entry.get("ask"), dict) or isinstance(entry.get("release"), str):
            events.append(entry)
        else:
            raise errors.ConfigError(f"line {number} of the trace has neither host, aggregate, ask nor release")
    return Trace(hosts=hosts, aggregates=aggregates, events=events)


async def replay(
    trace: Trace,
    filters: Sequence[Offered],
    weighers: Sequence[Offered],
    options: SchedulerOptions,
    refused: Mapping[str, Sequence[str]] | None = None,
) -> Result:
    """Place every request of a trace, in order; `refused` says by kind which plugins are not in service."""
    run = _Run(_table(trace))
    pipeline = compose(filters, weighers, run.table, options, refused).pipeline
    largest: Ask | None = None
    for number, event in enumerate(trace.events, start=1):
        if "release" in event:
            run.release(event["release"])
            continue
        try:
            ask = run.grouped(from_plain(event["ask"]))
        except (errors.BadRequest, KeyError, TypeError, ValueError) as error:
            raise errors.ConfigError(f"event {number} of the trace cannot be asked: {error}") from error
        began = time.perf_counter()
        outcome = await pipeline.run(run.table, ask)
        place = outcome.ranking.best(1)[0] if outcome.ranking else None
        run.result.times_ms.append((time.perf_counter() - began) * 1000)
        if outcome.ranking is None or place is None:
            run.result.failed += 1
            decision = await explain(pipeline, run.table, ask, outcome, "simulation")
            codes = [reason["code"] for stage in decision.record["filters"] for reason in stage.get("reasons", ())]
            run.result.reasons[codes[-1] if codes else "no_hosts"] += 1
        else:
            run.claim(ask, int(outcome.ranking.rows[place]))
        if largest is None or ask.resources.get("MEMORY_MB", 0) > largest.resources.get("MEMORY_MB", 0):
            largest = ask
    run.finish(largest)
    return run.result


@attrs.define
class _Run:
    table: HostTable
    result: Result = attrs.field(factory=Result)
    _claims: dict[str, tuple[Ask, int, Choice | None]] = attrs.field(factory=dict)
    _in_use: Counter[int] = attrs.field(factory=Counter)
    _groups: dict[str, dict[str, str]] = attrs.field(factory=dict)
    """By group: each member's host."""

    def grouped(self, ask: Ask) -> Ask:
        """Say where the members of the server's group stand in this run."""
        if ask.group is None:
            return ask
        standing = Counter(self._groups.get(ask.group.id, {}).values())
        return attrs.evolve(ask, group=attrs.evolve(ask.group, hosts=dict(standing)))

    def claim(self, ask: Ask, row: int) -> None:
        self.release(ask.server_id)
        self.table.add_claim(row, ask.resources)
        self.table.put(row, io_ops=0)
        self._claims[ask.server_id] = (ask, row, cells.take(self.table, row, ask))
        self._in_use[row] += 1
        if isinstance(ask.group, GroupAsk):
            self._groups.setdefault(ask.group.id, {})[ask.server_id] = self.table.names[row]
        self.result.placed += 1
        self.result.peak_hosts = max(self.result.peak_hosts, len(self._in_use))

    def release(self, server_id: str) -> None:
        held = self._claims.pop(server_id, None)
        if held is None:
            return
        ask, row, choice = held
        if choice is not None:
            cells.take_back(self.table, row, choice)
        self.table.add_claim(row, {name: -amount for name, amount in ask.resources.items()}, -1)
        self._in_use[row] -= 1
        if not self._in_use[row]:
            del self._in_use[row]
        if ask.group is not None:
            self._groups.get(ask.group.id, {}).pop(server_id, None)

    def finish(self, largest: Ask | None) -> None:
        self.result.hosts = self.table.size
        rows = sorted(self._in_use)
        if rows:
            used, capacity = self.table.column("used_memory_mb")[rows], self.table.column("capacity_memory_mb")[rows]
            self.result.memory_share = float(used.sum() / max(float(capacity.sum()), 1.0))
        if largest is not None:
            free = {name: self.table.column(fact_name("free", name)) for name in largest.resources}
            fits, _ = room(free, largest.resources, np.ones(self.table.size, np.bool_))
            self.result.largest_fit = int(fits.sum())


def _pools(plain: Sequence[Mapping[str, Any]]) -> tuple[PciPool, ...]:
    return tuple(to_record(dict(pool), PciPool) for pool in plain)


def _table(trace: Trace) -> HostTable:
    table = HostTable()
    table.reserve(len(trace.hosts))
    for host in trace.hosts:
        try:
            row = table.add(host["host"], host["host"])
            table.put(row, node=host["host"], availability_zone="nova", up=True, enabled=True)
            table.put(row, **{name: host[name] for name in _FACTS if name in host})
            table.put(row, numa=cells.host_of(host.get("numa", ())), pci=_pools(host.get("pci", ())))
            table.set_stock(row, {name: Stock(**amounts) for name, amounts in host.get("stock", {}).items()})
            table.set_traits(row, host.get("traits", ()))
        except (TypeError, ValueError, AttributeError) as error:
            raise errors.ConfigError(f"host {host['host']} of the trace cannot be understood: {error}") from error
    table.set_aggregates(
        [
            (
                Aggregate(id=number, name=str(one.get("name", "")), metadata=one.get("metadata", {})),
                one.get("hosts", ()),
            )
            for number, one in enumerate(trace.aggregates, start=1)
        ]
    )
    return table
