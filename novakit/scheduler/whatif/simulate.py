"""Replays a trace of requests under a set of filters and weighers or a scheduler driver, in memory, and measures it."""

import time
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from novakit.request_spec.hints import servers_named
from novakit.scheduler.picture import cells, trees
from novakit.scheduler.picture.table import HostTable
from novakit.scheduler.pipeline.compose import Offered, PipelineOptions, compose
from novakit.scheduler.pipeline.pipeline import Pipeline
from novakit.scheduler.pipeline.ranking import Ranking
from novakit.scheduler.pipeline.record import refusal
from novakit.scheduler.whatif.capacity import capacity
from novakit.scheduler.whatif.lines import Trace, TraceEvent, TraceHost
from novakit_fit.affinity import Choice
from novakit_fit.trees import GroupShares
from novakit_hookspecs.columns import of_class
from novakit_hookspecs.scheduling import Ask


@attrs.frozen(kw_only=True)
class ReplayedAnswer:
    """What became of one request."""

    server_id: str
    at: float
    host: str | None = None
    reason: str = ""
    """Which filter removed the last host and why, where none was found."""

    def plain(self) -> dict[str, Any]:
        """Return host or reason as plain data."""
        return {"host": self.host} if self.host is not None else {"refused": self.reason}


@attrs.define
class Result:
    """What became of a trace."""

    answers: list[ReplayedAnswer] = attrs.field(factory=list)
    times_ms: list[float] = attrs.field(factory=list)
    as_recorded: int = 0
    """Requests that went as the trace says they did."""
    recorded: int = 0
    """Requests of which the trace says how they went."""
    skipped: Counter[str] = attrs.field(factory=Counter)
    """Weighers that were broken, and for how many requests they were left out."""
    hosts: int = 0
    peak_hosts: int = 0
    """Hosts in use at the busiest moment."""
    in_use: int = 0
    """Hosts in use at the end."""
    fullness: Sequence[float] = ()
    """How full each of these is, by what it has least left of."""
    memory_share: float = 0.0
    """How full they are together, by memory."""
    largest: str = ""
    largest_fit: int = 0
    """How many more of the largest flavor of the trace fit at the end."""

    @property
    def placed(self) -> int:
        """Count the requests that were given a host."""
        return sum(answer.host is not None for answer in self.answers)

    @property
    def failed(self) -> int:
        """Count the requests that were given none."""
        return len(self.answers) - self.placed

    @property
    def reasons(self) -> Counter[str]:
        """Count the refused requests by the filter that removed the last host, and its reason."""
        return Counter(answer.reason for answer in self.answers if answer.host is None)

    def plain(self) -> dict[str, object]:
        """Return it as plain data."""
        ordered = sorted(self.times_ms) or [0.0]
        told = {
            "placed": self.placed,
            "failed": self.failed,
            "reasons": dict(self.reasons.most_common()),
            "hosts": self.hosts,
            "hosts_in_use": self.in_use,
            "peak_hosts_in_use": self.peak_hosts,
            "fullness_mean": round(float(np.mean(self.fullness)) if self.fullness else 0.0, 4),
            "fullness_max": round(max(self.fullness, default=0.0), 4),
            "memory_share_of_hosts_in_use": round(self.memory_share, 4),
            "largest_flavor": self.largest,
            "largest_flavor_still_fits": self.largest_fit,
            "median_ms": round(ordered[len(ordered) // 2], 3),
            "p99_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 3),
        }
        if self.recorded:
            told["as_recorded"] = self.as_recorded
        if self.skipped:
            told["broken_weighers"] = dict(self.skipped.most_common())
        return told


def differences(before: Result, after: Result, most: int) -> dict[str, object]:
    """Count the requests that went differently. Returns the first of them, too, with both answers."""
    pairs = [(one, two) for one, two in zip(before.answers, after.answers, strict=True) if one.host != two.host]
    first = [
        {"server": one.server_id, "at": one.at, "before": one.plain(), "after": two.plain()}
        for one, two in pairs[:most]
    ]
    return {"count": len(pairs), "first": first}


async def replay(
    trace: Trace,
    filters: Sequence[Offered],
    weighers: Sequence[Offered],
    options: PipelineOptions,
    refused: Mapping[str, Sequence[str]] | None = None,
    driver: Offered | None = None,
) -> Result:
    """Place every request of a trace, in order; `refused` says by kind which plugins are not in service.

    Of hosts that are equally good a request is given the one that it was given when it was recorded.
    """
    run = _Run(table_of(trace), trace)
    pipeline = compose(filters, weighers, run.table, options, refused, driver).pipeline
    largest: Ask | None = None
    for event in trace.events:
        if event.release:
            run.release(event.release)
        elif event.built:
            run.built(event.built)
        elif event.ask is not None:
            ask = run.present(event.ask)
            await run.place(pipeline, event, ask)
            largest = ask if largest is None else max(largest, ask, key=_size)
    await run.finish(pipeline, largest)
    return run.result


def _size(ask: Ask) -> tuple[int, int, int]:
    amounts = ask.resources
    cpus = amounts.get("VCPU", 0) + amounts.get("PCPU", 0)
    return amounts.get("MEMORY_MB", 0), cpus, amounts.get("DISK_GB", 0)


@attrs.define
class _SimulatedClaim:
    ask: Ask
    row: int
    choice: Choice | None
    is_building: bool
    shares: GroupShares = ()


@attrs.define
class _Run:
    table: HostTable
    trace: Trace
    result: Result = attrs.field(factory=Result)
    _claims: dict[str, _SimulatedClaim] = attrs.field(factory=dict)
    _in_use: Counter[int] = attrs.field(factory=Counter)
    _members: dict[str, dict[str, str]] = attrs.field(factory=dict)
    """By group: each member's host."""
    _asked: frozenset[str] = frozenset()
    """The servers of the trace; where others stand, the trace itself says."""
    _built: frozenset[str] = frozenset()
    """Servers of which the trace says when their build ended."""

    def __attrs_post_init__(self) -> None:
        self._members = {id: dict(group.members) for id, group in self.trace.groups.items()}
        self._asked = frozenset(event.ask.server_id for event in self.trace.events if event.ask)
        self._built = frozenset(event.built for event in self.trace.events if event.built)
        self._in_use.update({int(row): 1 for row in np.flatnonzero(self.table.column("servers"))})

    def present(self, ask: Ask) -> Ask:
        """Return where the servers stand in this run that the request is to be near to or far from."""
        named = {server: host for server, host in ask.server_hosts.items() if server not in self._asked}
        named |= {server: self._host(server) for server in servers_named(ask.hints) & self._claims.keys()}
        ask = attrs.evolve(ask, server_hosts=named) if named != ask.server_hosts else ask
        if ask.group is None:
            return ask
        others = {
            server: host for server, host in self._members.get(ask.group.id, {}).items() if server != ask.server_id
        }
        told: dict[str, Any] = {"hosts": dict(Counter(others.values()))}
        if (group := self.trace.groups.get(ask.group.id)) is not None:
            told |= {name: getattr(group, name) for name in ("policy", "max_server_per_host", "strategy")}
        return attrs.evolve(ask, group=attrs.evolve(ask.group, **told))

    async def place(self, pipeline: Pipeline, event: TraceEvent, ask: Ask) -> None:
        began = time.perf_counter()
        outcome = await pipeline.run(self.table, ask)
        row = None
        if outcome.ranking is not None and not outcome.failed:
            row = self._best(outcome.ranking, event, ask)
        self.result.times_ms.append((time.perf_counter() - began) * 1000)
        self.result.skipped.update(outcome.skipped_weighers)
        if row is None:
            answer = ReplayedAnswer(server_id=ask.server_id, at=event.at, reason=await refusal(outcome, ask))
        else:
            answer = ReplayedAnswer(server_id=ask.server_id, at=event.at, host=self.table.names[row])
            self._claim(ask, row)
        self.result.answers.append(answer)
        self.result.recorded += event.is_recorded
        self.result.as_recorded += event.is_recorded and answer.host == event.placed

    def _best(self, ranking: Ranking, event: TraceEvent, ask: Ask) -> int:
        rows = ranking.rows[ranking.total == ranking.total.max()]
        # The recorded host first: chance chose it among equals, and drawing again would show differences that are none.
        recorded = self.table.row(event.placed) if event.placed is not None else None
        if recorded is not None and recorded in rows:
            return recorded
        # By the server's id and not by chance, so that two replays of one trace can be compared.
        return int(rows[zlib.crc32(ask.server_id.encode()) % len(rows)])

    def _host(self, server_id: str) -> str:
        return self.table.names[self._claims[server_id].row]

    def _claim(self, ask: Ask, row: int) -> None:
        """Count a server where it goes to, and no more where it stood before: it was moved, or is of another size."""
        self.release(ask.server_id)
        claim = _SimulatedClaim(ask, row, None, ask.server_id in self._built)
        self._count(claim, 1)
        claim.choice, claim.shares = cells.take(self.table, row, cells.wanted(ask)), trees.take(self.table, row, ask)
        self._claims[ask.server_id] = claim
        self._in_use[row] += 1
        if ask.group is not None:
            self._members.setdefault(ask.group.id, {})[ask.server_id] = self.table.names[row]
        self.result.peak_hosts = max(self.result.peak_hosts, len(self._in_use))

    def release(self, server_id: str) -> None:
        claim = self._claims.pop(server_id, None)
        if claim is None:
            return
        if claim.choice is not None:
            cells.take_back(self.table, claim.row, claim.choice)
        trees.take_back(self.table, claim.row, claim.shares)
        self._count(claim, -1)
        self._in_use[claim.row] -= 1
        if not self._in_use[claim.row]:
            del self._in_use[claim.row]
        if claim.ask.group is not None:
            self._members.get(claim.ask.group.id, {}).pop(server_id, None)

    def built(self, server_id: str) -> None:
        claim = self._claims.get(server_id)
        if claim is not None and claim.is_building:
            claim.is_building = False
            self._put_io_ops(claim.row, self._io_ops(claim.row) - 1)

    def _count(self, claim: _SimulatedClaim, sign: int) -> None:
        """Count what a server holds, whether it is being built, and its flavor and image among the host's."""
        row, busy = claim.row, self._io_ops(claim.row)
        self.table.add_claim(row, {name: sign * amount for name, amount in claim.ask.resources.items()}, sign)
        self._put_io_ops(row, busy + sign * claim.is_building)
        image = claim.ask.image.properties if claim.ask.image else {}
        for fact, kinds in (
            ("flavors", [claim.ask.flavor_name]),
            ("image_properties", [f"{key}={value}" for key, value in image.items()]),
        ):
            tally = Counter(self.table.column(fact)[row] or {})
            tally.update(dict.fromkeys(kinds, sign))
            self.table.put(row, **{fact: dict(+tally) or None})

    def _io_ops(self, row: int) -> int:
        return int(self.table.column("io_ops")[row])

    def _put_io_ops(self, row: int, number: int) -> None:
        self.table.put(row, io_ops=max(0, number))

    async def finish(self, pipeline: Pipeline, largest: Ask | None) -> None:
        self.result.hosts = self.table.size
        rows = sorted(self._in_use)
        self.result.in_use = len(rows)
        self.result.peak_hosts = max(self.result.peak_hosts, len(rows))
        if rows:
            self.result.fullness = _fullness(self.table, rows)
            used, capacity_of = self.table.column("used_memory_mb")[rows], self.table.column("capacity_memory_mb")[rows]
            self.result.memory_share = float(used.sum() / max(float(capacity_of.sum()), 1.0))
        if largest is not None:
            anywhere: dict[str, Any] = {"host": None, "node": None, "force": False, "availability_zone": None}
            anywhere |= {"group": None, "hints": {}, "server_hosts": {}, "excluded_hosts": frozenset(), "cell": None}
            told = await capacity(pipeline, self.table, attrs.evolve(largest, **anywhere))
            self.result.largest, self.result.largest_fit = largest.flavor_name, told.fits


def _fullness(table: HostTable, rows: Sequence[int]) -> list[float]:
    share = np.zeros(len(rows))
    for name in table.resource_classes():
        used, capacity_of = (table.column(of_class(part, name))[rows] for part in ("used", "capacity"))
        share = np.maximum(share, np.divide(used, capacity_of, out=np.zeros(len(rows)), where=capacity_of > 0))
    return [float(each) for each in share]


def table_of(trace: Trace) -> HostTable:
    table = HostTable()
    table.reserve(len(trace.hosts))
    for host in trace.hosts:
        _put(table, host)
    table.set_aggregates(trace.aggregates)
    return table


def _put(table: HostTable, host: TraceHost) -> None:
    row = table.add(host.name, host.name)
    table.put(row, **host.facts)
    table.set_stock(row, host.stock)
    table.set_traits(row, host.traits)
    table.set_tree(row, host.tree)
