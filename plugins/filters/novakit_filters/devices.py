"""Hosts with devices to hand to a guest: enough of them, and on the right NUMA cell.

Both filters look at all that a guest wants of devices, by the rule that the scheduler's claim follows.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import attrs
import numpy as np

from novakit_filters.standing import present, reason
from novakit_fit.affinity import choose, is_given_up
from novakit_fit.device_request import BY_CLASS, DeviceRequest, devices
from novakit_fit.numa import NumaHost
from novakit_fit.numa_request import NumaRequest, requested_cells
from novakit_hookspecs.hosts import PciPool
from novakit_hookspecs.scheduling import Ask, HostColumns, Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _wanted(ask: Ask) -> tuple[DeviceRequest | None, NumaRequest | None]:
    """Read the devices and the cells a guest wants. Raises ValueError for what cannot be."""
    properties = ask.image.properties if ask.image else {}
    near = devices(ask.extra_specs, properties)
    cells = requested_cells(ask.vcpus, ask.memory_mb, ask.extra_specs, properties) if near is not None else None
    return near, cells


def _mask(hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
    try:
        near, wanted = _wanted(ask)
    except ValueError:
        return np.zeros(hosts.size, np.bool_)
    if near is None:
        return np.ones(hosts.size, np.bool_)
    return _where(hosts, near, wanted, lambda *asked: choose(*asked) is not None)


_DeviceCheck = Callable[[NumaHost | None, Sequence[PciPool], NumaRequest | None, DeviceRequest], bool]


def _where(
    hosts: HostColumns, near: DeviceRequest, wanted: NumaRequest | None, holds: _DeviceCheck
) -> "NDArray[np.bool_]":
    """Return which hosts have devices, and cells where cells are wanted, of which something holds."""
    mask, like = np.zeros(hosts.size, np.bool_), dict[object, bool]()
    for row, (pools, host) in enumerate(zip(hosts.column("pci"), hosts.column("numa"), strict=True)):
        if not pools or (wanted is not None and host is None):
            continue
        # Hosts with the same devices free, and where cells matter the same room, are as good as each other.
        key = id(pools) if wanted is None else (id(pools), id(host.room))
        if key not in like:
            like[key] = holds(host if wanted is not None else None, pools, wanted, near)
        mask[row] = like[key]
    return mask


def _enough(hosts: HostColumns, near: DeviceRequest) -> "NDArray[np.bool_]":
    return np.fromiter((near.enough(pools or ()) for pools in hosts.column("pci")), np.bool_, hosts.size)


def _impossible(hosts: HostColumns, code: str, error: ValueError) -> Sequence[Reason]:
    text = f"not looked at, because {error}"
    return present(reason(code, np.ones(hosts.size, np.bool_), text, remedy="another flavor"))


def _given_up(some: "NDArray[np.bool_]", told: str) -> Reason:
    text = f"have free devices (wanted {told}), but the search for NUMA cells near them took too long and was given up"
    return reason("search_given_up", some, text, remedy="fewer aliases or NUMA cells in the flavor", shortfall=0.3)


def _most_free(hosts: HostColumns, some: "NDArray[np.bool_]", kind: str, *, one_cell: bool = False) -> int:
    """Return how many free devices of a kind one of some hosts has at most, or has on one NUMA cell."""
    most = 0
    for pools in hosts.column("pci")[some]:
        free = Counter[int | None]()
        for pool in pools or ():
            if pool.kind == kind:
                free[pool.numa_cell] += max(pool.free, 0)
        most = max(most, max(free.values(), default=0) if one_cell else free.total())
    return most


class GpuAffinity:
    """Keep hosts with `gpu:count` free GPUs of `gpu:type`, all on one NUMA cell with `gpu:numa_affinity` true."""

    def applies(self, ask: Ask) -> bool:
        return bool(ask.extra_specs.get("gpu:type")) and ask.extra_specs.get("gpu:count", "0") != "0"

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        return _mask(hosts, ask) if self.applies(ask) else np.ones(hosts.size, np.bool_)

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        try:
            near, cells = _wanted(ask)
        except ValueError as error:
            return _impossible(hosts, "gpu_count", error)
        if near is None or near.gpus is None:
            return ()
        (kind, count), enough = near.gpus, _enough(hosts, near)
        free, together = _most_free(hosts, ~enough, kind), _most_free(hosts, enough, kind, one_cell=True)
        lacking = f"lack free GPUs of type {kind} (wanted {count}, at most {free} free)"
        apart = f"have {count} free GPUs of type {kind}, but at most {together} on one NUMA cell"
        short = reason("not_enough_gpus", ~enough, lacking, remedy=f"{count - free} more free GPUs of type {kind}")
        sought = enough & _where(hosts, near, cells, is_given_up)
        split = reason("gpus_apart", enough & ~sought, apart, remedy="gpu:numa_affinity false", shortfall=0.3)
        return present(
            _given_up(sought, f"{count} {kind}"),
            attrs.evolve(short, wanted=count, available=free),
            attrs.evolve(split, wanted=count, available=together),
        )


class PciPassthrough:
    """Keep hosts with the devices of `pci_passthrough:alias` (`a1:2,b:1`), near as `hw:pci_numa_affinity_policy` says.

    required: on the guest's cells; legacy (the default): so, or on a device whose cell is unknown; socket: on a cell
    of the same socket as one of the guest's; preferred: anywhere.
    A guest that wants no cells may have its devices anywhere, and so may one that asks for them by resource class
    (`resources:CUSTOM_PCI_A1`).
    """

    def applies(self, ask: Ask) -> bool:
        by_class = any(name.startswith(BY_CLASS) for name in ask.extra_specs)
        return by_class or bool(ask.extra_specs.get("pci_passthrough:alias", "").strip(", "))

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        return _mask(hosts, ask) if self.applies(ask) else np.ones(hosts.size, np.bool_)

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        try:
            near, cells = _wanted(ask)
        except ValueError as error:
            return _impossible(hosts, "devices_impossible", error)
        if near is None:
            return ()
        amounts = [*near.amounts().items(), *near.classes]
        told, enough = ", ".join(f"{count} {kind}" for kind, count in amounts), _enough(hosts, near)
        kinds = near.amounts()
        free = {kind: _most_free(hosts, ~enough, kind) for kind in kinds}
        text = f"have free devices (wanted {told}), but not near the guest's NUMA cells (policy {near.policy})"
        short = reason("not_enough_devices", ~enough, f"lack free devices (wanted {told})", remedy=f"{told} free")
        sought = enough & _where(hosts, near, cells, is_given_up)
        apart = reason("devices_apart", enough & ~sought, text, remedy="the policy preferred", shortfall=0.3)
        near_one = {kind: _most_free(hosts, enough, kind, one_cell=True) for kind in kinds}
        return present(
            _given_up(sought, told),
            attrs.evolve(short, wanted=dict(amounts), available=free),
            attrs.evolve(apart, wanted=dict(amounts), available=near_one),
        )
