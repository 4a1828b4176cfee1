"""What a flavor demands of the host's capabilities, by its extra specs."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from novakit_filters.demands import Demand, unmet
from novakit_filters.operators import matches
from novakit_hookspecs.scheduling import Ask, HostColumns, Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCOPE = "capabilities"
NUMBERS = {
    "free_ram_mb": "free_memory_mb",
    "free_disk_gb": "free_disk_gb",
    "total_usable_ram_mb": "total_memory_mb",
    "total_usable_disk_gb": "total_disk_gb",
    "vcpus_total": "total_vcpus",
    "vcpus_used": "used_vcpus",
    "memory_mb": "total_memory_mb",
    "num_instances": "servers",
    "num_io_ops": "io_ops",
    "failed_builds": "failed_builds",
    "hypervisor_version": "hypervisor_version",
}
"""The capabilities that are numbers, by the names flavors use, and the facts that hold them."""
_MEBIBYTES = {"free_disk_mb": "free_disk_gb", "disk_mb_used": "used_disk_gb"}
_RATIOS = {"ram_allocation_ratio": "memory_mb", "cpu_allocation_ratio": "vcpus", "disk_allocation_ratio": "disk_gb"}
CATEGORIES = ("hypervisor_type", "cpu_info", "supported_instances", "availability_zone")
_TEXTS = {"hypervisor_hostname": "node", "node": "node", "host_ip": "host_ip"}
READS = frozenset(
    (
        *NUMBERS.values(),
        *_MEBIBYTES.values(),
        *(f"{part}_{name}" for part in ("capacity", "total", "reserved") for name in _RATIOS.values()),
        *CATEGORIES,
        *_TEXTS.values(),
    )
)
_TOLD = 5
"""Different values of hosts that one reason tells."""


def wanted(ask: Ask) -> dict[str, str]:
    """Return the extra specs that speak of capabilities: `capabilities:name`, or a known name without a scope."""
    found: dict[str, str] = {}
    for key, value in ask.extra_specs.items():
        scope, _, rest = key.partition(":")
        if scope == SCOPE and rest:
            found[rest] = value
        elif ":" not in key and _is_known(key):
            found[key] = value
    return found


class ComputeCapabilities:
    """Keep hosts whose capabilities satisfy the flavor: `capabilities:hypervisor_type = <or> QEMU <or> KVM`."""

    def applies(self, ask: Ask) -> bool:
        return bool(wanted(ask))

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        mask = np.ones(hosts.size, np.bool_)
        for path, value in wanted(ask).items():
            mask &= self._satisfied(hosts, path, value)
        return mask

    @staticmethod
    def _satisfied(hosts: HostColumns, path: str, value: str) -> "NDArray[np.bool_]":
        name, *below = path.split(":")
        if name in CATEGORIES:
            return hosts.where(name, _looks_up(below, value))
        if not _is_known(name):
            return np.zeros(hosts.size, np.bool_)
        if name in _TEXTS:
            words = hosts.column(_TEXTS[name])
            return np.fromiter((word is not None and matches(word, value) for word in words), np.bool_, hosts.size)
        # The comparison is Python and costs a microsecond, so it is made once for each different number.
        different, place = np.unique(_numbers(hosts, name), return_inverse=True)
        mask: NDArray[np.bool_] = np.array([matches(_whole(one), value) for one in different.tolist()], np.bool_)[place]
        return mask

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        return unmet([self._demand(hosts, path, value) for path, value in sorted(wanted(ask).items())])

    def _demand(self, hosts: HostColumns, path: str, value: str) -> Demand:
        fits = self._satisfied(hosts, path, value)
        if not _is_known(path.partition(":")[0]):
            text = f"know nothing of the flavor's {SCOPE}:{path}"
            return Demand("capability_unknown", text, f"a flavor without {SCOPE}:{path}", fits)
        return Demand(
            "capability",
            f"do not satisfy the flavor's {SCOPE}:{path} = {value}",
            f"{path} that satisfies {value}",
            fits,
            wanted=value,
            there=functools.partial(_there, hosts, path),
        )


def _is_known(name: str) -> bool:
    return any(name in names for names in (NUMBERS, _MEBIBYTES, _RATIOS, CATEGORIES, _TEXTS))


def _numbers(hosts: HostColumns, name: str) -> "NDArray[np.float64]":
    """Return a capability that is a number, of every host; a ratio of hosts that have nothing is 0."""
    if name in NUMBERS:
        return hosts.column(NUMBERS[name])
    if name in _MEBIBYTES:
        mebibytes: NDArray[np.float64] = hosts.column(_MEBIBYTES[name]) * 1024
        return mebibytes
    what = _RATIOS[name]
    physical = hosts.column(f"total_{what}") - hosts.column(f"reserved_{what}")
    ratio = np.zeros(hosts.size)
    np.divide(hosts.column(f"capacity_{what}"), physical, out=ratio, where=physical > 0)
    return ratio


def _there(hosts: HostColumns, path: str, some: "NDArray[np.bool_]") -> list[object]:
    """Return the different values that some hosts have, the first few."""
    name, *below = path.split(":")
    if name in CATEGORIES:
        words = hosts.vocabulary(name)
        values: list[object] = [_below(words[code], below) for code in np.unique(hosts.codes(name)[some])]
    elif name in _TEXTS:
        values = sorted({word for word in hosts.column(_TEXTS[name])[some] if word is not None})
    else:
        values = [_whole(one) for one in np.unique(_numbers(hosts, name)[some]).tolist()]
    different = []
    for one in values:
        if one is not None and one not in different:
            different.append(one)
    return different[:_TOLD]


def _whole(number: float) -> float | int:
    return int(number) if float(number).is_integer() else number


def _looks_up(path: Sequence[str], value: str) -> Callable[[object], bool]:
    def test(found: object) -> bool:
        found = _below(found, path)
        return found is not None and matches(found, value)

    return test


def _below(found: object, path: Sequence[str]) -> object:
    """Return what lies at a path in a mapping of mappings; None where nothing does."""
    for name in path:
        if not isinstance(found, Mapping) or name not in found:
            return None
        found = found[name]
    return found
