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
    SHUTDOWN = "shutdown"
    PAUSED = "paused"
    SUSPENDED = "suspended"
    CRASHED = "crashed"


@attrs.frozen(kw_only=True)
class LocalImage:
    """An image that the agent has fetched, checked by digest and inspected; read-only for the driver."""

    id: str = uuid_field()
    path: str
    """Absolute path of the file on this host; shared by every guest that boots from it."""
    disk_format: str
    """qcow2 or raw, as inspected."""
    virtual_size: int
    """Bytes the guest sees."""


@attrs.frozen(kw_only=True)
class Nic:
    """One network card of a guest, already plugged on the host by the network driver."""

    port_id: str = uuid_field()
    mac: str
    device: str
    """Name of the tap device on the host that the network driver made and wired."""
    mtu: int
    model: str = "virtio"


@attrs.frozen(kw_only=True)
class GuestPlan:
    """Everything needed to build a guest; the driver looks nothing up.

    The same plan again is the same guest.
    """

    id: str = uuid_field()
    name: str
    """For people only: any text the user chose, never part of a path or a command."""
    hostname: str
    vcpus: int
    memory_mb: int
    root_gb: int
    """GiB of the root disk; 0 means the image's virtual size."""
    ephemeral_gb: int = 0
    swap_mb: int = 0
    image: LocalImage | None = None
    nics: tuple[Nic, ...] = tuple_field()
    config_drive: Mapping[str, bytes] | None = None
    """Files of the config drive by relative path, or None when the guest has none."""
    extra_specs: Mapping[str, str] = mapping_field()
    image_properties: Mapping[str, str] = mapping_field()
    attachments: tuple[Attachment, ...] = tuple_field()
    numa: tuple[Taken, ...] = tuple_field()
    """What the claim gave of the host's cells: one record for each guest cell, in order; empty without any."""
    owner: Mapping[str, str] = mapping_field()
    """user_id, project_id, flavor, image: recorded beside the guest for people who look at the host."""


@attrs.frozen(kw_only=True)
class Guest:
    """A guest as the driver finds it on its host."""

    id: str = uuid_field()
    power: Power
    why: str = ""


@attrs.frozen(kw_only=True)
class GuestEvent:
    """A guest changed its power state, whoever made it do so."""

    guest: str = uuid_field()
    power: Power
    why: str = ""
