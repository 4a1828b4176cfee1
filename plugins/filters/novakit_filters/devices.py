"""Hosts with devices to hand to a guest: enough of them, and on the right NUMA cell.

What a host reports as free is looked at; the agent has the last word when it prepares the devices.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from novakit_filters.standing import present, reason
from novakit_hookspecs.affinity import MOST, DeviceWish, devices, fit_near
from novakit_hookspecs.hosts import PciPool
from novakit_hookspecs.numa import NumaHost, NumaWish, wish
from novakit_hookspecs.scheduling import Ask, HostColumns, Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _count(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 4 and 0 < int(text) <= MOST else None


def _each(hosts: HostColumns, fact: str, test: Callable[[Any], bool]) -> "NDArray[np.bool_]":
    return np.fromiter((test(value) for value in hosts.column(fact)), np.bool_, hosts.size)


def _free(pools: Any, kind: str, cell: int | None = None) -> int:
    """Count the free devices of a kind, on one cell or on all."""
    return sum(pool.free for pool in pools or () if pool.kind == kind and cell in (None, pool.numa_cell))


class GpuAffinity:
    """Keep hosts with `gpu:count` free GPUs of `gpu:type`, all on one NUMA cell with `gpu:numa_affinity` true."""

    @staticmethod
    def _wanted(ask: Ask) -> tuple[str, int | None] | None:
        kind, count = ask.extra_specs.get("gpu:type", ""), ask.extra_specs.get("gpu:count", "0")
        return (kind, _count(count)) if kind and count != "0" else None

    def applies(self, ask: Ask) -> bool:
        return self._wanted(ask) is not None

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        wanted = self._wanted(ask)
        if wanted is None:
            return np.ones(hosts.size, np.bool_)
        kind, count = wanted
        if count is None:
            return np.zeros(hosts.size, np.bool_)
        if not self._together(ask):
            return _each(hosts, "pci", lambda pools: _free(pools, kind) >= count)
        return _each(hosts, "pci", lambda pools: any(_free(pools, kind, cell) >= count for cell in _cells(pools)))

    @staticmethod
    def _together(ask: Ask) -> bool:
        return ask.extra_specs.get("gpu:numa_affinity", "false").lower() == "true"

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        kind, count = self._wanted(ask) or ("", None)
        if count is None:
            text = f"not looked at, because gpu:count is no number from 1 to {MOST}"
            return present(reason("gpu_count", np.ones(hosts.size, np.bool_), text, remedy="another flavor"))
        enough = _each(hosts, "pci", lambda pools: _free(pools, kind) >= count)
        lacking = f"lack free GPUs of type {kind} (wanted {count})"
        apart = f"have {count} free GPUs of type {kind}, but not on one NUMA cell"
        return present(
            reason("not_enough_gpus", ~enough, lacking, remedy=f"{count} free GPUs of type {kind}"),
            reason("gpus_apart", enough, apart, remedy="gpu:numa_affinity false", shortfall=0.3),
        )


def _cells(pools: Any) -> set[int]:
    return {pool.numa_cell for pool in pools or () if pool.numa_cell is not None}


class PciPassthrough:
    """Keep hosts with the devices of `pci_passthrough:alias` (`a1:2,b:1`), near as `hw:pci_numa_affinity_policy` says.

    required: on the guest's cells; legacy (the default): so, or on a device whose cell is unknown; socket: on a cell
    of the same socket as one of the guest's; preferred: anywhere.
    A guest that wants no cells may have its devices anywhere.
    """

    @staticmethod
    def _wanted(ask: Ask) -> DeviceWish | None:
        return devices(ask.extra_specs, ask.image.properties if ask.image else {})

    def applies(self, ask: Ask) -> bool:
        try:
            return self._wanted(ask) is not None
        except ValueError:
            return True

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        try:
            near = self._wanted(ask)
            if near is None:
                return np.ones(hosts.size, np.bool_)
            wanted = _cells_wanted(ask)
        except ValueError:
            return np.zeros(hosts.size, np.bool_)
        pairs = zip(hosts.column("pci"), hosts.column("numa"), strict=True)
        return np.fromiter((_fits(pools or (), cells, near, wanted) for pools, cells in pairs), np.bool_, hosts.size)

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        try:
            near = self._wanted(ask)
            if near is None:
                return ()
            _cells_wanted(ask)
        except ValueError as error:
            text = f"not looked at, because {error}"
            return present(reason("devices_impossible", np.ones(hosts.size, np.bool_), text, remedy="another flavor"))
        told = ", ".join(f"{count} {kind}" for kind, count in near.counts)
        enough = _each(hosts, "pci", lambda pools: near.enough(pools or ()))
        return present(
            reason("not_enough_devices", ~enough, f"lack free devices (wanted {told})", remedy=f"{told} free"),
            reason(
                "devices_apart",
                enough,
                f"have free devices (wanted {told}), but not near the guest's NUMA cells (policy {near.policy})",
                remedy="the policy preferred",
                shortfall=0.3,
            ),
        )


def _cells_wanted(ask: Ask) -> NumaWish | None:
    return wish(ask.vcpus, ask.memory_mb, ask.extra_specs, ask.image.properties if ask.image else {})


def _fits(pools: Sequence[PciPool], host: NumaHost | None, near: DeviceWish, wanted: NumaWish | None) -> bool:
    if not near.enough(pools):
        return False
    if wanted is None or near.policy == "preferred":
        return True
    return host is not None and fit_near(host, pools, wanted, near) is not None
