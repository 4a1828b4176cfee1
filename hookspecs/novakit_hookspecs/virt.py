"""Virt drivers: what makes guests run on a host."""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

import attrs

from novakit_hookspecs.fields import frozen_types, name_field
from novakit_hookspecs.hosts import Holding, HostContext, HostFacts
from novakit_hookspecs.markers import hookspec
from novakit_hookspecs.servers import Guest, GuestEvent, GuestPlan, Power

API = 1
"""The number of this interface; a plugin says for which it was written, and is refused where it speaks another."""


class VirtDriver(Protocol):
    """What every driver can do; everything else is a facet.

    A guest is named by its server's id, a UUID. Any call may come again, after a crash of the agent or because its
    answer was lost, and has to lead to the same end. Any call may raise Busy: the core asks again later.
    """

    async def open(self) -> None:
        """Connect to the hypervisor. Raises Refused with a remedy when it cannot be used."""

    async def close(self) -> None:
        """Disconnect from the hypervisor; guests run on."""

    async def host(self) -> HostFacts:
        """Return what the host has to offer now."""

    async def guests(self) -> Sequence[Guest]:
        """List every guest on this host that this driver made, running or not; guests of others are left out."""

    async def create(self, plan: GuestPlan) -> Guest:
        """Build the guest and start it. Returns it as it is then.

        The same plan again returns the same guest; what a killed call left half built is completed.
        Raises Refused, with a sentence for the user, when no host with this driver could ever build it.
        """

    async def destroy(self, guest: str) -> None:
        """Stop the guest and remove its disks and files from the host. Does nothing for an unknown guest."""

    async def set_power(self, guest: str, to: Power, within: float) -> Guest:
        """Bring the guest to RUNNING or SHUTDOWN, whatever it is now.

        RUNNING lets a paused guest go on and brings a suspended one back, each where it was.
        SHUTDOWN asks the guest to shut down and turns it off after `within` seconds; 0 turns it off at once. What was
        kept of a suspended guest's memory is thrown away.
        Raises NotFound for an unknown guest.
        """

    def events(self) -> AsyncIterator[GuestEvent]:
        """Yield changes of power states as they happen, whoever caused them, from the moment of the call on."""


@runtime_checkable
class LogsConsole(Protocol):
    """Facet: keeps what the guest prints on its serial console, across reboots, in a bounded ring."""

    async def console_log(self, guest: str, max_bytes: int) -> bytes:
        """Return the last `max_bytes` bytes of what the guest printed. Raises NotFound for an unknown guest."""


@runtime_checkable
class Snapshots(Protocol):
    """Facet: can copy the root disk of a stopped guest into an image."""

    async def snapshot(self, guest: str, path: str) -> str:
        """Write the root disk as an image that needs no other file. Returns its disk format: qcow2 or raw.

        `path` is absolute and what is there already is replaced; a failure may leave part of a file there.
        Raises NotFound for an unknown guest and Refused for one that runs.
        """


@runtime_checkable
class Pauses(Protocol):
    """Facet: can stop a guest's CPUs, its memory kept where it is, until `set_power` to RUNNING lets it go on."""

    async def pause(self, guest: str) -> Guest:
        """Bring a running guest to PAUSED; one that is paused stays so.

        Raises NotFound for an unknown guest and Refused for one that is off or suspended.
        """


@runtime_checkable
class Suspends(Protocol):
    """Facet: can keep a guest's memory on disk and free its host, until `set_power` to RUNNING brings it back.

    What is kept outlives a restart of the host, and goes with the guest when it is destroyed.
    """

    async def suspend(self, guest: str) -> Guest:
        """Bring a running or paused guest to SUSPENDED; one that is suspended stays so.

        Raises NotFound for an unknown guest and Refused for one that is off, or that has what cannot be kept.
        """


@runtime_checkable
class ListsHoldings(Protocol):
    """Facet: can say what it keeps on the host, for `novakit audit`."""

    async def holdings(self) -> Sequence[Holding]:
        """List every domain, disk and file of ours on this host with the server it belongs to."""


@runtime_checkable
class UsesImages(Protocol):
    """Facet: its guests' disks are overlays over image files, so it says which of those files must stay.

    On a host whose driver lacks this facet no image file is ever removed.
    """

    async def images_in_use(self) -> Collection[str]:
        """Return the paths of all image files that some guest on this host needs, running or not.

        Raises Busy or Refused when that cannot be told now; then no file is removed.
        """


@attrs.frozen(kw_only=True)
class DriverSpec:
    """A virt driver on offer."""

    name: str = name_field()
    """What `--driver` says; lower case, digits and underscores."""
    api: int
    """Number of this interface: 1."""
    build: Callable[[Any, HostContext], VirtDriver]
    """Called with the filled options (None without `options`) and the host's context."""
    options: type | None = None
    """An attrs class; the core fills and checks it from `[drivers.<name>]`."""
    facets: frozenset[type] = attrs.field(factory=frozenset, converter=frozen_types)
    """Optional abilities that the driver has, as the protocols of this module."""
    renders: frozenset[type] = attrs.field(factory=frozenset, converter=frozen_types)
    """Kinds of `Attachment` it can put into a guest."""
    wants_images: bool = True
    """Whether `GuestPlan.image` must be a file on the host; without it no image is fetched."""
    network: str | None = None
    """The network driver that is used with it where nobody names one; None for the one that novakit depends on."""
    simulates: bool = False
    """Whether its guests take nothing of the machine, so that one process may have many hosts (`--simulate`)."""


@hookspec
def novakit_drivers() -> Iterable[DriverSpec]:  # type: ignore[empty-body]
    """Offer virt drivers."""
