"""Accelerator providers: GPUs, FPGAs, vGPUs, whatever a host can lend to a guest beside CPU, memory and disk."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import attrs

from novakit_hookspecs.devices import Attachment, Device
from novakit_hookspecs.fields import frozen_types, mapping_field, name_field, uuid_field
from novakit_hookspecs.hosts import HostContext
from novakit_hookspecs.markers import hookspec

API = 1
"""The number of this interface; a plugin says for which it was written, and is refused where it speaks another."""


@attrs.frozen(kw_only=True)
class Claim:
    """What a server was promised of one device."""

    id: str = uuid_field()
    """Id of the allocation; the idempotency key."""
    device: str
    """Key of the device, as `discover` named it."""
    resources: Mapping[str, int] = mapping_field()
    """How much of each resource class was promised."""


class AcceleratorProvider(Protocol):
    """What every provider can do; everything else is a facet.

    Any call may come again, after a crash of the agent or because its answer was lost, and has to lead to the same end.
    """

    async def discover(self) -> Sequence[Device]:
        """List every device of the host, each after its parent, without changing anything."""

    async def prepare(self, claim: Claim) -> Sequence[Attachment]:
        """Make a device ready for a guest. Returns how it reaches the guest.

        The same claim again returns the same attachments.
        Raises NotFound for an unknown device, Refused for one that takes no guests, Busy for one that others hold.
        """

    async def release(self, claim: str) -> None:
        """Take back what was prepared for the claim of this id. Does nothing for an unknown one."""


@runtime_checkable
class Watches(Protocol):
    """Facet: reports changes of its devices by itself; without it the core calls `discover` now and then."""

    def watch(self) -> AsyncIterator[Sequence[Device]]:
        """Yield the whole list of devices again after every change."""


@attrs.frozen(kw_only=True)
class AcceleratorSpec:
    """An accelerator provider on offer."""

    name: str = name_field()
    """Lower case, digits and underscores; what the configuration says."""
    api: int
    """Number of this interface: 1."""
    build: Callable[[Any, HostContext], AcceleratorProvider]
    """Called with the filled options (None without `options`) and the host's context."""
    options: type | None = None
    """An attrs class; the core fills and checks it from `[accelerators.<name>]`."""
    yields: frozenset[type] = attrs.field(factory=frozenset, converter=frozen_types)
    """Kinds of `Attachment` it prepares."""
    facets: frozenset[type] = attrs.field(factory=frozenset, converter=frozen_types)
    """Optional abilities that the provider has, as the protocols of this module."""


@hookspec
def novakit_accelerators() -> Iterable[AcceleratorSpec]:  # type: ignore[empty-body]
    """Offer accelerator providers."""
