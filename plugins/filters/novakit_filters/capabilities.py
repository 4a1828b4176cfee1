"""What a flavor demands of the host's capabilities, by its extra specs."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

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
    "vcpus_total": "total_vcpus",
    "vcpus_used": "used_vcpus",
    "memory_mb": "total_memory_mb",
    "num_instances": "servers",
    "num_io_ops": "io_ops",
    "hypervisor_version": "hypervisor_version",
}
"""The capabilities that are numbers, by the names flavors use, and the facts that hold them."""
CATEGORIES = ("hypervisor_type", "cpu_info", "supported_instances", "availability_zone")
READS = frozenset(NUMBERS.values()) | frozenset(CATEGORIES)


def wanted(ask: Ask) -> dict[str, str]:
    """Give the extra specs that speak of capabilities: `capabilities:name`, or a known name without a scope."""
    found: dict[str, str] = {}
    for key, value in ask.extra_specs.items():
        scope, _, rest = key.partition(":")
        if scope == SCOPE and rest:
            found[rest] = value
        elif ":" not in key and (key in NUMBERS or key in CATEGORIES):
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
        if name in NUMBERS:
            column = hosts.column(NUMBERS[name])
            different, place = np.unique(column, return_inverse=True)
            passed = [matches(_whole(one), value) for one in different.tolist()]
            mask: NDArray[np.bool_] = np.array(passed, np.bool_)[place]
            return mask
        if name in CATEGORIES:
            return hosts.where(name, _looks_up(below, value))
        return np.zeros(hosts.size, np.bool_)

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        return unmet(
            [
                Demand(
                    "capability",
                    f"do not satisfy the flavor's {SCOPE}:{path} = {value}",
                    f"{path} that satisfies {value}",
                    self._satisfied(hosts, path, value),
                )
                for path, value in sorted(wanted(ask).items())
            ]
        )


def _whole(number: float) -> float | int:
    return int(number) if float(number).is_integer() else number


def _looks_up(path: Sequence[str], value: str) -> Callable[[Any], bool]:
    def test(found: Any) -> bool:
        for name in path:
            if not isinstance(found, Mapping) or name not in found:
                return False
            found = found[name]
        return found is not None and matches(found, value)

    return test
