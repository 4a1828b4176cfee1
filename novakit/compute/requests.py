"""What callers ask of the compute domain, as plain records that were checked already."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

NetworksAsked = str | Sequence[Mapping[str, str | None]] | None
"""None (the project's only network, if it has one), `auto`, `none`, or uuid, port, fixed_ip and tag of each NIC."""


@attrs.frozen(kw_only=True)
class CreateRequest:
    """One POST /servers."""

    name: str
    flavor: Mapping[str, Any]
    """id, name, vcpus, ram (MiB), disk (GiB), ephemeral (GiB), swap (MiB), rxtx_factor, extra_specs and the rest."""
    image_id: str
    """Not looked up yet: the domain does, once."""
    description: str | None = None
    hostname: str | None = None
    """None is made from the name."""
    networks: NetworksAsked = None
    security_groups: Sequence[str] = ()
    """Names or ids; empty is the default group."""
    key_name: str | None = None
    public_key: str | None = None
    """The key's public half, looked up already."""
    user_data: str | None = None
    """Base64, as it was sent."""
    admin_pass: str | None = attrs.field(default=None, repr=False)
    """Told to the guest by its config drive; None tells it nothing."""
    access_ip_v4: str | None = None
    access_ip_v6: str | None = None
    auto_disk_config: bool = False
    config_drive: bool = False
    metadata: Mapping[str, str] = attrs.field(factory=dict)
    tags: Sequence[str] = ()
    availability_zone: str | None = None
    forced_host: str | None = None
    """From `zone:host`: filters do not apply."""
    forced_node: str | None = None
    requested_host: str | None = None
    """From `host` (2.74): filters apply."""
    requested_node: str | None = None
    min_count: int = 1
    max_count: int = 1
    scheduler_hints: Mapping[str, object] = attrs.field(factory=dict)
