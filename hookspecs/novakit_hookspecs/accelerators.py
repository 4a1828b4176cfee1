"""Accelerator providers: GPUs, FPGAs, vGPUs, whatever a host can lend to a guest beside CPU, memory and disk."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import attrs

from novakit_hookspecs.devices import Attachment, Device
from novakit_hookspecs.fields import frozen_types, mapping_field, name_field, uuid_field
from novakit_hookspecs.hosts import HostContext
from novakit_hookspecs.markers import hookspec

API = 1


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
    """What every provider can do; everything else is a facet."""

    async def discover(self) -> Sequence[Device]:
        """List everything, parents first; change nothing."""

    async def prepare(self, claim: Claim) -> Sequence[Attachment]:
        """Make the device ready and say how it reaches the guest; twice is once."""

    async def release(self, claim: str) -> None:
        """Take it back; the unknown is fine."""


@runtime_checkable
class Watches(Protocol):
    """Facet: tells of changes by itself; without it the core polls `discover`."""

    def watch(self) -> AsyncIterator[Sequence[Device]]:
        """Return the whole list again after every change."""


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
