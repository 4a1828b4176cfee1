"""What guests hold of hosts one by one: NUMA cells with CPUs and pages, and the devices near them.

The idea: the ledger counts CPUs and devices, and cannot say which. The table holds, for each host that reported
cells, the cells with what servers hold of them, and how many devices are free by kind and cell. A choice is made with
the code that the filters and the claim use (`novakit_fit`).
The invariant: `take` and `take_back` are exact opposites, so that a claim which is refused leaves no trace. The cells
in the table are a copy to decide with; which CPU a server gets is settled by the claim, in its transaction.
The cost: 0.1 ms to choose cells and devices on a host with two cells of 32 CPUs; 7 µs to ask whether a guest fits.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from novakit.scheduler.picture.table import HostTable
from novakit_fit.affinity import Choice, choose
from novakit_fit.device_request import DeviceRequest, devices
from novakit_fit.numa import NumaHost
from novakit_fit.numa_request import NumaRequest, requested_cells
from novakit_hookspecs.hosts import PciPool
from novakit_hookspecs.numa import NumaCell, Taken
from novakit_hookspecs.plain import to_record
from novakit_hookspecs.scheduling import Ask


@attrs.frozen
class CellsRequest:
    """What a request wants of a host's cells and devices."""

    cells: NumaRequest | None
    devices: DeviceRequest | None

    def choose(self, host: NumaHost | None, pools: Sequence[PciPool]) -> Choice | None:
        """Choose them on a host; None where it cannot give them."""
        return choose(host, pools, self.cells, self.devices)

    def successive(self, host: NumaHost | None, pools: Sequence[PciPool]) -> Iterator[Choice]:
        """Choose for one server after another, each of what the ones before left."""
        while (choice := self.choose(host, pools)) is not None:
            yield choice
            host, pools = _after(host, pools, choice, 1)


def wanted(ask: Ask) -> CellsRequest | None:
    """Return what a request wants of them, None for nothing; what cannot exist was refused by the filters before."""
    properties = ask.image.properties if ask.image else {}
    if not ask.extra_specs and not properties:
        return None
    try:
        one = requested_cells(ask.vcpus, ask.memory_mb, ask.extra_specs, properties)
        near = devices(ask.extra_specs, properties)
    except ValueError:
        return None
    return None if one is None and near is None else CellsRequest(one, near)


def host_of(plain: Sequence[Mapping[str, object]]) -> NumaHost | None:
    """Read the cells that an agent reported; None where it reported none, or nothing that can be understood."""
    try:
        cells = tuple(to_record(dict(cell), NumaCell) for cell in plain)
    except (TypeError, ValueError):
        return None
    return NumaHost(cells=cells) if cells else None


def renewed(before: NumaHost | None, plain: Sequence[Mapping[str, object]]) -> NumaHost | None:
    """Read the cells that an agent reported anew; what servers hold of them is the ledger's and stays."""
    now = host_of(plain)
    return attrs.evolve(now, taken=before.taken) if now is not None and before is not None else now


def with_taken(host: NumaHost, held: Mapping[str, Sequence[Any]]) -> NumaHost:
    """Return the host with what servers hold of it."""
    taken = tuple(to_record(dict(one), Taken) for plan in held.values() for one in plan)
    return NumaHost(cells=host.cells, taken=taken)


def reckoned(host: NumaHost) -> NumaHost:
    """Work out now what is free, which the filters ask of every host at once."""
    _ = host.room
    return host


def take(table: HostTable, row: int, one: CellsRequest | None) -> Choice | None:
    """Count in the table what a server is about to be given, and tell it."""
    choice = one.choose(table.column("numa")[row], table.column("pci")[row] or ()) if one is not None else None
    if choice is not None:
        _count(table, row, choice, 1)
    return choice


def take_back(table: HostTable, row: int, choice: Choice) -> None:
    """Undo `take`, for a server that was not given it after all."""
    _count(table, row, choice, -1)


def _count(table: HostTable, row: int, choice: Choice, sign: int) -> None:
    host, pools = _after(table.column("numa")[row], table.column("pci")[row] or (), choice, sign)
    if choice.cells:
        table.put(row, numa=host)
    if choice.devices:
        table.put(row, pci=pools)


def _after(
    host: NumaHost | None, pools: Sequence[PciPool], choice: Choice, sign: int
) -> tuple[NumaHost | None, tuple[PciPool, ...]]:
    """Return what is left after a choice was taken, or with the sign -1 given back."""
    if choice.cells and host is not None:
        taken = list(host.taken)
        for one in choice.cells:
            if sign > 0:
                taken.append(one)
            elif one in taken:
                taken.remove(one)
        host = NumaHost(cells=host.cells, taken=tuple(taken))
    left = [
        attrs.evolve(pool, free=pool.free - sign * choice.devices.get((pool.kind, pool.numa_cell), 0)) for pool in pools
    ]
    return host, tuple(left) if choice.devices else tuple(pools)
