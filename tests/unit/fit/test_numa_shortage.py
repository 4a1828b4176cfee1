"""What a host's cells run short of, in the words that an operator reads."""

import pytest

from novakit_fit.numa import CellRoom, FreeCells
from novakit_fit.numa_request import CellRequest, NumaRequest
from novakit_fit.numa_shortage import Shortage, shortage


def room(*cells: CellRoom) -> FreeCells:
    return FreeCells(cells=cells)


def cell(number: int = 0, **free: object) -> CellRoom:
    values = {"id": number, "socket": 0, "shared": True, "cores": ((2, 2),), "cpus": 4, "memory_mb": 4096}
    return CellRoom(**(values | free))  # type: ignore[arg-type]


def wish(*cells: CellRequest, **more: object) -> NumaRequest:
    return NumaRequest(cells=cells, **more)  # type: ignore[arg-type]


def floating(memory_mb: int = 512, count: int = 1) -> CellRequest:
    return CellRequest(vcpus=tuple(range(count)), memory_mb=memory_mb)


def pinned(count: int, memory_mb: int = 512, extra: int = 0) -> CellRequest:
    cpus = tuple(range(count))
    return CellRequest(vcpus=cpus, pinned=frozenset(cpus), memory_mb=memory_mb, extra_cpus=extra)


def test_what_fits_lacks_nothing() -> None:
    assert shortage(room(cell()), wish(floating())) is None
    assert shortage(room(cell()), wish(pinned(4))) is None


def test_cells_are_counted_first() -> None:
    found = shortage(room(cell()), wish(floating(), floating()))
    assert found == Shortage(kind="cells", noun="NUMA cells", wanted=2, available=1)


@pytest.mark.parametrize(
    ("page_kb", "kind", "noun", "available"),
    [
        (None, "memory", "memory in one NUMA cell", 4096),
        (4, "memory", "memory in one NUMA cell", 4096),
        (2048, "pages", "pages of 2 MiB in one NUMA cell", 64),
        (1024, "pages", "pages of 1 MiB in one NUMA cell", 0),
        (512, "pages", "pages of 512 KiB in one NUMA cell", 0),
        (1048576, "pages", "pages of 1024 MiB in one NUMA cell", 2048),
        (-1, "pages", "huge pages in one NUMA cell", 2048),
        (-2, "pages", "memory in one NUMA cell", 4096),
    ],
)
def test_memory_is_that_of_the_pages_that_are_wanted(page_kb: int | None, kind: str, noun: str, available: int) -> None:
    cells = room(cell(pages=((2048, 32), (1048576, 2))), cell(1, memory_mb=1024))
    found = shortage(cells, wish(floating(8192), page_kb=page_kb))
    assert found == Shortage(kind=kind, noun=noun, wanted=8192, available=available, unit=" MiB")


def test_memory_that_is_given_away_twice_is_none() -> None:
    found = shortage(room(cell(memory_mb=-100)), wish(floating(1)))
    assert found is not None and found.available == 0


@pytest.mark.parametrize(
    ("threads", "noun", "available"),
    [
        ("prefer", "dedicated CPUs in one NUMA cell", 5),
        ("require", "free CPUs of cores with threads in one NUMA cell", 4),
        ("isolate", "free cores in one NUMA cell", 3),
    ],
)
def test_cpus_are_counted_as_the_policy_gives_them(threads: str, noun: str, available: int) -> None:
    cells = room(cell(cores=((1, 1), (2, 2)), cpus=5), cell(1, cores=(), cpus=0))
    found = shortage(cells, wish(pinned(5, extra=1), threads=threads))
    assert found == Shortage(kind="cpus", noun=noun, wanted=6, available=available)


def test_cpus_that_float_need_some_that_are_shared() -> None:
    found = shortage(room(cell(shared=False)), wish(floating(count=3)))
    assert found == Shortage(kind="shared_cpus", noun="shared CPUs", wanted=3, available=0)


def test_what_is_there_but_not_together_is_said_to_be_so() -> None:
    apart = room(cell(0, memory_mb=128), cell(1, cpus=1, cores=((1, 1),)))
    found = shortage(apart, wish(pinned(2, memory_mb=512)))
    assert found == Shortage(kind="together", noun="", wanted=1, available=0)
