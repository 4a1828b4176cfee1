"""What one compute host can be asked, over the bus; served by `novakit/agent/agent.py`.

Every call may come again: the same operation, server or revision makes it the same call, with the same end. What is
declared with `kept` is answered from the agent's memory; after a restart of the agent it is done again, and each method
says why that has the same end, too.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated

import attrs

from novakit.bus import topologies
from novakit.bus.contract import Contract, Encoded, call, time_left
from novakit.bus.repeats import READS, kept, settles
from novakit.bus.topologies import NextTopology, TopologyChange
from novakit_hookspecs.fields import mapping_field, tuple_field, uuid_field
from novakit_hookspecs.hosts import Holding
from novakit_hookspecs.networks import Abandoned, Applied, Topology, Vif
from novakit_hookspecs.servers import Guest, GuestPlan, Power

API, CONDUCTOR = ("api",), ("conductor",)
FETCHING = 300.0
"""Seconds of a build beside the driver's: for the image, which is fetched on in the background when they are over."""
UPLOADING = 1800.0
"""Seconds for the upload of a snapshot: 100 GiB at 60 MB/s. Asked again, it sends the copy that lies on the host."""
MARGIN = 10.0
"""Seconds between the end of a driver's time and that of the caller's patience, so that the answer arrives."""


def time_of_driver(seconds: float) -> float:
    """Return a driver's time, less where the caller of the host gives up before: it gets an answer in any case."""
    return max(time_left(seconds + MARGIN) - MARGIN, 0.0)


def uploading(snapshot_within: float) -> float:
    """Return the seconds for the upload of a snapshot whose copy may have to be made anew, in so many, before."""
    return snapshot_within + MARGIN + UPLOADING


@attrs.frozen(kw_only=True)
class ImageSource:
    """Where a host finds an image, and how it knows that it got the right one."""

    id: str = uuid_field()
    sha256: str = attrs.field(validator=attrs.validators.matches_re("[0-9a-f]{64}"))
    size: int
    """Bytes."""
    disk_format: str
    url: str
    ticket: str = attrs.field(repr=False)
    """Opens this image's bytes to this host, for a short time, and nothing else."""


@attrs.frozen(kw_only=True)
class NicPlan:
    """One NIC of a guest; the host knows the device it was wired to."""

    port_id: str = uuid_field()
    mac: str


@attrs.frozen(kw_only=True)
class GuestNote:
    """What a host keeps of a guest on the conductor's behalf, and gives back as it is."""

    server: str = uuid_field()
    version: str = ""
    """Which state of the server it describes; empty in the note of a build."""
    text: str = attrs.field(repr=False)
    seal: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class NetworksNote:
    """What a host keeps of the networks around its guests on the conductor's behalf, and gives back as it is."""

    version: str
    """Differs for every other text."""
    text: str = attrs.field(repr=False)
    seal: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Kept:
    """What of a host's network stays as it is though the topology knows nothing of it."""

    guests: tuple[str, ...] = tuple_field()
    """Guests that no server of the cloud is; their ports stay wired."""
    networks: tuple[str, ...] = tuple_field()
    """Networks that the cloud does not know and such guests are on, anywhere; DHCP and routers on them stay."""


NOTHING_KEPT = Kept()


@attrs.frozen(kw_only=True)
class Wired:
    """What became of a topology, told as far as it is not what was told of the one that it was made of."""

    revision: int
    """The revision that the host has now."""
    vifs: Mapping[str, Vif] = mapping_field()
    """By port: what is new or another; all where the topology came whole."""
    unwired: tuple[str, ...] = tuple_field()
    """Ports that were wired and are not any more."""
    faults: Mapping[str, str] = mapping_field()
    """All there are: by id of the port, network or router that could not be made, a sentence why."""
    mark: str = attrs.field(default="", eq=False)
    """The host's name for the topology, by which the next one may come as a change of it; empty where it may not."""

    @classmethod
    def since(cls, before: Mapping[str, Vif], applied: Applied, mark: str) -> "Wired":
        """Return what was applied, for one who was told before which ports are wired."""
        if before == applied.vifs:  # as with each member that comes and goes in a group
            return cls(revision=applied.revision, faults=applied.faults, mark=mark)
        return cls(
            revision=applied.revision,
            vifs={port: vif for port, vif in applied.vifs.items() if before.get(port) is not vif},
            unwired=tuple(before.keys() - applied.vifs.keys()),
            faults=applied.faults,
            mark=mark,
        )

    def applied(self, before: Mapping[str, Vif]) -> Applied:
        """Return all that was applied, for whom was told before which ports are wired."""
        if not self.vifs and not self.unwired:
            return Applied(revision=self.revision, vifs=before, faults=self.faults)
        vifs = {**before, **self.vifs}
        for port in self.unwired:
            vifs.pop(port, None)
        return Applied(revision=self.revision, vifs=vifs, faults=self.faults)


@attrs.frozen(kw_only=True)
class BuildPlan:
    """A guest as the conductor knows it: the image still to be fetched, the NICs without their devices."""

    guest: GuestPlan
    """Without image and NICs, which the host fills in from what follows."""
    image: ImageSource | None = None
    nics: tuple[NicPlan, ...] = tuple_field()
    note: GuestNote | None = None
    """Kept on disk before the guest is made."""


@attrs.frozen(kw_only=True)
class Snapshot:
    """A copy of a guest's root disk that lies ready on its host."""

    disk_format: str = attrs.field(validator=attrs.validators.in_(("qcow2", "raw")))


@attrs.frozen(kw_only=True)
class ImageTarget:
    """Where a host uploads a snapshot to."""

    url: str
    ticket: str = attrs.field(repr=False)
    """Lets this host fill this image, for a short time, and do nothing else."""


@attrs.frozen(kw_only=True)
class Holdings:
    """What a host has on somebody's behalf."""

    holdings: tuple[Holding, ...] = tuple_field()
    guests: tuple[Guest, ...] = tuple_field()


_BUILD = kept("operation", "plan.guest", "plan.nics", about="plan.guest.id")
"""Image and note may be others when it is asked again: each try has a ticket of its own."""
_SNAPSHOT = kept("operation", about="server")
_TOPOLOGY = Encoded(topologies.write, topologies.read, lambda given: isinstance(given, Topology))
_CHANGE = Encoded(topologies.write_change, topologies.read_change, lambda given: isinstance(given, NextTopology))


class HostCalls(Contract):
    """What the conductor asks of one host, and an API for a guest's console.

    Every call raises `RemoteRefused` when it can never work on this host, `RemoteBusy` when it is to be asked again,
    another `RemoteError` when the host failed, and `Unreachable` when no answer came.
    """

    __slots__ = ()
    target = "agent.{}"
    is_bounded = True

    @call(
        within=lambda config: config.agent.apply_within + MARGIN, repeat_by=settles("topology.revision"), by=CONDUCTOR
    )
    @abstractmethod
    async def apply_network(self, topology: Annotated[Topology, _TOPOLOGY], kept: Kept = NOTHING_KEPT) -> Wired:
        """Make the host's network equal to a topology and what is kept, unless it has a newer one.

        Returns what came.
        """

    @call(within=lambda config: config.agent.apply_within + MARGIN, repeat_by=settles("change.revision"), by=CONDUCTOR)
    @abstractmethod
    async def change_network(
        self, change: Annotated[NextTopology | TopologyChange, _CHANGE], kept: Kept = NOTHING_KEPT
    ) -> Wired | None:
        """Do as `apply_network` with the topology that comes after one that the host was given.

        Returns None where the host does not have that one, as after a restart: it is to be given the whole.
        """

    @call(within=lambda config: config.agent.create_within + FETCHING, repeat_by=_BUILD, by=CONDUCTOR)
    @abstractmethod
    async def build(self, operation: str, plan: BuildPlan) -> Guest:
        """Fetch the image, build the guest and start it; busy while a port is not wired or the image not there.

        Refused where the host has a guest of this id that has been a server at rest: nothing is built on top of it.
        Done again: to a driver the same plan is the same guest.
        """

    @call(within=120.0, repeat_by=settles("server", about="server"), by=CONDUCTOR)
    @abstractmethod
    async def destroy(self, server: str) -> None:
        """Remove the guest with everything of it, whatever is under way with it; the unknown is fine."""

    @call(within=120.0, repeat_by=settles("server", about="server"), by=CONDUCTOR)
    @abstractmethod
    async def remove_remains(self, server: str) -> None:
        """Remove what there is of a guest that is not here; refused where it is here or is being built."""

    @call(within=30.0, repeat_by=settles("note.version", about="note.server"), by=CONDUCTOR)
    @abstractmethod
    async def keep_note(self, note: GuestNote) -> None:
        """Keep a note in the place of the former one; of a guest that is not there, none is kept."""

    @call(within=30.0, repeat_by=READS, by=CONDUCTOR)
    @abstractmethod
    async def notes(self, servers: tuple[str, ...]) -> tuple[GuestNote, ...]:
        """Read the notes of some guests; those without one are left out."""

    @call(within=30.0, repeat_by=settles("note.version"), by=CONDUCTOR)
    @abstractmethod
    async def keep_networks(self, note: NetworksNote) -> None:
        """Keep the note of the networks around the guests in the place of the former one."""

    @call(within=30.0, repeat_by=READS, by=CONDUCTOR)
    @abstractmethod
    async def noted_networks(self) -> NetworksNote | None:
        """Read the note of the networks around the guests; None where none is kept."""

    @call(within=120.0, plus="grace", repeat_by=kept("operation", "to", about="server"), by=CONDUCTOR)
    @abstractmethod
    async def set_power(self, operation: str, server: str, to: Power, grace: float) -> Guest:
        """Bring the guest to a power state; asked to shut down, it has `grace` seconds to do so by itself.

        Done again: a guest that is in the state stays in it.
        """

    @call(within=40.0, repeat_by=READS, by=API)
    @abstractmethod
    async def console_log(self, server: str, max_bytes: int) -> bytes:
        """Read the last bytes of what the guest printed; `RemoteNotFound` when it is not there."""

    @call(within=lambda config: config.agent.snapshot_within + MARGIN, repeat_by=_SNAPSHOT, by=CONDUCTOR)
    @abstractmethod
    async def snapshot(self, operation: str, server: str) -> Snapshot:
        """Copy a stopped guest's root disk to a file of the host.

        Done again: the file bears the name of the operation, and one that is there is the copy.
        """

    @call(within=lambda config: uploading(config.agent.snapshot_within), repeat_by=_SNAPSHOT, by=CONDUCTOR)
    @abstractmethod
    async def upload_snapshot(self, operation: str, server: str, to: ImageTarget) -> None:
        """Send the copy that `snapshot` of the same operation made to the image service, and remove it.

        Done again after a restart, the copy is made anew, and the image service says that it has the image.
        """

    @call(within=60.0, repeat_by=settles("server", about="server"), by=CONDUCTOR)
    @abstractmethod
    async def discard_snapshot(self, server: str) -> None:
        """Remove every copy of a server's disk; none is fine."""

    @call(within=20.0 + MARGIN, repeat_by=READS, by=CONDUCTOR)
    @abstractmethod
    async def holdings(self) -> Holdings:
        """List everything of ours on the host."""

    @call(within=50.0 + MARGIN, repeat_by=READS, by=CONDUCTOR)
    @abstractmethod
    async def abandoned(self) -> tuple[Abandoned, ...] | None:
        """List what deployments that are lost have left of their networks; None where the driver does not tell."""

    @call(within=120.0 + MARGIN, repeat_by=settles("owner"), by=CONDUCTOR)
    @abstractmethod
    async def remove_abandoned(self, owner: str) -> None:
        """Remove what one of them has left; refused where something uses it."""
