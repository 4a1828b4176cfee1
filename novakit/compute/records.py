"""What a server is, as the domain and the API see it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from novakit_hookspecs.servers import Power

POWER_NUMBERS = {Power.RUNNING: 1, Power.PAUSED: 3, Power.SHUTDOWN: 4, Power.CRASHED: 6, Power.SUSPENDED: 7}
"""Power states as the compute API counts them; 0 is unknown."""


@attrs.frozen(kw_only=True)
class Server:
    """One server, as it stands in the store."""

    id: str
    project_id: str
    user_id: str
    name: str
    description: str | None = None
    hostname: str
    vm_state: str
    """building, active, stopped, error, deleted, paused, suspended, rescued, resized, shelved, shelved_offloaded."""
    task_state: str | None = None
    """scheduling, networking, spawning, powering-off, powering-on, rebooting, rebooting_hard, deleting, or None."""
    power_state: int = 0
    host: str | None = None
    node: str | None = None
    availability_zone: str | None = None
    pinned_availability_zone: str | None = None
    flavor: Mapping[str, Any]
    """id, name, vcpus, ram (MiB), disk (GiB), ephemeral (GiB), swap (MiB), extra_specs, as they were at creation."""
    image_id: str | None = None
    image_properties: Mapping[str, object] = attrs.field(factory=dict)
    key_name: str | None = None
    public_key: str | None = None
    metadata: Mapping[str, str] = attrs.field(factory=dict)
    tags: Sequence[str] = ()
    config_drive: bool = False
    user_data: str | None = None
    """Base64, as the user sent it."""
    access_ip_v4: str | None = None
    access_ip_v6: str | None = None
    """Where its owner says that it is reached; clients such as Terraform connect there."""
    auto_disk_config: bool = False
    """Whether its owner asked for OS-DCF:diskConfig AUTO: the guest is to grow its file system to the flavor's disk."""
    locked_by: str | None = None
    """owner or admin."""
    locked_reason: str | None = None
    reservation_id: str = ""
    launch_index: int = 0
    root_device_name: str = "/dev/vda"
    scheduler_hints: Mapping[str, object] = attrs.field(factory=dict)
    fault: Mapping[str, object] | None = None
    """code, message, details (for admins), created."""
    progress: int = 0
    created_at: datetime
    updated_at: datetime
    launched_at: datetime | None = None
    terminated_at: datetime | None = None
    deleted_at: datetime | None = None
    hypervisor_hostname: str | None = None
    server_groups: Sequence[str] = ()

    @property
    def locked(self) -> bool:
        """Return whether ordinary users are kept from changing it."""
        return self.locked_by is not None


@attrs.frozen(kw_only=True)
class Event:
    """One step of an action."""

    name: str
    started_at: datetime
    finished_at: datetime | None = None
    result: str | None = None
    """Success or Error."""
    host: str | None = None
    details: str | None = None
    """For admins: what went wrong, with internals."""


@attrs.frozen(kw_only=True)
class Action:
    """One thing that was done to a server: the operation, as the API shows it."""

    action: str
    """create, stop, start, reboot, delete."""
    server_id: str
    request_id: str
    user_id: str
    project_id: str
    started_at: datetime
    updated_at: datetime
    message: str | None = None
    """Error, when it failed."""
    events: Sequence[Event] = ()
