"""NUMA: what a host's cells hold, what a guest wants of them, and how the two fit.

The fit is part of the contract so that a filter, the scheduler's claim and a driver agree on it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any
from weakref import WeakValueDictionary

import attrs

from novakit_hookspecs.fields import frozen_mapping, tuple_field

SMALL_KB = 4
MAX_CELLS = 64
PCPU = "resources:PCPU"
"""The extra spec that asks for dedicated CPUs by their resource class: all that the guest has."""
HYPERTHREADING = "trait:HW_CPU_HYPERTHREADING"
_THREADS = {"required": "require", "forbidden": "isolate"}
"""What the trait of hyperthreading says of threads, where no policy does."""
_SIZES = {"small": SMALL_KB, "large": -1, "any": -2}
_UNITS = {"": 1, "KB": 1, "KIB": 1, "MB": 1024, "MIB": 1024, "GB": 1024 * 1024, "GIB": 1024 * 1024}


def _pairs(value: Mapping[int, int] | Iterable[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    given = value.items() if isinstance(value, Mapping) else value
    return tuple((int(key), int(number)) for key, number in given)


@attrs.frozen(kw_only=True)
class NumaCell:
    """One cell of a host, as its agent reports it."""

    id: int
    cpus: tuple[int, ...] = tuple_field()
    """Host CPUs that float: shared by guests that do not pin."""
    dedicated: tuple[int, ...] = tuple_field()
    """Host CPUs that are given to one guest CPU each."""
    siblings: tuple[tuple[int, ...], ...] = tuple_field()
    """Threads of one core, for the cores with dedicated CPUs."""
    memory_mb: int
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
    cpus: tuple[int, ...] = tuple_field()
    """Dedicated CPUs that nobody else may use, siblings kept free included."""
    pins: tuple[tuple[int, int], ...] = attrs.field(factory=tuple, converter=_pairs)
    """Pairs of guest CPU and the host CPU it is pinned to; a mapping is taken, too."""
    vcpus: tuple[int, ...] = tuple_field()
    """All guest CPUs of the guest's cell."""
    memory_mb: int = 0
    page_kb: int = SMALL_KB


@attrs.frozen(kw_only=True, cache_hash=True)
class CellRoom:
    """What is free of one cell, in numbers alone."""

    id: int
    socket: int
    """As `NumaCell.socket_id` says."""
    shared: bool
    """Whether it has CPUs that float."""
    cores: tuple[tuple[int, int], ...] = tuple_field()
    """Pairs of how many threads a core has and how many such cores are free altogether."""
    cpus: int = 0
    """Dedicated CPUs that are free, those of broken cores included."""
    memory_mb: int = 0
    """In small pages."""
    pages: tuple[tuple[int, int], ...] = tuple_field()
    """Pairs of a huge page's size in KiB and how many are free."""

    def serves(self, one: "CellWish", wanted: "NumaWish") -> bool:
        """Say whether a guest cell can be had here."""
        return (
            page_of(self.memory_mb, self.pages, one.memory_mb, wanted.page_kb) is not None
            and len(one.pinned) + one.extra_cpus <= self.dedicated(wanted.threads)
            and (self.shared or len(one.pinned) == len(one.vcpus))
        )

    def dedicated(self, threads: str) -> int:
        """Say how many dedicated CPUs a guest with this policy can have."""
        if threads == "isolate":
            return sum(count for _, count in self.cores)
        if threads == "require":
            return sum(size * count for size, count in self.cores if size > 1)
        return self.cpus


@attrs.frozen(kw_only=True, cache_hash=True)
class Room:
    """What is free of a host's cells; hosts with the same room are as good as each other for any guest.

    Equal ones are one object, so that those who compare many hosts need not look into them.
    """

    cells: tuple[CellRoom, ...] = tuple_field()

    def fits(self, wanted: "NumaWish") -> bool:
        """Say whether a guest fits, as `fit` would; it tells no CPUs and takes a tenth of the time."""
        offered = [[cell.serves(one, wanted) or None for cell in self.cells] for one in wanted.cells]
        return bool(self.cells) and holders(offered) is not None


_ROOMS: "WeakValueDictionary[Room, Room]" = WeakValueDictionary()


@attrs.frozen(kw_only=True)
class NumaHost:
    """The cells of a host and what guests hold of them."""

    cells: tuple[NumaCell, ...] = tuple_field()
    taken: tuple[Taken, ...] = tuple_field()

    @cached_property
    def room(self) -> Room:
        """Say what is free, in numbers alone."""
        made = Room(cells=tuple(_Free.of(cell, self.taken).room() for cell in self.cells))
        return _ROOMS.setdefault(made, made)


@attrs.frozen(kw_only=True)
class CellWish:
    """What a guest wants of one cell."""

    vcpus: tuple[int, ...] = tuple_field()
    pinned: frozenset[int] = frozenset()
    """Those of `vcpus` that want a host CPU of their own."""
    memory_mb: int = 0
    extra_cpus: int = 0
    """Dedicated CPUs beside the guest's own, for emulator threads."""


@attrs.frozen(kw_only=True)
class NumaWish:
    """What a guest wants of a host's cells."""

    cells: tuple[CellWish, ...] = tuple_field()
    threads: str = "prefer"
    """prefer, require or isolate."""
    page_kb: int | None = None
    """A size in KiB; -1 any huge page, -2 any at all; None does not care."""


class BadWish(ValueError):
    """Flavor or image ask for a topology that cannot exist."""


def wish(vcpus: int, memory_mb: int, specs: Mapping[str, str], properties: Mapping[str, str]) -> NumaWish | None:
    """Read what flavor and image want, or None where they do not care; raise `BadWish` for nonsense."""

    def said(name: str) -> str:
        return specs.get(f"hw:{name}") or properties.get(f"hw_{name}") or ""

    counted = _counted(specs)
    policy, pages = said("cpu_policy") or ("dedicated" if counted else "shared"), said("mem_page_size")
    if specs.get("hw:mem_page_size") in ("large", "any"):
        # A flavor that leaves the size open leaves it to the image.
        pages = properties.get("hw_mem_page_size") or pages
    count = said("numa_nodes")
    if policy == "shared" and not pages and not count:
        return None
    nodes = _whole(count, "numa_nodes") if count else 1
    if not 1 <= nodes <= min(MAX_CELLS, max(vcpus, 1)):
        raise BadWish(f"numa_nodes is {nodes}; a guest of {vcpus} CPUs takes 1 to {min(MAX_CELLS, vcpus)}")
    threads = said("cpu_thread_policy") or _THREADS.get(specs.get(HYPERTHREADING, ""), "prefer")
    if threads not in ("prefer", "require", "isolate"):
        raise BadWish(f"cpu_thread_policy is {threads}; it takes prefer, require or isolate")
    pinned = _pinned(policy, vcpus, said("cpu_dedicated_mask"))
    shares = _shares(nodes, vcpus, memory_mb, said)
    extra = 1 if said("emulator_threads_policy") == "isolate" and pinned else 0
    if counted and counted != len(pinned) + extra:
        raise BadWish(f"{PCPU} is {counted}, and a guest of {vcpus} CPUs of its own takes {len(pinned) + extra}")
    cells = tuple(
        CellWish(vcpus=cpus, pinned=pinned & set(cpus), memory_mb=memory, extra_cpus=extra if index == 0 else 0)
        for index, (cpus, memory) in enumerate(shares)
    )
    return NumaWish(cells=cells, threads=threads, page_kb=_page(pages) if pages else None)


def _counted(specs: Mapping[str, str]) -> int:
    """Give the CPUs of its own that a flavor asks for by their resource class."""
    text = specs.get(PCPU, "0")
    return _whole(text, PCPU)


def _pinned(policy: str, vcpus: int, mask: str) -> frozenset[int]:
    if policy not in ("shared", "dedicated", "mixed"):
        raise BadWish(f"cpu_policy is {policy}; it takes shared, dedicated or mixed")
    if policy == "shared":
        return frozenset()
    everyone = frozenset(range(vcpus))
    if policy == "dedicated":
        return everyone
    chosen = cpu_set(f"0-{vcpus - 1},{mask}" if mask.strip().startswith("^") else mask)
    if not chosen or not chosen < everyone:
        raise BadWish("cpu_policy mixed needs a cpu_dedicated_mask that names some of the guest's CPUs, not all")
    return chosen


def _shares(nodes: int, vcpus: int, memory_mb: int, said: Any) -> list[tuple[tuple[int, ...], int]]:
    """Give guest CPUs and memory of each guest cell: as written, or evenly."""
    if not said("numa_cpus.0"):
        if vcpus % nodes or memory_mb % nodes:
            raise BadWish(f"{vcpus} CPUs and {memory_mb} MiB do not divide evenly among {nodes} cells")
        each = vcpus // nodes
        return [(tuple(range(node * each, node * each + each)), memory_mb // nodes) for node in range(nodes)]
    shares = [
        (tuple(sorted(numbers(said(f"numa_cpus.{node}")))), _whole(said(f"numa_mem.{node}"), f"numa_mem.{node}"))
        for node in range(nodes)
    ]
    told = [cpu for cpus, _ in shares for cpu in cpus]
    if sorted(told) != list(range(vcpus)) or sum(memory for _, memory in shares) != memory_mb:
        raise BadWish("numa_cpus and numa_mem must give every CPU and all memory of the guest to one cell each")
    return shares


def _whole(text: str, name: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise BadWish(f"{name} is {text[:40]!r}; it takes a number")
    return int(text)


def numbers(text: str) -> frozenset[int]:
    """Read `0-3,8`; raise `BadWish` for anything else, and for numbers above 1023."""
    found: set[int] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", part)
        if not match or int(match[2] or match[1]) > 1023:
            raise BadWish(f"{part[:40]!r} is no range of CPUs")
        found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return frozenset(found)


def cpu_set(text: str) -> frozenset[int]:
    """Read a set of host CPUs as operators write it: `0-7,^3`; raise `BadWish` for anything else."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    included = numbers(",".join(part for part in parts if not part.startswith("^")))
    return included - numbers(",".join(part[1:] for part in parts if part.startswith("^")))


def split_cpus(
    every: Iterable[int], dedicated: frozenset[int] | None, shared: frozenset[int] | None
) -> tuple[frozenset[int], frozenset[int]]:
    """Divide a host's CPUs into dedicated and shared ones by what the operator set (None: nothing).

    Without either all are shared; with dedicated ones alone there are no shared ones, as operators of Nova expect.
    Raises `BadWish` when a CPU is in both sets.
    """
    there = frozenset(every)
    if both := (dedicated or frozenset()) & (shared or frozenset()):
        raise BadWish(f"CPUs {sorted(both)} are in cpu_dedicated_set and in cpu_shared_set; each CPU is in one")
    floating = there if shared is None and dedicated is None else (shared or frozenset()) & there
    return (dedicated or frozenset()) & there, floating


def _page(text: str) -> int:
    if text in _SIZES:
        return _SIZES[text]
    match = re.fullmatch(r"(\d{1,9})\s*([KMG]i?B)?", text, re.IGNORECASE)
    if not match or not int(match[1]):
        raise BadWish(f"mem_page_size is {text[:40]!r}; it takes small, large, any, or a size such as 2MB")
    return int(match[1]) * _UNITS[(match[2] or "").upper()]


def fit(host: NumaHost, wanted: NumaWish) -> tuple[Taken, ...] | None:
    """Choose a host cell for each guest cell, each another one, and CPUs and pages in it; None where it cannot be.

    Cells are matched by augmenting paths, so it takes a fraction of a millisecond however many cells there are.
    """
    return matched(offers(host, wanted))


def offers(host: NumaHost, wanted: NumaWish) -> list[list[Taken | None]]:
    """Say, by guest cell and by place among the host's cells, what the guest cell would get there."""
    free = [_Free.of(cell, host.taken) for cell in host.cells]
    return [[cell.serve(one, wanted) for cell in free] for one in wanted.cells]


def places_held(offered: Sequence[Sequence[Taken | None]], places: Iterable[int]) -> list[int | None] | None:
    """Give, by place, the guest cell it goes to when each of `places` gets one; None where they cannot all have one."""
    holding: dict[int, int] = {}

    def settle(place: int, seen: set[int]) -> bool:
        for guest, row in enumerate(offered):
            if row[place] is None or guest in seen:
                continue
            seen.add(guest)
            if guest not in holding or settle(holding[guest], seen):
                holding[guest] = place
                return True
        return False

    if not all(settle(place, set()) for place in places):
        return None
    holder: list[int | None] = [None] * len(offered[0])
    for guest, place in holding.items():
        holder[place] = guest
    return holder


def matched(
    offered: Sequence[Sequence[Taken | None]], held: Sequence[int | None] | None = None
) -> tuple[Taken, ...] | None:
    """Match guest cells with host cells; the places that are `held` stay in use. None where not all can be matched."""
    holder = holders(offered, held)
    if holder is None:
        return None
    chosen = {guest: offered[guest][place] for place, guest in enumerate(holder) if guest is not None}
    return tuple(taken for _, taken in sorted(chosen.items()) if taken is not None)


def holders(
    offered: Sequence[Sequence[object | None]], held: Sequence[int | None] | None = None
) -> list[int | None] | None:
    """Give, by place, the guest cell that it goes to; None where not every guest cell can have a place."""
    holder: list[int | None] = list(held) if held is not None else [None] * len(offered[0])

    def settle(guest: int, seen: set[int]) -> bool:
        for place, offer in enumerate(offered[guest]):
            if offer is None or place in seen:
                continue
            seen.add(place)
            other = holder[place]
            if other is None or settle(other, seen):
                holder[place] = guest
                return True
        return False

    for guest in range(len(offered)):
        if guest not in holder and not settle(guest, set()):
            return None
    return holder


def page_of(memory_mb: int, pages: Iterable[tuple[int, int]], needed_mb: int, wanted: int | None) -> int | None:
    """Choose the page size for some memory, in KiB; None where there is not enough of it.

    `memory_mb` is what is free in small pages, `pages` are pairs of a size in KiB and how many are free.
    """
    huge = [
        size
        for size, count in sorted(pages, reverse=True)
        if needed_mb * 1024 % size == 0 and count * size >= needed_mb * 1024
    ]
    if wanted == -1:
        return huge[0] if huge else None
    if wanted == -2 and huge:
        return huge[0]
    if wanted is not None and wanted > SMALL_KB:
        return wanted if wanted in huge else None
    return SMALL_KB if memory_mb >= needed_mb else None


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


def shortage(room: Room, wanted: NumaWish) -> Shortage | None:
    """Say why a guest does not fit; None where it does."""
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
    """Say how much memory there is in pages that are wanted, in MiB."""
    huge = {size: size * count // 1024 for size, count in cell.pages}
    if _is_small(wanted):
        return cell.memory_mb
    if wanted is not None and wanted > 0:
        return huge.get(wanted, 0)
    return max((*huge.values(), cell.memory_mb if wanted == -2 else 0), default=0)


def _is_small(page_kb: int | None) -> bool:
    return page_kb is None or page_kb == SMALL_KB


def _noun(wanted: NumaWish) -> str:
    size = wanted.page_kb or 0
    if size < 0:
        return "huge pages in one NUMA cell" if size == -1 else "memory in one NUMA cell"
    told = f"{size // 1024} MiB" if size >= 1024 else f"{size} KiB"
    return f"pages of {told} in one NUMA cell"


@attrs.frozen
class _Free:
    """What is left of one cell."""

    cell: NumaCell
    cpus: frozenset[int]
    memory_mb: int
    pages: Mapping[int, int]

    @classmethod
    def of(cls, cell: NumaCell, taken: Iterable[Taken]) -> "_Free":
        here = [one for one in taken if one.cell == cell.id]
        used = {cpu for one in here for cpu in one.cpus}
        pages = dict(cell.pages)
        small = cell.memory_mb - sum(size * count for size, count in pages.items()) // 1024
        for one in here:
            if one.page_kb in pages:
                pages[one.page_kb] -= one.memory_mb * 1024 // one.page_kb
            else:
                small -= one.memory_mb
        return cls(cell, frozenset(cell.dedicated) - used, small, frozen_mapping(pages))

    def serve(self, one: CellWish, wanted: NumaWish) -> Taken | None:
        page = page_of(self.memory_mb, self.pages.items(), one.memory_mb, wanted.page_kb)
        cpus = self._cpus(len(one.pinned) + one.extra_cpus, wanted.threads)
        floating = len(one.vcpus) - len(one.pinned)
        if page is None or cpus is None or (floating and not self.cell.cpus):
            return None
        own, kept = cpus
        return Taken(
            cell=self.cell.id,
            cpus=(*own, *kept),
            pins=dict(zip(sorted(one.pinned), own, strict=False)),
            vcpus=one.vcpus,
            memory_mb=one.memory_mb,
            page_kb=page,
        )

    def room(self) -> CellRoom:
        """Say in numbers what is left."""
        whole = [len(core) for core in self._cores() if set(core) <= self.cpus]
        return CellRoom(
            id=self.cell.id,
            socket=self.cell.socket_id,
            shared=bool(self.cell.cpus),
            cores=tuple((size, whole.count(size)) for size in sorted(set(whole))),
            cpus=len(self.cpus),
            memory_mb=self.memory_mb,
            pages=tuple(sorted(self.pages.items())),
        )

    def _cores(self) -> list[tuple[int, ...]]:
        return [tuple(sorted(core)) for core in self.cell.siblings] or [(cpu,) for cpu in self.cell.dedicated]

    def _cpus(self, count: int, threads: str) -> tuple[Sequence[int], Sequence[int]] | None:
        """Choose dedicated CPUs, and those that must stay empty beside them."""
        if not count:
            return (), ()
        whole = sorted((core for core in self._cores() if set(core) <= self.cpus), key=lambda core: (-len(core), core))
        if threads == "isolate":
            if len(whole) < count:
                return None
            return [core[0] for core in whole[:count]], [cpu for core in whole[:count] for cpu in core[1:]]
        order = [cpu for core in whole for cpu in core if threads == "prefer" or len(core) > 1]
        if threads == "prefer":
            order += sorted(self.cpus - set(order))
        return (order[:count], ()) if len(order) >= count else None
