"""Scheduler filters: which hosts may take a server.

A filter looks at all hosts at once (`ColumnFilter`, a few microseconds for thousands of hosts) or at one host at a time
(`HostFilter`, offered only what the others left over).
It is pure: plain data in, an answer out; it waits for nothing and keeps nothing.
"""

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import attrs

from novakit_hookspecs.fields import frozen_names, mapping_field, name_field, tuple_field
from novakit_hookspecs.markers import hookspec
from novakit_hookspecs.trees import RequestGroup

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

API = 1
"""The number of this interface; a plugin says for which it was written, and is refused where it speaks another."""


@attrs.frozen(kw_only=True)
class ImageAsk:
    """The image a server is to boot from, as far as a host's fitness depends on it."""

    id: str = ""
    """Id of the image; empty for none."""
    properties: Mapping[str, str] = mapping_field()
    """What the image says of the machine it wants."""
    min_ram_mb: int = 0
    """The least memory in MiB that it needs."""
    min_disk_gb: int = 0
    """The least disk in GiB that it needs."""
    disk_format: str = ""
    """The format of its file, such as qcow2; empty where that is not known or does not matter."""


@attrs.frozen(kw_only=True)
class GroupAsk:
    """The server group a server belongs to."""

    id: str
    """Id of the server group."""
    policy: str
    """affinity, anti-affinity, soft-affinity or soft-anti-affinity."""
    hosts: Mapping[str, int] = mapping_field()
    """By host name: how many other members stand there, claims of the moment included."""
    strategy: str = ""
    """What the group's metadata says under `placement_strategy`: distribute, consolidate, balanced or nothing."""
    max_server_per_host: int | None = None
    """For every policy: members one host may hold; anti-affinity without it holds one."""


@attrs.frozen(kw_only=True)
class Ask:
    """What a server needs of a host; plain data that may cross a process border."""

    server_id: str
    """Id of the server."""
    project_id: str = ""
    """Id of the project it belongs to."""
    user_id: str = ""
    """Id of the user who asked."""
    request_id: str = ""
    """Id of the API request, as logs have it."""
    flavor_name: str = ""
    """Name of the flavor."""
    vcpus: int = 1
    """Number of virtual CPUs."""
    memory_mb: int = 0
    """MiB."""
    root_gb: int = 0
    """GiB of the root disk; not taken from the host when the server boots from a volume."""
    ephemeral_gb: int = 0
    """GiB of a further disk."""
    swap_mb: int = 0
    """MiB of swap."""
    extra_specs: Mapping[str, str] = mapping_field()
    """What the flavor says beside its sizes."""
    image: ImageAsk | None = None
    """The image it boots from; None without one."""
    boots_from_volume: bool = False
    """Whether its root disk is a volume and takes nothing of the host's disk."""
    config_drive: bool = False
    """Whether the guest is to have a config drive."""
    availability_zone: str | None = None
    """Name of the zone it must be in; None for any."""
    host: str | None = None
    """The only host that is allowed, or None for any."""
    node: str | None = None
    """The only hypervisor that is allowed, by its hostname, or None for any."""
    force: bool = False
    """Whether `host` and `node` are taken without asking the filters, as the AZ:host:node form does."""
    hints: Mapping[str, Any] = mapping_field()
    """Scheduler hints as the user wrote them: hostile until checked."""
    required_traits: frozenset[str] = attrs.field(factory=frozenset, converter=frozen_names)
    """Traits that the host must have."""
    implied: Mapping[str, str] = mapping_field()
    """Those of them that flavor or image imply, each with the words that do: `os_secure_boot required`."""
    forbidden_traits: frozenset[str] = attrs.field(factory=frozenset, converter=frozen_names)
    """Traits that the host must not have."""
    group: GroupAsk | None = None
    """The server group it is in; None for none."""
    excluded_hosts: frozenset[str] = attrs.field(factory=frozenset, converter=frozen_names)
    """Hosts that were tried already, or that the server must leave."""
    server_hosts: Mapping[str, str] = mapping_field()
    """By id: the hosts of the servers that the hints name, as far as they are the project's own."""
    cell: str | None = None
    """The cell a server lives in that is being moved; None for a new one."""
    count: int = 1
    """How many servers the request is for, this one included."""
    resources: Mapping[str, int] = mapping_field()
    """What will be claimed, by resource class; empty means VCPU, MEMORY_MB and DISK_GB of the flavor."""
    groups: tuple[RequestGroup, ...] = tuple_field()
    """Parts of `resources` that must come from one provider each, as `resources1:VGPU` of a flavor says."""
    isolate_groups: bool = False
    """Whether no two of `groups` may come from the same provider."""

    @property
    def disk_gb(self) -> int:
        """Return how many GiB of the host's disk it takes: root, ephemeral and swap, rounded up."""
        root = 0 if self.boots_from_volume else self.root_gb
        return root + self.ephemeral_gb + -(-self.swap_mb // 1024)


@attrs.frozen(kw_only=True)
class Aggregate:
    """A group of hosts that an operator made."""

    id: int
    """Number of the aggregate."""
    name: str
    """What operators call it."""
    metadata: Mapping[str, str] = mapping_field()
    """What the operator wrote of it; `availability_zone` makes it a zone."""


class HostColumns(Protocol):
    """One row for each host, one array for each fact; none of them can be written."""

    @property
    def size(self) -> int:
        """Return how many hosts there are; every array has this length."""

    @property
    def names(self) -> Sequence[str]:
        """Return the hosts' names, in row order."""

    @property
    def aggregates(self) -> Sequence[Aggregate]:
        """List all aggregates, whether they have hosts or not."""

    def column(self, name: str) -> "NDArray[Any]":
        """Return the array of a number, flag or object fact. Raises KeyError for one that is not in `reads`."""

    def codes(self, name: str) -> "NDArray[np.int32]":
        """Return, for a category, each host's index into its vocabulary."""

    def vocabulary(self, name: str) -> Sequence[object]:
        """Return the different values of a category."""

    def where(self, name: str, test: Callable[[Any], bool]) -> "NDArray[np.bool_]":
        """Return for which hosts a category's value passes `test`, which is called once for each different value."""

    def has_trait(self, trait: str) -> "NDArray[np.bool_]":
        """Return which hosts have a trait anywhere in their tree of providers."""

    def in_aggregate(self, aggregate: int) -> "NDArray[np.bool_]":
        """Return which hosts belong to an aggregate."""

    def tagged(self, prefix: str) -> Sequence[Aggregate]:
        """List the aggregates that have a metadata key beginning with `prefix`."""

    def rows(self, names: Iterable[str]) -> "NDArray[np.intp]":
        """Return the rows of the hosts that are named; unknown names are left out."""


class HostView(Protocol):
    """One host; its facts are attributes by the names the filter declared in `reads`, categories by their value.

    It is valid for the one call: the next host is written over it.
    """

    name: str

    def __getattr__(self, fact: str) -> Any:
        """Return a fact."""


@runtime_checkable
class ColumnFilter(Protocol):
    """The fast form: all hosts at once."""

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        """Return, for every host, whether it may take the server."""


@runtime_checkable
class HostFilter(Protocol):
    """The simple form: one host, called only for hosts that the column filters left over."""

    def passes(self, host: HostView, ask: Ask) -> bool:
        """Return whether this host may take the server."""


@attrs.frozen(kw_only=True)
class Reason:
    """Why a filter removed some hosts."""

    code: str
    """Stable, for programs: not_enough_memory, disabled, wrong_zone."""
    count: int
    """How many hosts it stands for."""
    message: str
    """For people, tenants included, to follow a number of hosts: "lack memory (wanted 4096 MiB, at most 2048 free)".

    It names no host and no value the operator set.
    """
    wanted: Any = None
    """What the request wants, as a number or a text."""
    available: Any = None
    """The best that any of these hosts had."""
    remedy: str = ""
    """For operators: the smallest change that would have let the nearest of them through."""
    shortfall: float = 1.0
    """How far the nearest of them was off: 0 is nearly, 1 is entirely."""


@runtime_checkable
class Explains(Protocol):
    """Facet: can say why; asked after the decision, with the removed hosts only."""

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        """Return the reasons for which these hosts were removed; their counts add up to `hosts.size`."""


@runtime_checkable
class Abstains(Protocol):
    """Facet: can say beforehand that it would not remove any host for a request, which saves the call."""

    def applies(self, ask: Ask) -> bool:
        """Return whether the filter could remove any host for this request; it is not asked where it could not.

        It may be asked but once for a request, so the answer depends on that alone and not on what changes meanwhile.
        """


class IfBroken(enum.Enum):
    """What happens to a request when the filter raises, answers nonsense or takes too long."""

    FAIL_REQUEST = "fail the request"
    """The default: a filter may guard a policy."""
    SKIP = "go on without this filter"


@attrs.frozen(kw_only=True)
class FilterSpec:
    """A filter on offer."""

    name: str = name_field()
    """What the configuration says; lower case, digits and underscores."""
    api: int
    """Number of this interface: 1."""
    build: Callable[[Any], ColumnFilter | HostFilter]
    """Called once with the filled options, or None without `options`."""
    reads: frozenset[str] = attrs.field(factory=frozenset, converter=frozen_names)
    """Names of facts from `columns.FACTS`; nothing else can be read."""
    options: type | None = None
    """An attrs class; the core fills and checks it from `[filters.<name>]`."""
    if_broken: IfBroken = IfBroken.FAIL_REQUEST
    """What becomes of a request when it fails."""
    within: float = 0.25
    """Seconds that one request may spend in it, for all hosts together."""
    default: bool = False
    """Whether it is on when the configuration names no filters."""
    order: int = 100
    """Where it stands among filters that are on by default, lowest first; a configured list has its own order."""
    always: bool = False
    """Whether it is asked first even when a configured list leaves it out: what users are promised, not a policy."""
    aliases: tuple[str, ...] = tuple_field()
    """Other names the configuration may use for it, with a warning: RamFilter."""
    before_driver: bool = False
    """Whether it is asked even where a scheduler driver decides, as all that is `always` is: the driver trusts it."""
    when_forced: bool = False
    """Whether it is asked even for a server that an administrator forces onto a host, where others are passed over."""


@hookspec
def novakit_filters() -> Iterable[FilterSpec]:  # type: ignore[empty-body]
    """Offer scheduler filters."""
