"""Reads a trace: one JSON object a line, checked as a whole before anything is replayed.

Hosts, aggregates and groups, then what happened, in order: a request, the end of a build, the end of a server.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
import orjson

from novakit import errors
from novakit.calls.traces import TracedGroup
from novakit.request_spec.hints import servers_named
from novakit.scheduler.picture.table import HostStock
from novakit.scheduler.pipeline.ask import from_plain
from novakit.scheduler.whatif.trace import CATEGORIES, FLAGS, NUMBERS, OBJECTS
from novakit_fit.numa import NumaHost
from novakit_hookspecs import columns
from novakit_hookspecs.hosts import PciPool
from novakit_hookspecs.numa import NumaCell, Taken
from novakit_hookspecs.plain import to_record
from novakit_hookspecs.scheduling import Aggregate, Ask
from novakit_hookspecs.trees import Tree

MOST = 2**53
"""The largest number that a column of the table holds exactly."""
_COUNTS = ("servers", "io_ops", "failed_builds")
_STOCK = tuple(field.name for field in attrs.fields(HostStock))
_HOST = frozenset(
    {"host", "stock", "traits", "metrics", "numa", "taken", "pci", "tree", "flavors", "image_properties"}
    | {*CATEGORIES, *NUMBERS, *FLAGS, *OBJECTS, *_COUNTS}
)


class WrongLine(ValueError):
    """A line that cannot be understood; says what is wrong with it."""


@attrs.frozen(kw_only=True)
class TraceHost:
    """One host and what stands on it before the first request."""

    name: str
    facts: Mapping[str, object]
    """By the names of columns, measurements among them."""
    stock: Mapping[str, HostStock]
    traits: Sequence[str]
    tree: Tree | None


@attrs.frozen(kw_only=True)
class TraceEvent:
    """What happened: one of these is set."""

    at: float
    ask: Ask | None = None
    release: str = ""
    built: str = ""
    placed: str | None = None
    """The host that a request was given when it was recorded; None when it was refused, or nobody recorded it."""
    is_recorded: bool = False
    """Whether the trace says what became of a request."""


@attrs.frozen(kw_only=True)
class Trace:
    """Hosts, and what was asked of them."""

    hosts: Sequence[TraceHost]
    aggregates: Sequence[tuple[Aggregate, Sequence[str]]]
    groups: Mapping[str, TracedGroup]
    events: Sequence[TraceEvent]


def read(lines: Iterable[bytes | str]) -> Trace:
    """Read a trace. Raises ConfigError naming the line that cannot be understood, and what is wrong with it."""
    hosts: dict[str, TraceHost] = {}
    aggregates: list[tuple[Aggregate, Sequence[str]]] = []
    groups: dict[str, TracedGroup] = {}
    events: list[TraceEvent] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = _entry(line)
            if "host" in entry:
                host = _host(entry)
                if host.name in hosts:
                    raise WrongLine(f"has host {host.name} for the second time")
                hosts[host.name] = host
            elif "aggregate" in entry:
                aggregates.append(_aggregate(entry, len(aggregates) + 1))
            elif "group" in entry:
                group = _group(entry)
                groups[group.group] = group
            else:
                event = _event(entry)
                if events and event.at < events[-1].at:
                    raise WrongLine(f"is at {event.at:g} s, before the event above it")
                events.append(event)
        except WrongLine as error:
            raise errors.ConfigError(f"line {number} of the trace {error}") from error
    return Trace(hosts=list(hosts.values()), aggregates=aggregates, groups=groups, events=events)


def _entry(line: bytes | str) -> Mapping[str, object]:
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise WrongLine(f"is not JSON: {error}") from error
    if not isinstance(entry, dict):
        raise WrongLine("is not a JSON object")
    return entry


def _strange(entry: Mapping[str, object], known: Iterable[str], what: str) -> None:
    if strange := sorted(entry.keys() - set(known)):
        raise WrongLine(f"has {', '.join(strange)}, which {what} does not have")


def _host(entry: Mapping[str, object]) -> TraceHost:
    name = _of(str, entry["host"], "host")
    try:
        _strange(entry, _HOST, "a host")
        facts: dict[str, Any] = {"node": name, "availability_zone": "nova", "up": True, "enabled": True}
        for key in (*NUMBERS, *_COUNTS):
            if key in entry:
                facts[key] = _whole(entry[key], key)
        facts.update({key: _of(bool, entry[key], key) for key in FLAGS if key in entry})
        for key in (*CATEGORIES, *OBJECTS):
            if key in entry:
                facts[key] = _KINDS[key](entry[key], key)
        facts.update({key: _tally(entry[key], key) for key in ("flavors", "image_properties") if key in entry})
        facts.update(_metrics(entry.get("metrics", {})))
        facts.update(numa=_numa(entry), pci=_pools(entry.get("pci", [])))
        stock = _of(dict, entry.get("stock", {}), "stock")
        return TraceHost(
            name=name,
            facts=facts,
            stock={each: _stock(amounts, f"stock of {each}") for each, amounts in stock.items()},
            traits=_texts(entry.get("traits", []), "traits"),
            tree=_records([entry["tree"]], Tree, "tree")[0] if "tree" in entry else None,
        )
    except WrongLine as error:
        raise WrongLine(f"is of host {name}, and {error}") from error


def _stock(amounts: object, what: str) -> HostStock:
    given = _of(dict, amounts, what)
    _strange(given, _STOCK, f"the {what}")
    return HostStock(**{part: _whole(amount, f"{part} in the {what}") for part, amount in given.items()})


def _metrics(plain: object) -> dict[str, float]:
    found = {}
    for name, value in _of(dict, plain, "metrics").items():
        if (column := columns.metric_name(name)) is None:
            raise WrongLine(f"has the metric {name!r}, which is not a name of a measurement")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise WrongLine(f"has {value!r} as the metric {name}; it takes a number")
        found[f"metric_{column}"] = float(value)
    return found


def _numa(entry: Mapping[str, object]) -> NumaHost | None:
    told = _records(entry.get("numa", []), NumaCell, "numa")
    taken = _records(entry.get("taken", []), Taken, "taken")
    return NumaHost(cells=tuple(told), taken=tuple(taken)) if told else None


def _pools(plain: object) -> tuple[PciPool, ...]:
    return tuple(_records(plain, PciPool, "pci"))


def _records(plain: object, kind: type, what: str) -> list[Any]:
    try:
        return [to_record(each, kind) for each in _of(list, plain, what)]
    except (TypeError, ValueError, AttributeError) as error:
        if isinstance(error, WrongLine):
            raise
        raise WrongLine(f"has {what} that cannot be understood: {error}") from error


def _aggregate(entry: Mapping[str, object], number: int) -> tuple[Aggregate, Sequence[str]]:
    _strange(entry, ("aggregate",), "an aggregate's line")
    told = _of(dict, entry["aggregate"], "aggregate")
    _strange(told, ("name", "metadata", "hosts"), "an aggregate")
    metadata = _of(dict, told.get("metadata", {}), "metadata")
    if not all(isinstance(value, str) for value in metadata.values()):
        raise WrongLine("has metadata of an aggregate that are not texts")
    one = Aggregate(id=number, name=_of(str, told.get("name", ""), "name"), metadata=metadata)
    return one, _texts(told.get("hosts", []), "hosts")


def _group(entry: Mapping[str, object]) -> TracedGroup:
    _strange(entry, ("group", "policy", "max_server_per_host", "strategy", "members"), "a group")
    members = _of(dict, entry.get("members", {}), "members")
    most = entry.get("max_server_per_host")
    return TracedGroup(
        group=_of(str, entry["group"], "group"),
        policy=_of(str, entry.get("policy", ""), "policy"),
        max_server_per_host=None if most is None else _whole(most, "max_server_per_host"),
        strategy=_of(str, entry.get("strategy", ""), "strategy"),
        members={server: _of(str, host, "members") for server, host in members.items()},
    )


def _event(entry: Mapping[str, object]) -> TraceEvent:
    at = entry.get("at", 0.0)
    if isinstance(at, bool) or not isinstance(at, int | float) or not math.isfinite(at) or at < 0:
        raise WrongLine(f"has {at!r} as `at`; it takes seconds")
    if "ask" in entry:
        _strange(entry, ("at", "ask", "placed", "refused"), "a request")
        placed = entry.get("placed")
        return TraceEvent(
            at=at,
            ask=_ask(_of(dict, entry["ask"], "ask")),
            placed=None if placed is None else _of(str, placed, "placed"),
            is_recorded="placed" in entry or "refused" in entry,
        )
    for what in ("release", "built"):
        if what in entry:
            _strange(entry, ("at", what), f"a {what}")
            return TraceEvent(at=at, **{what: _of(str, entry[what], what)})
    raise WrongLine("has neither host, aggregate, group, ask, built nor release")


def _ask(plain: Mapping[str, object]) -> Ask:
    try:
        ask = from_plain(plain)
        for name, amount in ask.resources.items():
            _whole(amount, f"{name} in the resources")
        servers_named(ask.hints)
    except errors.BadRequest as error:
        raise WrongLine(f"cannot be asked: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WrongLine(f"cannot be asked: {errors.in_words(error)}") from error
    return ask


def _of(kind: type, value: object, what: str) -> Any:
    if not isinstance(value, kind):
        names = {str: "a text", dict: "an object", list: "a list", bool: "true or false"}
        raise WrongLine(f"has {str(value)[:60]!r} as {what}; it takes {names[kind]}")
    return value


def _whole(value: object, what: str) -> int:
    if type(value) is not int or not 0 <= value <= MOST:
        raise WrongLine(f"has {str(value)[:60]!r} as {what}; it takes a whole number, 0 or more")
    return value


def _texts(value: object, what: str) -> list[str]:
    return [_of(str, each, what) for each in _of(list, value, what)]


def _tally(value: object, what: str) -> dict[str, int] | None:
    return None if value is None else {name: _whole(count, what) for name, count in _of(dict, value, what).items()}


def _text(value: object, what: str) -> str:
    return str(_of(str, value, what))


def _or_none(kind: type) -> Callable[[Any, str], object]:
    return lambda value, what: None if value is None else _of(kind, value, what)


_KINDS: Mapping[str, Callable[[Any, str], object]] = {
    **dict.fromkeys(("availability_zone", "hypervisor_type", "cell", "disabled_reason", "node"), _text),
    "cpu_info": _or_none(dict),
    **dict.fromkeys(("supported_instances", "machine_types"), _or_none(list)),
    "host_ip": _or_none(str),
}
