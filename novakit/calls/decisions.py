"""A decision of the scheduler as a record: what each filter left of the hosts and why, and which host was chosen.

It is made once, crosses the bus, is kept in the database, and is shown. Records that older versions kept are documents
of the same shape: what is added later has a default.
"""

from collections.abc import Mapping

import attrs

from novakit_hookspecs.numa import Taken
from novakit_hookspecs.plain import to_plain, to_record


@attrs.frozen(kw_only=True)
class DecisionReason:
    """Why a filter removed some hosts."""

    code: str
    count: int
    """Hosts."""
    message: str
    """For tenants, too: names no host."""
    wanted: object = None
    available: object = None
    """Numbers, texts or lists of them, as the filter says them."""
    remedy: str = ""
    """For operators."""


@attrs.frozen(kw_only=True)
class DecisionStage:
    """What one filter, or the scheduler driver, left of the hosts."""

    name: str
    before: int
    after: int
    """Hosts."""
    ms: float = 0.0
    broken: str = ""
    """What it did wrong."""
    asked: bool = True
    """Whether it could have removed any host for this request."""
    reasons: tuple[DecisionReason, ...] = ()


@attrs.frozen(kw_only=True)
class HostWeight:
    """What one of the best hosts weighed."""

    host: str
    total: float
    by: Mapping[str, float]
    """The share of each weigher in it."""


@attrs.frozen(kw_only=True)
class Miss(DecisionReason):
    """One reason why the nearest host was not taken."""

    filter: str


@attrs.frozen(kw_only=True)
class NearestMiss:
    """The host that came closest."""

    host: str
    misses: tuple[Miss, ...]


@attrs.frozen(kw_only=True)
class TriedHost:
    """A host that was chosen and not had."""

    host: str
    why: str


@attrs.frozen(kw_only=True)
class GivenDevice:
    """A PCI device that a server was given."""

    address: str
    kind: str = ""


@attrs.frozen(kw_only=True)
class DecisionGroup:
    """The server group of a request; where its members stood is left out: that is another thing at another time."""

    id: str
    policy: str
    max_server_per_host: int | None = None
    strategy: str = ""


@attrs.frozen(kw_only=True)
class DecisionRequest:
    """The parts of a request that say why it fits or not, by the names that an `Ask` has for most of them."""

    flavor: str
    resources: Mapping[str, int]
    user_id: str = ""
    vcpus: int = 0
    memory_mb: int = 0
    root_gb: int = 0
    ephemeral_gb: int = 0
    swap_mb: int = 0
    boots_from_volume: bool = False
    count: int = 1
    availability_zone: str | None = None
    host: str | None = None
    node: str | None = None
    force: bool = False
    cell: str | None = None
    image: str = ""
    """The image's id."""
    extra_specs: Mapping[str, str] = attrs.field(factory=dict)
    image_format: str = ""
    image_properties: Mapping[str, str] = attrs.field(factory=dict)
    config_drive: bool = False
    hints: Mapping[str, object] = attrs.field(factory=dict)
    required_traits: tuple[str, ...] = ()
    forbidden_traits: tuple[str, ...] = ()
    server_hosts: Mapping[str, str] = attrs.field(factory=dict)
    group: DecisionGroup | None = None
    excluded_hosts: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class DecisionRecord:
    """Everything worth knowing about one decision; what its owner may not know has its default in what owners see."""

    server_id: str
    request_id: str
    project_id: str
    hosts: int
    """How many were looked at."""
    filters: tuple[DecisionStage, ...]
    message: str
    """For tenants; empty where a host was found."""
    scheduler: str = ""
    asked: DecisionRequest | None = None
    timings: Mapping[str, float] = attrs.field(factory=dict)
    """Milliseconds."""
    driver: str = ""
    """The scheduler driver that decided."""
    skipped_weighers: tuple[str, ...] = ()
    failed: str = ""
    """Why nothing could be decided."""
    weights: tuple[HostWeight, ...] = ()
    equally_good: int = 0
    """How many hosts had the highest weight, where there were several."""
    nearest: NearestMiss | None = None
    with_decision: str = ""
    """The decision whose pass of the filters served this one, too."""
    next_best_of: str = ""
    """The decision whose next best host was taken."""
    host: str | None = None
    node: str | None = None
    availability_zone: str | None = None
    alternates: tuple[str, ...] | None = None
    """The next best hosts; None where no host was found."""
    conflicts: tuple[TriedHost, ...] = ()
    numa: tuple[Taken, ...] = ()
    devices: tuple[GivenDevice, ...] = ()
    outcome: str = ""
    """placed or refused."""
    id: str = ""
    number: int = 0
    at: str = ""


def read(document: object) -> DecisionRecord:
    """Read a decision that was kept or shown. Raises TypeError or ValueError for what is not one."""
    return to_record(document, DecisionRecord, tolerant=True)


def written(
    told: DecisionRecord, known: dict[int, object] | None = None, more: Mapping[str, object] | None = None
) -> dict[str, object]:
    """Write a decision as the JSON object that is kept and shown; a field that has its default is left out.

    The decisions of a batch share what was asked, the filters and the weights: in `known` is what became of each of
    them, by its identity, for as long as all of these decisions are there. `more` are fields that are other than told.
    """
    found = {}
    for name, default in _defaults(DecisionRecord):
        value = more[name] if more and name in more else getattr(told, name)
        if value != default:
            found[name] = value if type(value) in _ATOMS else _once(value, known)
    return found


def _once(value: object, known: dict[int, object] | None) -> object:
    if known is None:
        return _plain(value)
    if id(value) not in known:
        known[id(value)] = _plain(value)
    return known[id(value)]


def written_request(asked: DecisionRequest) -> dict[str, object]:
    """Write what was asked as a decision has it: a field that has its default is left out."""
    return _fields_of(asked)


_ATOMS = frozenset({str, int, float, bool, type(None)})


def _fields_of(record: object) -> dict[str, object]:
    found = {}
    for name, default in _defaults(type(record)):
        value = getattr(record, name)
        if value != default:
            found[name] = value if type(value) in _ATOMS else _plain(value)
    return found


_KNOWN: dict[type, tuple[tuple[str, object], ...]] = {}


def _defaults(kind: type) -> tuple[tuple[str, object], ...]:
    """Return the fields of a record with what each has unless it is said; nothing equals what has no default."""
    if kind not in _KNOWN:
        _KNOWN[kind] = tuple(
            (field.name, {} if field.default == attrs.Factory(dict) else field.default) for field in attrs.fields(kind)
        )
    return _KNOWN[kind]


def _plain(value: object) -> object:
    if isinstance(value, Taken):  # of the contract: others read it in the form that it has everywhere
        return to_plain(value)
    if type(value) in _KNOWN or attrs.has(type(value)):
        return _fields_of(value)
    if isinstance(value, Mapping):
        return {key: each if type(each) in _ATOMS else _plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [each if type(each) in _ATOMS else _plain(each) for each in value]
    return value
