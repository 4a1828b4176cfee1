"""Accelerator devices and the ways one reaches a guest, shared by virt drivers and accelerator providers."""

import enum
from collections.abc import Mapping

import attrs

from novakit_hookspecs.fields import frozen_names, mapping_field, uuid_field


class Health(enum.Enum):
    """Whether a device may take new work."""

    OK = "ok"
    DEGRADED = "degraded"
    """Runs what it runs, takes nothing new."""
    LOST = "lost"


@attrs.frozen(kw_only=True)
class Device:
    """One resource provider below the compute node."""

    key: str
    """The same after a reboot: a serial number or PCI address."""
    kind: str
    """gpu, vgpu, fpga, nic."""
    parent: str | None = None
    """Key of the card it is cut from."""
    inventory: Mapping[str, int] = mapping_field()
    """What it has to give, by resource class."""
    counters: Mapping[str, int] = mapping_field()
    """What a card shares among its cuts."""
    draws: Mapping[str, int] = mapping_field()
    """What one unit takes from the parent's counters."""
    traits: frozenset[str] = attrs.field(factory=frozenset, converter=frozen_names)
    """Names of traits: standard ones of `os-traits`, or CUSTOM_ ones."""
    numa_node: int | None = None
    """The host's NUMA cell it is near; None where the host does not know."""
    health: Health = Health.OK
    """Whether it may be given to guests."""
    why: str = ""
    """A sentence for people where its health is not good."""


@attrs.frozen(kw_only=True)
class PciAttachment:
    """A PCI function handed to the guest whole."""

    address: str
    """domain:bus:slot.function, such as 0000:3b:00.0."""


@attrs.frozen(kw_only=True)
class MdevAttachment:
    """A mediated device, by its UUID below its parent function."""

    uuid: str = uuid_field()
    """Id of the mediated device on the host."""
    parent: str
    """Address of the PCI function that it is a part of."""


Attachment = PciAttachment | MdevAttachment
