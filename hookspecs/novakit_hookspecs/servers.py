"""What a guest is made of, and what state it is in."""

import enum
from collections.abc import Mapping

import attrs

from novakit_hookspecs.devices import Attachment
from novakit_hookspecs.fields import mapping_field, tuple_field, uuid_field
from novakit_hookspecs.numa import Taken


class Power(enum.Enum):
    """The power state of a guest as the hypervisor sees it."""

    RUNNING = "running"
    """Its CPUs run."""
    SHUTDOWN = "shutdown"
    """It is off, whether it shut down by itself or was turned off."""
    PAUSED = "paused"
    """Its memory is in place and its CPUs stand still."""
    SUSPENDED = "suspended"
    """Its memory is on disk, and it takes no memory and no CPU of the host."""
    CRASHED = "crashed"
    """It ended by a fault, of its own or of the hypervisor."""


@attrs.frozen(kw_only=True)
class LocalImage:
    """An image that the agent has fetched, checked by digest and inspected; read-only for the driver."""

    id: str = uuid_field()
    """Id of the image in the image service."""
    path: str
    """Absolute path of the file on this host; shared by every guest that boots from it."""
    disk_format: str
    """One of `facets.IMAGE_FORMATS` whose trait the host reports, such as qcow2; the file was found to be that."""
    virtual_size: int
    """Bytes the guest sees."""


@attrs.frozen(kw_only=True)
class Nic:
    """One network card of a guest, already plugged on the host by the network driver."""

    port_id: str = uuid_field()
    """Id of the port in the network service."""
    mac: str
    """MAC address that the guest sees."""
    device: str
    """Name of the tap device on the host that the network driver made and wired."""
    mtu: int
    """Bytes of the largest packet."""
    model: str = "virtio"
    """Model of the NIC that the guest sees, as QEMU names it."""


@attrs.frozen(kw_only=True)
class GuestPlan:
    """Everything needed to build a guest; the driver looks nothing up.

    The same plan again is the same guest.
    """

    id: str = uuid_field()
    """Id of the server, and of the guest on every host."""
    name: str
    """For people only: any text the user chose, never part of a path or a command."""
    hostname: str
    """What the guest may call itself: letters, digits and dashes."""
    vcpus: int
    """Number of virtual CPUs."""
    memory_mb: int
    """Memory in MiB."""
    root_gb: int
    """GiB of the root disk; 0 means the image's virtual size."""
    ephemeral_gb: int = 0
    """GiB of a further empty disk; 0 for none."""
    swap_mb: int = 0
    """MiB of a swap disk; 0 for none."""
    image: LocalImage | None = None
    """The image that the root disk is made from; None for an empty root disk, and always with `wants_images=False`."""
    nics: tuple[Nic, ...] = tuple_field()
    """The guest's NICs, in the order in which it sees them."""
    config_drive: Mapping[str, bytes] | None = None
    """Files of the config drive by relative path, or None when the guest has none."""
    extra_specs: Mapping[str, str] = mapping_field()
    """What the flavor says beside its sizes."""
    image_properties: Mapping[str, str] = mapping_field()
    """What the image says of the machine it wants."""
    attachments: tuple[Attachment, ...] = tuple_field()
    """Devices to put in; of the kinds that the driver `renders`."""
    numa: tuple[Taken, ...] = tuple_field()
    """What the scheduler claimed of the host's NUMA cells: one record for each guest cell, in order.

    Empty for a guest that asked for no cells; then the driver may place it anywhere.
    """
    owner: Mapping[str, str] = mapping_field()
    """user_id, project_id, flavor and image, to be kept with the guest for people who look at the host."""


@attrs.frozen(kw_only=True)
class Guest:
    """A guest as the driver finds it on its host."""

    id: str = uuid_field()
    """Id of the server."""
    power: Power
    """Its power state now."""
    why: str = ""
    """Why it is in that state, as a sentence for people; empty where there is nothing to say."""


@attrs.frozen(kw_only=True)
class GuestEvent:
    """A guest changed its power state, by itself or because somebody changed it."""

    guest: str = uuid_field()
    """Id of the server."""
    power: Power
    """Its power state after the change."""
    why: str = ""
    """What caused the change, as a sentence for people; empty where there is nothing to say."""
