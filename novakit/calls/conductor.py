"""What the conductor can be asked, over the bus; served by `novakit/conductor/service.py`.

A host tells of itself alone: the bus says which host it is, never the message.
"""

from abc import abstractmethod
from collections.abc import Mapping

import attrs

from novakit.bus.contract import Contract, call
from novakit.bus.repeats import READS, kept, settles
from novakit.calls.counts import ConductorCounts
from novakit.calls.plugins import PluginRow
from novakit.disk import Room
from novakit_hookspecs.fields import UUID_PATTERN, mapping_field, tuple_field
from novakit_hookspecs.hosts import HostFacts
from novakit_hookspecs.networks import VifBinding
from novakit_hookspecs.servers import Guest, GuestEvent

_ID_OR_NONE = attrs.validators.matches_re(f"({UUID_PATTERN})?")
AGENT, API = ("agent",), ("api",)
LOOK = 100.0
"""Seconds for a look at all hosts: one that hangs is waited for once, for what it holds and for what others left."""


@attrs.frozen(kw_only=True)
class RunningPlugins:
    """With which drivers an agent was started, and how the plugins stand that an agent can use."""

    driver: str
    network: str
    plugins: tuple[PluginRow, ...]


@attrs.frozen(kw_only=True)
class AgentReport:
    """Everything a host says of itself."""

    deployment: str = attrs.field(default="", validator=_ID_OR_NONE)
    """Which deployment the host belongs to; empty before it has joined one."""
    directory: str = attrs.field(default="", validator=_ID_OR_NONE)
    """The id of the host's own directory; empty of an agent of a version that does not tell."""

    facts: HostFacts
    """Without its measurements."""
    metrics: Mapping[str, object] = mapping_field()
    """Measurements by name; one that is no finite number costs only itself."""
    room: Room | None = None
    """Of the file system that its directory is on; None where nobody watches it."""
    guests: tuple[Guest, ...] = tuple_field()
    notes: Mapping[str, str] = mapping_field()
    """By guest, which version of its note is kept here."""
    networks: str = ""
    """Which version of the note of the networks around its guests is kept here; nothing for none."""
    building: tuple[str, ...] = tuple_field()
    """Ids of the servers whose guests it is building now."""
    runs: RunningPlugins | None = None
    """None of an agent of a version that does not tell."""
    binding: VifBinding | None = None
    """What is told of ports that its network driver wires; None of an agent of a version that does not tell."""
    started: bool
    """Whether its agent has just started, and knows no topology."""


@attrs.frozen(kw_only=True)
class Received:
    """What a host is told when it has reported."""

    deployment: str
    """Which deployment it has reported to."""
    refused: bool = False
    """Whether the host is not to take part, so that nothing of the report was taken."""
    why: str = ""
    """Why; empty where the host belongs to another deployment."""
    directory: str = ""
    """The id of the directory that reported for this host before; empty where none did."""


@attrs.frozen(kw_only=True)
class MetadataAnswer:
    """What a guest is told of itself."""

    body: bytes


@attrs.frozen(kw_only=True)
class AuditFinding:
    """One thing that is not as it should be."""

    kind: str
    """server, operation, allocation, inventory, guest, port, or a kind of holding: disk, file, tap, namespace, ..."""
    name: str
    host: str | None = None
    owner: str | None = None
    """The id of what it says it belongs to."""
    problem: str
    remedy: str
    is_removable: bool = False
    """Whether it is nobody's and no guest, so that `novakit host remove` takes it away."""
    is_abandoned: bool = False
    """Whether a lost deployment has left it, so that `owner` is the directory that it was made for, or its own name."""


@attrs.frozen(kw_only=True)
class AuditReport:
    """The outcome of one audit."""

    orphaned: tuple[AuditFinding, ...] = tuple_field()
    foreign: tuple[AuditFinding, ...] = tuple_field()
    """What others claimed through Placement: none of our business, and shown so that it is not forgotten."""
    unchecked: tuple[str, ...] = tuple_field()
    """Hosts that did not say what they hold."""
    untold: tuple[str, ...] = tuple_field()
    """Hosts whose network driver does not say what lost deployments have left there."""
    counted: Mapping[str, int] = mapping_field()
    """How many servers, allocations, ports, guests and holdings were looked at."""


@attrs.frozen(kw_only=True)
class Remains:
    """What is nobody's and no guest."""

    things: tuple[AuditFinding, ...] = tuple_field()
    unchecked: tuple[str, ...] = tuple_field()
    """Hosts that did not say what they hold."""
    untold: tuple[str, ...] = tuple_field()
    """Hosts whose network driver does not say what lost deployments have left there."""


@attrs.frozen(kw_only=True)
class Stranger:
    """A guest that a host has and no server of the database is."""

    host: str
    id: str
    name: str
    """What its host notes of it; empty where it notes nothing."""
    project_id: str
    power: str
    why: str
    """Why it is no server by itself, and what can be done."""
    held: Mapping[str, int] | None = None
    """What is reserved for it in the ledger, by resource class; None where nobody knows, or it does not fit."""
    created_at: str | None = None
    first_seen: str


@attrs.frozen(kw_only=True)
class RefusedHost:
    """A host whose reports are not taken."""

    host: str
    deployment: str
    since: str
    why: str
    """In a sentence, for operators."""


@attrs.frozen(kw_only=True)
class Unknown:
    """What hosts have that this database does not know."""

    guests: tuple[Stranger, ...] = tuple_field()
    hosts: tuple[RefusedHost, ...] = tuple_field()
    full: tuple[str, ...] = tuple_field()
    """Sentences, each on a host of which more guests may be unknown than are recorded."""


@attrs.frozen(kw_only=True)
class Settled:
    """What became of an operator's word about a guest, or about what remains of one."""

    found: bool = True
    why: str = ""
    """Why it was not done; empty when it was."""
    left: tuple[str, ...] = tuple_field()
    """What of it could not be brought back though it was done, in words."""


class ConductorCalls(Contract):
    """What hosts tell the conductor, and what an API asks of it."""

    __slots__ = ()
    target = "conductor"

    @call(within=60.0, repeat_by=settles("report"), by=AGENT)
    @abstractmethod
    async def report_host(self, report: AgentReport) -> Received:
        """Take what a host has and runs; what differs from what it should run is repaired."""

    @call(within=10.0, repeat_by=settles(), by=AGENT)
    @abstractmethod
    async def heartbeat(self) -> None:
        """Note that the host lives, and when it was last heard of; done again, only that moment is a later one."""

    @call(within=30.0, repeat_by=settles("event"), by=AGENT)
    @abstractmethod
    async def guest_event(self, event: GuestEvent) -> None:
        """Take from a host that a guest is off; hosts of older versions tell of other power states, too."""

    @call(within=20.0, repeat_by=READS, by=AGENT)
    @abstractmethod
    async def metadata(self, network_id: str, ip: str, path: str) -> MetadataAnswer | None:
        """Answer a guest that asked for a path from a fixed address on a network that the host serves."""

    @call(within=10.0, repeat_by=READS, by=AGENT)
    @abstractmethod
    async def ticket_key(self) -> str:
        """Read the key with which the host that asks shows that a ticket for an image is its own."""

    @call(within=LOOK, repeat_by=READS, by=API)
    @abstractmethod
    async def audit(self) -> AuditReport:
        """Compare the store with what the hosts hold."""

    @call(within=30.0, repeat_by=READS, by=API)
    @abstractmethod
    async def strangers(self) -> Unknown:
        """List the guests that no server is, and the hosts that belong to another deployment."""

    @call(within=90.0, repeat_by=kept("request", about="guest"), by=API)
    @abstractmethod
    async def adopt_guest(
        self, guest: str, host: str | None, project: str | None, user: str, request: str, ports: bool
    ) -> Settled:
        """Make a server of a stranger, in a project or its own; `user` and `request` stand in the instance action.

        Done again, after a restart or by another conductor: the guest is a server, and no stranger is found.
        """

    @call(within=lambda config: 150.0 + config.agent.apply_within, repeat_by=kept("request", about="guest"), by=API)
    @abstractmethod
    async def remove_guest(self, guest: str, host: str | None, request: str) -> Settled:
        """Destroy a stranger; done again, after a restart or by another conductor, there is none any more."""

    @call(within=LOOK, repeat_by=READS, by=API)
    @abstractmethod
    async def remains(self) -> Remains:
        """List what on hosts is nobody's and no guest, and the operations whose servers are gone."""

    @call(within=2 * LOOK + 140.0, repeat_by=kept("request", about="id"), by=API)
    @abstractmethod
    async def remove_remains(self, id: str, host: str | None, request: str) -> Settled:
        """Remove all that a host has of an id that nobody knows, or end an operation whose server is gone.

        Done again, after a restart or by another conductor, there is none any more.
        """

    @call(within=2.0, repeat_by=READS, by=API)
    @abstractmethod
    async def counts(self) -> ConductorCounts:
        """Read what was counted since the start, and the calls into the observers of the conductor's process."""
