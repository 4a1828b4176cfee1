"""What a scheduler saw and decided, as records that cross the bus, and as the lines of a trace that is replayed.

The lines are read by `novakit.scheduler.whatif.lines`, which says of a file of anybody's what is wrong with it.
"""

from collections.abc import Iterator, Mapping

import attrs

from novakit.calls.decisions import DecisionRequest, written_request
from novakit_hookspecs.fields import mapping_field, tuple_field
from novakit_hookspecs.hosts import PciPool
from novakit_hookspecs.numa import NumaCell, Taken
from novakit_hookspecs.plain import to_plain
from novakit_hookspecs.trees import Tree

_ASKED = (
    *("vcpus", "memory_mb", "root_gb", "ephemeral_gb", "swap_mb", "boots_from_volume", "config_drive", "count"),
    *("user_id", "availability_zone", "host", "node", "force", "cell", "hints", "server_hosts", "extra_specs"),
    *("required_traits", "forbidden_traits", "group", "excluded_hosts"),
)
"""What a decision says of its request under the name that an ask has for it."""


@attrs.frozen
class TracedStock:
    """How much of one resource class a host has, without what the servers of the decisions hold."""

    total: int = 0
    reserved: int = 0
    capacity: int = 0
    max_unit: int = 0
    used: int = 0


@attrs.frozen(kw_only=True)
class TracedFacts:
    """What the scheduler knows of a host itself: columns of its table, by their names."""

    availability_zone: str
    hypervisor_type: str
    hypervisor_version: int
    cpu_info: Mapping[str, object] | None
    """As the host told of its CPUs, and as the next two: the scheduler passes them on to filters."""
    supported_instances: tuple[object, ...] | None
    machine_types: tuple[object, ...] | None
    cell: str
    disabled_reason: str
    failed_builds: int
    enabled: bool
    up: bool
    node: str
    host_ip: str | None


@attrs.frozen(kw_only=True)
class TracedHost:
    """One host without what the servers of the decisions hold."""

    host: str
    traits: tuple[str, ...]
    facts: TracedFacts
    servers: int
    io_ops: int
    flavors: Mapping[str, int] | None
    image_properties: Mapping[str, int] | None
    """How many of the servers have each."""
    stock: Mapping[str, TracedStock]
    """By resource class."""
    numa: tuple[NumaCell, ...] | None = None
    taken: tuple[Taken, ...] = ()
    """What of the cells is taken by other servers."""
    pci: tuple[PciPool, ...] | None = None
    tree: Tree | None = None
    """Its resource providers, where it has several."""
    metrics: Mapping[str, float] = mapping_field()


@attrs.frozen(kw_only=True)
class TracedAggregate:
    """One aggregate with its hosts."""

    name: str
    metadata: Mapping[str, str]
    hosts: tuple[str, ...]


@attrs.frozen(kw_only=True)
class TracedGroup:
    """One server group, and where those of its members stand before the first request."""

    group: str
    policy: str
    max_server_per_host: int | None
    strategy: str
    members: Mapping[str, str]
    """Host by server."""


@attrs.frozen(kw_only=True)
class TracedAsk:
    """A request for a host, as the decision about it keeps it."""

    server_id: str
    project_id: str
    asked: DecisionRequest


@attrs.frozen(kw_only=True)
class TracedEvent:
    """What happened: a request with its answer, or the end of a build or of a server."""

    at: float
    """Seconds since the first request."""
    ask: TracedAsk | None = None
    placed: str | None = None
    refused: str | None = None
    """Why; None of a request that was placed."""
    release: str = ""
    built: str = ""
    """Ids of servers."""


@attrs.frozen(kw_only=True)
class SchedulerTrace:
    """What one scheduler saw and decided."""

    hosts: tuple[TracedHost, ...] = tuple_field()
    aggregates: tuple[TracedAggregate, ...] = tuple_field()
    groups: tuple[TracedGroup, ...] = tuple_field()
    events: tuple[TracedEvent, ...] = tuple_field()
    """In the order of time."""


def lines(trace: SchedulerTrace) -> Iterator[dict[str, object]]:
    """Write a trace as JSON objects, one a line."""
    yield from map(_host, trace.hosts)
    for aggregate in trace.aggregates:
        yield {"aggregate": {"name": aggregate.name, "metadata": dict(aggregate.metadata), "hosts": aggregate.hosts}}
    for group in trace.groups:
        yield {**attrs.asdict(group, recurse=False), "members": dict(group.members)}
    yield from map(_event, trace.events)


def _host(one: TracedHost) -> dict[str, object]:
    line: dict[str, object] = {"host": one.host, "traits": one.traits, **attrs.asdict(one.facts, recurse=False)}
    line |= {"servers": one.servers, "io_ops": one.io_ops}
    line |= {"flavors": one.flavors, "image_properties": one.image_properties, "stock": to_plain(one.stock)}
    if one.numa is not None:
        line |= {"numa": to_plain(one.numa), "taken": to_plain(one.taken)}
    if one.pci is not None:
        line["pci"] = to_plain(one.pci)
    if one.tree is not None:
        line["tree"] = to_plain(one.tree)
    if one.metrics:
        line["metrics"] = dict(one.metrics)
    return line


def _event(one: TracedEvent) -> dict[str, object]:
    if one.ask is not None:
        answer = {"placed": one.placed} if one.refused is None else {"refused": one.refused}
        return {"at": one.at, "ask": _ask(one.ask), **answer}
    return {"at": one.at, "release": one.release} if one.release else {"at": one.at, "built": one.built}


def _ask(one: TracedAsk) -> dict[str, object]:
    """Write a request as an ask, whose amounts are those of the resources where the decision does not say them."""
    asked, said = one.asked, written_request(one.asked)
    told: dict[str, object] = {
        "server_id": one.server_id,
        "project_id": one.project_id,
        "user_id": "",
        "flavor_name": asked.flavor,
        "resources": asked.resources,
        "vcpus": asked.resources.get("VCPU", 0),
        "memory_mb": asked.resources.get("MEMORY_MB", 0),
        "root_gb": asked.resources.get("DISK_GB", 0),
    }
    told.update({name: said[name] for name in _ASKED if name in said})
    image = {"id": asked.image, "disk_format": asked.image_format, "properties": asked.image_properties}
    if any(image.values()):
        told["image"] = image
    return told
