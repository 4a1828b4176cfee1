"""The query string of a list of servers: who may filter by what, and what each filter means."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import attrs

from novakit import errors
from novakit.api import ids
from novakit.api.compute.domain import Compute
from novakit.api.compute.links import limit_and_marker
from novakit.api.queries import moment, strict_boolean
from novakit.api.service import Call, Version
from novakit.compute import patterns
from novakit.compute.servers import ServerQuery
from novakit.compute.states import states_of

FOR_EVERYBODY: Sequence[tuple[Version, Sequence[str]]] = (
    ((2, 1), ("reservation_id", "name", "status", "image", "flavor", "ip", "changes-since", "all_tenants")),
    ((2, 5), ("ip6",)),
    ((2, 26), ("tags", "tags-any", "not-tags", "not-tags-any")),
    ((2, 66), ("changes-before",)),
    ((2, 73), ("locked",)),
    ((2, 83), ("availability_zone", "config_drive", "key_name", "created_at", "launched_at", "terminated_at")),
    ((2, 83), ("power_state", "task_state", "vm_state", "progress", "user_id")),
    ((2, 90), ("hostname",)),
)
FOR_ADMINS = (
    *("user_id", "project_id", "tenant_id", "launch_index", "image_ref", "kernel_id", "ramdisk_id", "hostname"),
    *("key_name", "power_state", "vm_state", "task_state", "host", "node", "launched_at", "terminated_at"),
    *("availability_zone", "display_name", "description", "display_description", "locked_by", "uuid"),
    *("root_device_name", "config_drive", "access_ip_v4", "access_ip_v6", "auto_disk_config", "progress"),
    *("soft_deleted", "deleted", "created_at", "ip6"),
)
PAGING = ("limit", "marker", "sort_key", "sort_dir")
INTERNAL = ("block_device_mapping", "services", "metadata", "system_metadata", "info_cache", "security_groups")
"""Names that once reached into the database and are refused."""

SORT_COLUMNS = {
    "access_ip_v4": "access_ip_v4",
    "access_ip_v6": "access_ip_v6",
    "auto_disk_config": "auto_disk_config",
    "availability_zone": "availability_zone",
    "config_drive": "config_drive",
    "created_at": "created_at",
    "display_description": "description",
    "display_name": "name",
    "host": "host",
    "hostname": "hostname",
    "image_ref": "image_id",
    "key_name": "key_name",
    "launch_index": "launch_index",
    "launched_at": "launched_at",
    "locked_by": "locked_by",
    "node": "node",
    "power_state": "power_state",
    "progress": "progress",
    "project_id": "project_id",
    "root_device_name": "root_device_name",
    "task_state": "task_state",
    "terminated_at": "terminated_at",
    "updated_at": "updated_at",
    "user_id": "user_id",
    "uuid": "id",
    "vm_state": "vm_state",
}
WITHOUT_ORDER = ("instance_type_id", "kernel_id", "ramdisk_id")
"""Sort keys that are valid and the same for every server here."""
IGNORED_BEFORE_2_75 = (
    *("architecture", "cell_name", "cleaned", "default_ephemeral_device", "default_swap_device", "deleted"),
    *("deleted_at", "disable_terminate", "ephemeral_gb", "ephemeral_key_uuid", "id", "key_data", "launched_on"),
    *("memory_mb", "os_type", "reservation_id", "root_gb", "shutdown_terminate", "user_data", "vcpus", "vm_mode"),
)
TEXT_COLUMNS = {
    "name": "name",
    "display_name": "name",
    "hostname": "hostname",
    "key_name": "key_name",
    "availability_zone": "availability_zone",
    "description": "description",
    "display_description": "description",
    "root_device_name": "root_device_name",
    "node": "node",
    "locked_by": "locked_by",
    "access_ip_v4": "access_ip_v4",
    "access_ip_v6": "access_ip_v6",
}
"""Filters that are patterns."""
EXACT_COLUMNS = {"reservation_id": "reservation_id", "image": "image_id", "image_ref": "image_id", "host": "host"}
NUMBERS = ("power_state", "progress", "launch_index")
MOMENTS = ("created_at", "launched_at", "terminated_at")


@attrs.frozen(kw_only=True)
class Listing:
    """One page of servers, as it was asked for."""

    wanted: ServerQuery
    addresses: Sequence[patterns.Pattern]
    """Each must match one fixed address of the server."""


def listing(call: Call[Compute], verb: str) -> Listing | None:
    """Read the query string; None when nothing can match. Raise `BadRequest` or `Forbidden`."""
    query = _allowed(call)
    limit, marker = limit_and_marker(call)
    everybody = _all_tenants(query)
    fields: dict[str, Any] = {"sort": _sort(call), "limit": limit, "marker": marker and ids.kept(marker)}
    if everybody:
        call.authorize(f"os_compute_api:servers:{verb}:get_all_tenants")
        project = query.get("project_id", query.get("tenant_id"))
        fields["project_id"] = None if project is None else ids.kept(project)
    elif call.context.project_id:
        fields["project_id"] = call.context.project_id
    else:
        fields["user_id"] = call.context.user_id
    if "user_id" in query:
        fields["user_id"] = ids.kept(query["user_id"])
    states = _states(call, query)
    if states is None:
        return None
    if "soft_deleted" in query and strict_boolean(query["soft_deleted"], "soft_deleted"):
        states["vm_states"] = ["soft-delete"]
    fields |= {**states, **_matching(query), **_tags(query), **_times(call, query)}
    fields["deleted"] = _deleted(call, query, fields)
    if "flavor" in query:
        fields["flavor_id"] = query["flavor"]
    if "locked" in query and call.version >= (2, 73):
        fields["locked"] = strict_boolean(query["locked"], "locked")
    if "uuid" in query:
        fields["ids"] = [one.lower() for one in call.request.query.getall("uuid")]
    addresses = [patterns.parse(query[name]) for name in ("ip", "ip6") if name in query]
    return Listing(wanted=ServerQuery(**fields), addresses=addresses)


def _allowed(call: Call[Compute]) -> dict[str, str]:
    """Keep the filters this caller may use; refuse unknown ones from 2.75 on, ignore them before."""
    open_to_all = {name for since, names in FOR_EVERYBODY if since <= call.version for name in names}
    known = open_to_all | set(FOR_ADMINS) | set(PAGING)
    given = {name: value for name, value in call.query.items() if "\x00" not in value}
    for name in given:
        if name in INTERNAL or name.startswith("_"):
            raise errors.BadRequest(f"Invalid filter field: {name[:80]}.")
        if name not in known and call.version >= (2, 75):
            raise errors.BadRequest(f"Additional properties are not allowed ('{name[:80]}' was unexpected)")
    if call.allows("os_compute_api:servers:allow_all_filters"):
        return {name: value for name, value in given.items() if name in known and name not in PAGING}
    return {name: value for name, value in given.items() if name in open_to_all}


def _all_tenants(query: dict[str, str]) -> bool:
    value = query.get("all_tenants")
    if value is None:
        return False
    return value == "" or strict_boolean(value, "all_tenants")


def _states(call: Call[Compute], query: dict[str, str]) -> dict[str, object] | None:
    fields: dict[str, object] = {}
    for name in ("vm_state", "task_state"):
        if name in query:
            fields[f"{name}s"] = [query[name]]
    if "status" in query:
        vm_states, task_states = states_of(call.request.query.getall("status"))
        if not vm_states:
            if call.version >= (2, 38):
                raise errors.BadRequest("Invalid status value")
            return None
        fields |= {"vm_states": vm_states, "task_states": task_states}
    return fields


def _deleted(call: Call[Compute], query: dict[str, str], fields: dict[str, object]) -> bool | None:
    if fields.get("vm_states") == ["deleted"]:
        if not call.context.is_admin:
            raise errors.Forbidden("Only administrators may list deleted instances")
        return True
    if "deleted" in query:
        return strict_boolean(query["deleted"], "deleted")
    return None if fields.keys() & {"changes_since", "changes_before"} else False


def _matching(query: dict[str, str]) -> dict[str, object]:
    like = {column: patterns.parse(query[name]).likes() for name, column in TEXT_COLUMNS.items() if name in query}
    equal: dict[str, object] = {column: query[name] for name, column in EXACT_COLUMNS.items() if name in query}
    if "image_id" in equal:
        equal["image_id"] = str(equal["image_id"]).lower()
    for name in NUMBERS:
        if name in query:
            if not re.fullmatch(r"-?\d{1,9}", query[name]):
                raise errors.BadRequest(f"Invalid filter field: {name}. It must be a number.")
            equal[name] = int(query[name])
    for name in ("config_drive", "auto_disk_config"):
        if name in query:
            equal[name] = strict_boolean(query[name], name)
    seconds = {name: _moment(name, query[name]) for name in MOMENTS if name in query}
    properties = {name: query[name] for name in ("kernel_id", "ramdisk_id") if name in query}
    return {"like": like, "equal": equal, "seconds": seconds, "image_properties": properties}


def _tags(query: dict[str, str]) -> dict[str, object]:
    names = ("tags", "tags-any", "not-tags", "not-tags-any")
    return {name.replace("-", "_"): query[name].split(",") for name in names if name in query}


def _times(call: Call[Compute], query: dict[str, str]) -> dict[str, Any]:
    fields = {
        name.replace("-", "_"): _moment(name, query[name])
        for name in ("changes-since", "changes-before")
        if name in query
    }
    if len(fields) == 2 and fields["changes_before"] < fields["changes_since"]:
        raise errors.BadRequest("The value of changes-since must be less than or equal to changes-before.")
    return fields


def _moment(name: str, text: str) -> datetime:
    return moment(text, f"Invalid filter field: {name}.")


def _sort(call: Call[Compute]) -> list[tuple[str, bool]]:
    keys = call.request.query.getall("sort_key", [])
    directions = call.request.query.getall("sort_dir", [])
    if any(direction not in ("asc", "desc") for direction in directions):
        raise errors.BadRequest("Unknown sort direction, must be one of: asc, desc.")
    if len(directions) > max(1, len(keys)):
        raise errors.BadRequest("Sort direction size exceeds sort key size")
    # A key without a direction of its own goes the way of the first one, as in the public API.
    first = directions[0] if directions else "desc"
    chosen: list[tuple[str, bool]] = []
    for place, key in enumerate(keys):
        down = (directions[place] if place < len(directions) else first) == "desc"
        if key in ("host", "node") and not call.context.is_admin:
            raise errors.Forbidden(f"Only administrators can sort servers by {key}")
        if key in SORT_COLUMNS:
            chosen.append((SORT_COLUMNS[key], down))
        elif key == "locked" and call.version >= (2, 73):
            chosen.append(("locked_by", down))
        elif key not in WITHOUT_ORDER and (call.version >= (2, 75) or key not in (*IGNORED_BEFORE_2_75, "locked")):
            raise errors.BadRequest(f"Servers cannot be sorted by {key[:80]}; try sort_key=created_at.")
    return chosen or [("created_at", first == "desc")]
