"""What a host's NUMA cells run short of where a guest does not fit."""

import attrs

from novakit_fit.numa import CellRoom, FreeCells, page_of
from novakit_fit.numa_request import NumaRequest
from novakit_hookspecs.numa import SMALL_KB


@attrs.frozen(kw_only=True)
class Shortage:
    """What a host's cells run short of first."""

    kind: str
    """cells, pages, cpus, shared_cpus, memory, or together where each of these is there, but not on the same cells."""
    noun: str
    wanted: int
    available: int
    """The most that one cell has; of cells, how many there are."""
    unit: str = ""


def shortage(room: FreeCells, wanted: NumaRequest) -> Shortage | None:
    """Return why a guest does not fit; None where it does."""
    if room.fits(wanted):
        return None
    if len(wanted.cells) > len(room.cells):
        return Shortage(kind="cells", noun="NUMA cells", wanted=len(wanted.cells), available=len(room.cells))
    largest = max(one.memory_mb for one in wanted.cells)
    cpus = max(len(one.pinned) + one.extra_cpus for one in wanted.cells)
    floating = max(len(one.vcpus) - len(one.pinned) for one in wanted.cells)
    memory = max(_memory(cell, wanted.page_kb) for cell in room.cells)
    dedicated = max(cell.dedicated(wanted.threads) for cell in room.cells)
    if not any(page_of(cell.memory_mb, cell.pages, largest, wanted.page_kb) for cell in room.cells):
        kind, noun = ("memory", "memory in one NUMA cell") if _is_small(wanted.page_kb) else ("pages", _noun(wanted))
        return Shortage(kind=kind, noun=noun, wanted=largest, available=max(memory, 0), unit=" MiB")
    if dedicated < cpus:
        what = {"isolate": "free cores", "require": "free CPUs of cores with threads"}.get(wanted.threads)
        noun = f"{what or 'dedicated CPUs'} in one NUMA cell"
        return Shortage(kind="cpus", noun=noun, wanted=cpus, available=dedicated)
    if floating and not any(cell.shared for cell in room.cells):
        return Shortage(kind="shared_cpus", noun="shared CPUs", wanted=floating, available=0)
    return Shortage(kind="together", noun="", wanted=len(wanted.cells), available=0)


def _memory(cell: CellRoom, wanted: int | None) -> int:
    """Return how much memory there is in pages that are wanted, in MiB."""
    huge = {size: size * count // 1024 for size, count in cell.pages}
    if _is_small(wanted):
        return cell.memory_mb
    if wanted is not None and wanted > 0:
        return huge.get(wanted, 0)
    return max((*huge.values(), cell.memory_mb if wanted == -2 else 0), default=0)


def _is_small(page_kb: int | None) -> bool:
    return page_kb is None or page_kb == SMALL_KB


def _noun(wanted: NumaRequest) -> str:
    size = wanted.page_kb or 0
    if size < 0:
        return "huge pages in one NUMA cell" if size == -1 else "memory in one NUMA cell"
    told = f"{size // 1024} MiB" if size >= 1024 else f"{size} KiB"
    return f"pages of {told} in one NUMA cell"
