"""What callers ask of the compute domain, as plain records that were checked already."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from novakit.compute.patterns import Pattern

NetworkWish = str | Sequence[Mapping[str, Any]] | None
"""None (the project's only network, if it has one), `auto`, `none`, or uuid, port, fixed_ip and tag of each card."""


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
    networks: NetworkWish = None
    security_groups: Sequence[str] = ()
    """Names or ids; empty is the default group."""
    key_name: str | None = None
    public_key: str | None = None
    """The key's public half, looked up already."""
    user_data: str | None = None
    """Base64, as it was sent."""
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
    scheduler_hints: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class ServerFilters:
    """Which servers a list holds; what is None does not matter."""

    project_id: str | None = None
    user_id: str | None = None
    deleted: bool | None = False
    """None lists both those that are and those that are not."""
    ids: Sequence[str] | None = None
    equal: Mapping[str, Any] = attrs.field(factory=dict)
    """Columns of the servers table and the value each must have."""
    like: Mapping[str, Pattern] = attrs.field(factory=dict)
    """Columns that hold text and the pattern each must match."""
    flavor_id: str | None = None
    vm_states: Sequence[str] | None = None
    task_states: Sequence[str] | None = None
    locked: bool | None = None
    tags: Sequence[str] = ()
    """All of these."""
    tags_any: Sequence[str] = ()
    not_tags: Sequence[str] = ()
    """Not all of these."""
    not_tags_any: Sequence[str] = ()
    """None of these."""
    changes_since: datetime | None = None
    changes_before: datetime | None = None
    addresses: Sequence[Pattern] = ()
    """Each must match one fixed address of the server."""


Sort = Sequence[tuple[str, bool]]
"""Columns of the servers table in order of weight, and whether each goes down."""
