"""Accelerator devices and the ways one reaches a guest, shared by virt drivers and accelerator providers."""

import enum
from collections.abc import Mapping

import attrs

from novakit_hookspecs.fields import frozen_names, mapping_field, uuid_field


class Health(enum.Enum):
    """Whether a device may take new work."""

    OK = "ok"
    DEGRADED = "degraded"
    """Keeps the guests it has and takes no new ones."""
    LOST = "lost"
    """Not there any more, or of no use to a guest."""


@attrs.frozen(kw_only=True)
class Device:
    """One device, or one part of a device, that guests can be given; a resource provider below its host's."""

    key: str
    """Names the device on its host, and is the same after a reboot: a serial number or PCI address."""
    kind: str
    """What it is: gpu, vgpu, fpga or nic."""
    parent: str | None = None
    """Key of the device that it is a part of; None for a whole one."""
    inventory: Mapping[str, int] = mapping_field()
    """Units that can be claimed, by resource class; classes of which it has none are left out."""
    counters: Mapping[str, int] = mapping_field()
    """Amounts that all parts of this device share, by names of the provider's own: memory, slices."""
    draws: Mapping[str, int] = mapping_field()
    """How much of each of its parent's `counters` one claimed unit of it uses up."""
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
    """A whole PCI function that the guest is handed."""

    address: str
    """domain:bus:slot.function, such as 0000:3b:00.0."""


@attrs.frozen(kw_only=True)
class MdevAttachment:
    """A mediated device (mdev of the Linux kernel) that the guest is handed: a part of a PCI function."""

    uuid: str = uuid_field()
    """UUID of the mediated device on the host."""
    parent: str
    """PCI address of the function that it is a part of."""


Attachment = PciAttachment | MdevAttachment
