"""What a server is, as the domain and the API see it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import attrs


class Server(NamedTuple):
    """One server, as it stands in the store.

    A tuple, for a list of 1,000 makes as many: it costs a tenth of what a record of attrs with so many fields does.
    """

    id: str
    project_id: str
    user_id: str
    name: str
    description: str | None
    hostname: str
    vm_state: str
    """building, active, stopped, error, deleted, paused, suspended, rescued, resized, shelved, shelved_offloaded."""
    task_state: str | None
    """scheduling, networking, spawning, powering-off, powering-on, rebooting, rebooting_hard, deleting, or None."""
    power_state: int
    host: str | None
    node: str | None
    """What its hypervisor calls itself."""
    availability_zone: str | None
    pinned_availability_zone: str | None
    flavor: Mapping[str, Any]
    """id, name, vcpus, ram (MiB), disk (GiB), ephemeral (GiB), swap (MiB), extra_specs, as they were at creation."""
    image_id: str | None
    image_properties: Mapping[str, object]
    key_name: str | None
    metadata: Mapping[str, str]
    tags: Sequence[str]
    config_drive: bool
    user_data: str | None
    """Base64, as the user sent it; None in a list that does not show it."""
    access_ip_v4: str | None
    access_ip_v6: str | None
    """Where its owner says that it is reached; clients such as Terraform connect there."""
    auto_disk_config: bool
    """Whether its owner asked for OS-DCF:diskConfig AUTO: the guest is to grow its file system to the flavor's disk."""
    locked_by: str | None
    """owner or admin."""
    locked_reason: str | None
    reservation_id: str
    launch_index: int
    root_device_name: str
    scheduler_hints: Mapping[str, object]
    fault: Mapping[str, object] | None
    """code, message, details (for admins), created."""
    progress: int
    created_at: datetime
    updated_at: datetime
    launched_at: datetime | None
    terminated_at: datetime | None
    deleted_at: datetime | None

    @property
    def server_groups(self) -> Sequence[str]:
        """Return the id of the server group that it was asked into, if any."""
        group = self.scheduler_hints.get("group")
        return [group] if isinstance(group, str) else []

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
class ActionEntry:
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
