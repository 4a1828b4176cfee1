"""What a guest wants of NUMA cells: read from flavor and image, and sets of CPUs as people write them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from novakit_hookspecs.fields import tuple_field
from novakit_hookspecs.numa import MAX_CELLS, SMALL_KB

PCPU = "resources:PCPU"
"""The extra spec that asks for dedicated CPUs by their resource class: all that the guest has."""
HYPERTHREADING = "trait:HW_CPU_HYPERTHREADING"
_THREADS = {"required": "require", "forbidden": "isolate"}
"""What the trait of hyperthreading says of threads, where no policy does."""
_SIZES = {"small": SMALL_KB, "large": -1, "any": -2}
_UNITS = {"": 1, "KB": 1, "KIB": 1, "MB": 1024, "MIB": 1024, "GB": 1024 * 1024, "GIB": 1024 * 1024}


@attrs.frozen(kw_only=True)
class CellRequest:
    """What a guest wants of one cell."""

    vcpus: tuple[int, ...] = tuple_field()
    pinned: frozenset[int] = frozenset()
    """Those of `vcpus` that want a host CPU of their own."""
    memory_mb: int = 0
    extra_cpus: int = 0
    """Dedicated CPUs beside the guest's own, for emulator threads."""


@attrs.frozen(kw_only=True)
class NumaRequest:
    """What a guest wants of a host's cells."""

    cells: tuple[CellRequest, ...] = tuple_field()
    threads: str = "prefer"
    """prefer, require or isolate."""
    page_kb: int | None = None
    """A size in KiB; -1 any huge page, -2 any at all; None does not care."""


class BadTopology(ValueError):
    """Flavor or image ask for a topology that cannot exist."""


def requested_cells(
    vcpus: int, memory_mb: int, specs: Mapping[str, str], properties: Mapping[str, str]
) -> NumaRequest | None:
    """Read what flavor and image want, or None where they do not care. Raises BadTopology for nonsense."""

    def said(name: str) -> str:
        return specs.get(f"hw:{name}") or properties.get(f"hw_{name}") or ""

    counted = _counted(specs)
    policy = specs.get("hw:cpu_policy") or ("dedicated" if counted else said("cpu_policy") or "shared")
    pages = said("mem_page_size")
    if specs.get("hw:mem_page_size") in ("large", "any"):
        # A flavor that leaves the size open leaves it to the image.
        pages = properties.get("hw_mem_page_size") or pages
    count = said("numa_nodes")
    if policy == "shared" and not pages and not count:
        return None
    nodes = _whole(count, "numa_nodes") if count else 1
    if not 1 <= nodes <= min(MAX_CELLS, max(vcpus, 1)):
        raise BadTopology(f"numa_nodes is {nodes}; a guest of {vcpus} CPUs takes 1 to {min(MAX_CELLS, vcpus)}")
    threads = said("cpu_thread_policy") or _THREADS.get(specs.get(HYPERTHREADING, ""), "prefer")
    if threads not in ("prefer", "require", "isolate"):
        raise BadTopology(f"cpu_thread_policy is {threads}; it takes prefer, require or isolate")
    pinned = _pinned(policy, vcpus, said("cpu_dedicated_mask"))
    shares = _shares(nodes, vcpus, memory_mb, said)
    extra = 1 if said("emulator_threads_policy") == "isolate" and pinned else 0
    if counted and counted != len(pinned) + extra:
        raise BadTopology(f"{PCPU} is {counted}, and a guest of {vcpus} CPUs of its own takes {len(pinned) + extra}")
    cells = tuple(
        CellRequest(vcpus=cpus, pinned=pinned & set(cpus), memory_mb=memory, extra_cpus=extra if index == 0 else 0)
        for index, (cpus, memory) in enumerate(shares)
    )
    return NumaRequest(cells=cells, threads=threads, page_kb=_page(pages) if pages else None)


def _counted(specs: Mapping[str, str]) -> int:
    """Return the CPUs of its own that a flavor asks for by their resource class."""
    text = specs.get(PCPU, "0")
    return _whole(text, PCPU)


def _pinned(policy: str, vcpus: int, mask: str) -> frozenset[int]:
    if policy not in ("shared", "dedicated", "mixed"):
        raise BadTopology(f"cpu_policy is {policy}; it takes shared, dedicated or mixed")
    if policy == "shared":
        return frozenset()
    everyone = frozenset(range(vcpus))
    if policy == "dedicated":
        return everyone
    chosen = cpu_set(f"0-{vcpus - 1},{mask}" if mask.strip().startswith("^") else mask)
    if not chosen or not chosen < everyone:
        raise BadTopology("cpu_policy mixed needs a cpu_dedicated_mask that names some of the guest's CPUs, not all")
    return chosen


def _shares(nodes: int, vcpus: int, memory_mb: int, said: Any) -> list[tuple[tuple[int, ...], int]]:
    """Return guest CPUs and memory of each guest cell: as written, or evenly."""
    if not said("numa_cpus.0"):
        if vcpus % nodes or memory_mb % nodes:
            raise BadTopology(f"{vcpus} CPUs and {memory_mb} MiB do not divide evenly among {nodes} cells")
        each = vcpus // nodes
        return [(tuple(range(node * each, node * each + each)), memory_mb // nodes) for node in range(nodes)]
    shares = [
        (tuple(sorted(numbers(said(f"numa_cpus.{node}")))), _whole(said(f"numa_mem.{node}"), f"numa_mem.{node}"))
        for node in range(nodes)
    ]
    told = [cpu for cpus, _ in shares for cpu in cpus]
    if sorted(told) != list(range(vcpus)) or sum(memory for _, memory in shares) != memory_mb:
        raise BadTopology("numa_cpus and numa_mem must give every CPU and all memory of the guest to one cell each")
    return shares


def _whole(text: str, name: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise BadTopology(f"{name} is {text[:40]!r}; it takes a number")
    return int(text)


def numbers(text: str) -> frozenset[int]:
    """Read `0-3,8`. Raises BadTopology for anything else, for numbers above 1023, and for a range that goes down."""
    found: set[int] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", part)
        if not match or not int(match[1]) <= int(match[2] or match[1]) <= 1023:
            raise BadTopology(f"{part[:40]!r} is not a range of CPUs")
        found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return frozenset(found)


def cpu_set(text: str) -> frozenset[int]:
    """Read a set of host CPUs as operators write it: `0-7,^3`. Raises BadTopology for anything else."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    included = numbers(",".join(part for part in parts if not part.startswith("^")))
    return included - numbers(",".join(part[1:] for part in parts if part.startswith("^")))


def split_cpus(
    every: Iterable[int], dedicated: frozenset[int] | None, shared: frozenset[int] | None
) -> tuple[frozenset[int], frozenset[int]]:
    """Divide a host's CPUs into dedicated and shared ones by what the operator set (None: nothing).

    Without either all are shared; with dedicated ones alone there are no shared ones, as operators of Nova expect.
    Raises BadTopology when a CPU is in both sets.
    """
    there = frozenset(every)
    if both := (dedicated or frozenset()) & (shared or frozenset()):
        raise BadTopology(f"CPUs {sorted(both)} are in cpu_dedicated_set and in cpu_shared_set; each CPU is in one")
    floating = there if shared is None and dedicated is None else (shared or frozenset()) & there
    return (dedicated or frozenset()) & there, floating


def _page(text: str) -> int:
    if text in _SIZES:
        return _SIZES[text]
    match = re.fullmatch(r"(\d{1,9})\s*([KMG]i?B)?", text, re.IGNORECASE)
    if not match or not int(match[1]):
        raise BadTopology(f"mem_page_size is {text[:40]!r}; it takes small, large, any, or a size such as 2MB")
    return int(match[1]) * _UNITS[(match[2] or "").upper()]
