"""The catalogue of host facts: what a filter or weigher may read, with type, unit and meaning.

A filter or weigher names the facts it reads; one that names an unknown fact is refused at load.
"""

import enum
import re

import attrs


class Kind(enum.Enum):
    """How a fact is held, and so how it is read."""

    NUMBER = "number"
    """An array of numbers: `hosts.column(name)`."""
    FLAG = "flag"
    """An array of booleans: `hosts.column(name)`."""
    CATEGORY = "category"
    """Few different values for many hosts: `hosts.codes(name)`, `hosts.vocabulary(name)`, `hosts.where(name, test)`."""
    OBJECT = "object"
    """A record of its own for each host: `hosts.column(name)` with dtype object."""


@attrs.frozen(kw_only=True)
class Fact:
    """One thing known of every host."""

    name: str
    kind: Kind
    dtype: str
    """NumPy's name of the array's type; `int32` codes for categories."""
    unit: str
    meaning: str


def _number(name: str, unit: str, meaning: str, dtype: str = "float64") -> Fact:
    return Fact(name=name, kind=Kind.NUMBER, dtype=dtype, unit=unit, meaning=meaning)


def _flag(name: str, meaning: str) -> Fact:
    return Fact(name=name, kind=Kind.FLAG, dtype="bool", unit="", meaning=meaning)


def _category(name: str, meaning: str) -> Fact:
    return Fact(name=name, kind=Kind.CATEGORY, dtype="int32", unit="", meaning=meaning)


def _object(name: str, meaning: str) -> Fact:
    return Fact(name=name, kind=Kind.OBJECT, dtype="object", unit="", meaning=meaning)


_AMOUNTS = [
    ("memory_mb", "MiB", "memory"),
    ("vcpus", "vCPUs", "virtual CPUs"),
    ("disk_gb", "GiB", "disk"),
]

_FACTS = [
    *(
        _number(f"free_{name}", unit, f"{what} that can still be claimed: capacity minus used")
        for name, unit, what in _AMOUNTS
    ),
    *(
        _number(f"capacity_{name}", unit, f"{what} that may be claimed in all: (total - reserved) * allocation ratio")
        for name, unit, what in _AMOUNTS
    ),
    *(_number(f"total_{name}", unit, f"physical {what}") for name, unit, what in _AMOUNTS),
    *(_number(f"reserved_{name}", unit, f"physical {what} kept for the host itself") for name, unit, what in _AMOUNTS),
    *(_number(f"used_{name}", unit, f"{what} claimed by servers and migrations") for name, unit, what in _AMOUNTS),
    *(_number(f"max_unit_{name}", unit, f"{what} that one server may have at most") for name, unit, what in _AMOUNTS),
    *(_flag(f"spread_{name}", f"whether `tree` must be looked at for {what}") for name, _, what in _AMOUNTS),
    _number("servers", "servers", "consumers with a claim on the host", "int32"),
    _number("io_ops", "operations", "builds, resizes, snapshots and migrations under way on the host", "int32"),
    _number("failed_builds", "failures", "builds that failed since the last one that worked", "int32"),
    _number("hypervisor_version", "", "major * 1,000,000 + minor * 1,000 + release", "int64"),
    _flag("enabled", "whether the operator lets the host take servers"),
    _flag("up", "whether the host's agent reported lately and nobody forced it down"),
    _flag("nested", "whether `tree` says more than the amounts do: several providers, or odd units"),
    _category("availability_zone", "name of the zone the host belongs to, through its aggregates or the default"),
    _category("hypervisor_type", "QEMU, KVM, simulated, as clients see it"),
    _category("cpu_info", "a mapping: arch, model, vendor, features, topology"),
    _category("supported_instances", "triples of architecture, hypervisor type and vm mode"),
    _category("machine_types", "names of machine types that guests may have; empty where the host did not say"),
    _category("cell", "name of the cell the host belongs to"),
    _category("disabled_reason", "what the operator wrote when disabling the host; empty otherwise"),
    _object("node", "the hypervisor's hostname, a text"),
    _object("host_ip", "the host's own address, a text; None when the host did not say"),
    _object(
        "image_properties",
        "a mapping from `key=value` of images to the number of servers on the host with such an image; or None",
    ),
    _object(
        "numa",
        "a `novakit_fit.numa.NumaHost`: cells, CPUs, pages and what is taken of them; None when the host did not say",
    ),
    _object("pci", "a tuple of `PciPool`: devices of a kind on a NUMA cell and how many are free"),
    _object("tree", "a `Tree`: what the host's own provider and those below it can give; None where `nested` is false"),
    _object("flavors", "a mapping from flavor name to the number of servers of it on the host; or None"),
]

_OWN_NAMES = {"MEMORY_MB": "memory_mb", "VCPU": "vcpus", "DISK_GB": "disk_gb"}
"""The resource classes that have facts of their own name."""


def of_class(part: str, resource_class: str) -> str:
    """Return the name of the fact that holds one part of a resource class: `free_memory_mb`, `used_resource_vgpu`."""
    return f"{part}_{_OWN_NAMES.get(resource_class) or 'resource_' + resource_class.lower()}"


FACTS: dict[str, Fact] = {fact.name: fact for fact in _FACTS}
"""Every fact with a fixed name."""

_METRIC = re.compile(r"metric_([a-z][a-z0-9_]{0,55}|\*)")
_RESOURCE = re.compile(r"(free|capacity|used|spread)_resource_([a-z][a-z0-9_]{0,240}|\*)")


def metric_name(name: str) -> str | None:
    """Return the column name of a measurement, dots and dashes being underscores; None for what cannot be a name.

    `cpu.user.percent` is read as `metric_cpu_user_percent`.
    """
    name = name.replace(".", "_").replace("-", "_")
    return name if _METRIC.fullmatch(f"metric_{name}") and name != "*" else None


def find(name: str) -> Fact | None:
    """Return the fact of that name, or None when there is none.

    Two families have open ends: `metric_<name>` is a number that an agent measures (NaN where it does not), and
    `free_resource_<class>`, `capacity_resource_<class>` and `used_resource_<class>` are amounts of any resource class,
    in lower case, summed over the host's tree of providers (0 where there is none); `spread_resource_<class>` says
    whether `tree` must be looked at for the class.
    A star in the place of the open end (`metric_*`) declares the whole family.
    """
    if name in FACTS:
        return FACTS[name]
    if _METRIC.fullmatch(name):
        return _number(name, "as the metric has it", "measured by the host's agent; NaN where it is not")
    if name.startswith("spread_") and _RESOURCE.fullmatch(name):
        return _flag(name, "whether `tree` must be looked at for the resource class")
    if match := _RESOURCE.fullmatch(name):
        what = {"free": "can still be claimed", "capacity": "may be claimed in all", "used": "is claimed"}[match[1]]
        return _number(name, "units of the class", f"how much of the resource class {what} in the host's tree")
    return None


def unknown(names: frozenset[str]) -> list[str]:
    """List the names that are not facts, in order."""
    return sorted(name for name in names if find(name) is None)
