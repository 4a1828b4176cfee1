"""PCI devices of the hosts in the table: each is a provider of the ledger, and free where nobody holds its unit."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

import attrs

from novakit.calls.decisions import GivenDevice
from novakit.store.placement.hosts import device_id
from novakit_hookspecs.hosts import PciDevice, PciPool
from novakit_hookspecs.plain import to_record


@attrs.frozen
class Function:
    """One device of a host, and its provider."""

    device: PciDevice
    provider: str
    resource_class: str

    def given(self) -> GivenDevice:
        """Return what is told of it to the server that has it."""
        return GivenDevice(address=self.device.address, kind=self.device.kind)


IsFree = Callable[[Function], bool]


def of_host(plain: Sequence[Mapping[str, object]], root: str) -> tuple[Function, ...]:
    """Read the devices that an agent reported, by address; none where they cannot be understood."""
    try:
        told = {one.address: one for one in (to_record(dict(each), PciDevice) for each in plain)}
    except (TypeError, ValueError):
        return ()
    return tuple(Function(one, device_id(root, address), one.resource_class) for address, one in sorted(told.items()))


def pools_of(functions: Iterable[Function], is_free: IsFree) -> tuple[PciPool, ...]:
    """Count the free ones by kind and NUMA cell."""
    free = Counter((one.device.kind, one.device.numa_cell) for one in functions if is_free(one))
    return _kept(tuple(PciPool(kind=kind, numa_cell=cell, free=count) for (kind, cell), count in free.items()))


@lru_cache(maxsize=4096)
def _kept(pools: tuple[PciPool, ...]) -> tuple[PciPool, ...]:
    """Return the same object for equal pools, so that those who compare many hosts need not look into them."""
    return pools


def some_of(
    functions: Iterable[Function], is_free: IsFree, chosen: Mapping[tuple[str, int | None], int]
) -> tuple[Function, ...]:
    """Return particular devices for what was chosen by kind and NUMA cell: the free ones with the lowest addresses."""
    left = dict(chosen)
    found = []
    for one in functions:
        key = (one.device.kind, one.device.numa_cell)
        if left.get(key) and is_free(one):
            left[key] -= 1
            found.append(one)
    return tuple(found)
