"""Writes what the scheduler saw and decided as a trace that can be replayed elsewhere."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from novakit.scheduler.devices import Function, pools_of
from novakit.scheduler.table import HostTable, fact_name
from novakit.store.engine import Row
from novakit_hookspecs.plain import to_plain

_CATEGORIES = ("availability_zone", "hypervisor_type", "cpu_info", "supported_instances", "cell")
_PARTS = ("total", "reserved", "capacity", "max_unit")


def hosts(table: HostTable, functions: Mapping[int, Sequence[Function]]) -> Iterator[dict[str, Any]]:
    """Give one entry for each host, empty of servers; `functions` are the PCI devices by row."""
    for row, name in enumerate(table.names):
        entry: dict[str, Any] = {"host": name, "node": table.column("node")[row], "traits": table.traits(row)}
        for fact in _CATEGORIES:
            entry[fact] = table.vocabulary(fact)[int(table.codes(fact)[row])]
        entry["hypervisor_version"] = int(table.column("hypervisor_version")[row])
        entry["stock"] = {
            name: {part: int(table.column(fact_name(part, name))[row]) for part in _PARTS}
            for name in table.resource_classes()
            if table.column(fact_name("capacity", name))[row]
        }
        if (cells := table.column("numa")[row]) is not None:
            entry["numa"] = to_plain(cells.cells)
        if row in functions:
            entry["pci"] = to_plain(pools_of(functions[row], lambda _: True))
        yield entry


def aggregates(table: HostTable) -> Iterator[dict[str, Any]]:
    """Give one entry for each aggregate."""
    for one in table.aggregates:
        members = [name for name, inside in zip(table.names, table.in_aggregate(one.id), strict=True) if inside]
        yield {"aggregate": {"name": one.name, "metadata": dict(one.metadata), "hosts": members}}


def events(decisions: Sequence[Row], ended: Mapping[str, datetime]) -> list[dict[str, Any]]:
    """Give the requests behind decisions and the ends of their servers, oldest first; times count from the first."""
    rows = sorted(decisions, key=lambda row: row["number"])
    if not rows:
        return []
    start = rows[0]["at"]
    found: list[tuple[float, dict[str, Any]]] = []
    for row in rows:
        at = (row["at"] - start).total_seconds()
        found.append((at, {"at": round(at, 3), "ask": _ask(row)}))
    for server, moment in ended.items():
        at = (moment - start).total_seconds()
        found.append((at, {"at": round(at, 3), "release": server}))
    return [event for _, event in sorted(found, key=lambda pair: pair[0])]


def _ask(row: Row) -> dict[str, Any]:
    asked: Mapping[str, Any] = row["record"].get("asked", {})
    resources = asked.get("resources", {})
    told: dict[str, Any] = {
        "server_id": row["server_id"],
        "project_id": row["project_id"],
        "user_id": "",
        "flavor_name": asked.get("flavor", ""),
        "resources": resources,
        "vcpus": asked.get("vcpus", resources.get("VCPU", 0)),
        "memory_mb": resources.get("MEMORY_MB", 0),
        "root_gb": resources.get("DISK_GB", 0),
    }
    same = ("availability_zone", "host", "node", "extra_specs", "required_traits", "forbidden_traits", "group")
    told.update({name: asked[name] for name in same if name in asked})
    if asked.get("image_properties"):
        told["image"] = {"id": asked.get("image", ""), "properties": asked["image_properties"]}
    return told
