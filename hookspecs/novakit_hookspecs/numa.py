"""NUMA: what a host's cells hold, and what guests hold of them.

How what a guest wants fits is worked out by `novakit_fit`, the same for filters, the scheduler's claim and drivers.
"""

from collections.abc import Iterable, Mapping, Sequence

import attrs

from novakit_hookspecs.fields import tuple_field

SMALL_KB = 4
"""The size in KiB of the pages that every host has."""
MAX_CELLS = 64
"""The most cells that one guest may have; more than any machine has."""


def _pairs(value: Mapping[int, int] | Iterable[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    given = value.items() if isinstance(value, Mapping) else value
    return tuple((int(key), int(number)) for key, number in given)


@attrs.frozen(kw_only=True)
class NumaCell:
    """One cell of a host, as its agent reports it."""

    id: int
    """Number of the cell, as the host counts."""
    cpus: tuple[int, ...] = tuple_field()
    """Host CPUs that float: shared by guests that do not pin."""
    dedicated: tuple[int, ...] = tuple_field()
    """Host CPUs that are given to one guest CPU each."""
    siblings: tuple[tuple[int, ...], ...] = tuple_field()
    """Threads of one core, for the cores with dedicated CPUs."""
    memory_mb: int
    """MiB of the cell, huge pages among them."""
    pages: tuple[tuple[int, int], ...] = attrs.field(factory=tuple, converter=_pairs)
    """Pairs of a huge page's size in KiB and how many there are; a mapping is taken, too."""
    distances: tuple[tuple[int, int], ...] = attrs.field(factory=tuple, converter=_pairs)
    """Pairs of a cell and how far it is, 10 for this one, as the firmware says; empty where it does not."""
    socket: int | None = None
    """The socket it is on; None where the host does not know, and then it counts as a socket of its own."""

    @property
    def socket_id(self) -> int:
        """A number that cells of one socket share; negative for a cell that does not know its socket."""
        return self.socket if self.socket is not None else -1 - self.id


@attrs.frozen(kw_only=True)
class Taken:
    """What one guest holds of one host cell."""

    cell: int
    """Number of the host's cell."""
    cpus: tuple[int, ...] = tuple_field()
    """Dedicated CPUs that nobody else may use, siblings kept free included."""
    pins: tuple[tuple[int, int], ...] = attrs.field(factory=tuple, converter=_pairs)
    """Pairs of guest CPU and the host CPU it is pinned to; a mapping is taken, too."""
    vcpus: tuple[int, ...] = tuple_field()
    """All guest CPUs of the guest's cell."""
    memory_mb: int = 0
    """MiB of the guest's cell."""
    page_kb: int = SMALL_KB
    """KiB of the pages that this memory is made of."""
