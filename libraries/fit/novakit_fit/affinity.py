"""Cells and PCI devices for a guest, chosen so that they are near each other.

The idea: devices of one kind on one cell are interchangeable, so a host's supply is a number for each kind and cell.
Which cells must be among the guest's for its devices to be near is searched from the scarcest choice on, cells that
are alike tried once; whether the guest still fits with those cells is a matching (`novakit_fit.numa`).
The invariant: the filters and the scheduler's claim call `choose` alone, so that a host which passed the filters is
refused by the claim only if somebody took of it meanwhile. A choice never names more devices than are free.
The cost: 0.1 ms on a host with two cells, 2.5 ms on one with 32; 4 ms for a decision over 1,000 hosts in 96 different
states. After `_STEPS` choices the search gives up, and no cells near the devices count as found.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

import attrs

from novakit_fit.device_request import DeviceRequest
from novakit_fit.numa import NumaHost, fit, matched, offers, places_held
from novakit_fit.numa_request import NumaRequest
from novakit_hookspecs.fields import mapping_field
from novakit_hookspecs.hosts import PciPool, pci_name
from novakit_hookspecs.numa import Taken

_STEPS = 5000
"""Choices of cells that are looked at before a host counts as unfit."""
Place = tuple[str, int | None]
"""The kind of devices and the NUMA cell they are on, None where the host does not know."""


@attrs.frozen(kw_only=True)
class Choice:
    """What a guest is to be given of a host."""

    cells: tuple[Taken, ...] = ()
    devices: Mapping[Place, int] = mapping_field()
    """How many devices of which kind and cell."""


def choose(
    host: NumaHost | None, pools: Sequence[PciPool], wanted: NumaRequest | None, near: DeviceRequest | None
) -> Choice | None:
    """Choose cells and devices for a guest; None where the host cannot give all of them as they are wanted.

    `wanted` and `near` are None for a guest that does not care; one without cells has its devices anywhere.
    GPUs that must be together come, if that can be, from a cell of the guest's.
    """
    if wanted is not None and host is None:
        return None
    if near is None:
        cells = fit(host, wanted) if host is not None and wanted is not None else ()
        return None if cells is None else Choice(cells=cells)
    if not near.enough(pools):
        return None
    found = None
    for gpus in _set_aside(pools, near):
        choice = _beside(host, pools, wanted, near, gpus)
        if choice is not None and any(cell in _ids(choice.cells) for _, cell in gpus):
            return choice
        found = found or choice
    return found


def _set_aside(pools: Sequence[PciPool], near: DeviceRequest) -> Iterator[Counter[Place]]:
    """Yield each way to have the GPUs together, the cell with the fewest to spare first; one of nothing else."""
    if near.gpus is None or not near.gpus_together:
        yield Counter()
        return
    kind, count = near.gpus
    there = {place: free for place, free in _supply(pools).items() if place[0] == kind and place[1] is not None}
    for place, free in sorted(there.items(), key=lambda item: (item[1], item[0][1])):
        if free >= count:
            yield Counter({place: count})


def _beside(
    host: NumaHost | None,
    pools: Sequence[PciPool],
    wanted: NumaRequest | None,
    near: DeviceRequest,
    gpus: Counter[Place],
) -> Choice | None:
    """Choose cells and the other devices where some GPUs are set aside."""
    left = _supply(pools)
    left.subtract(gpus)
    cells: tuple[Taken, ...] | None = ()
    if host is not None and wanted is not None:
        cells = _fit_near(host, left, wanted, near)
    if cells is None:
        return None
    ranks = _Ranks.of(host if wanted is not None else None, cells, near.policy)
    chosen = Counter(gpus)
    everywhere = attrs.evolve(ranks, anywhere=True)
    requests = [(frozenset({kind}), count, ranks) for kind, count in near.counts]
    if near.gpus is not None and not gpus:
        requests.append((frozenset({near.gpus[0]}), near.gpus[1], everywhere))
    for name, count in near.classes:
        requests.append((frozenset(kind for kind, _ in left if pci_name(kind) == name), count, everywhere))
    if not all(_take(left, chosen, *one) for one in requests):
        return None
    return Choice(cells=cells, devices={place: count for place, count in chosen.items() if count})


def _ids(cells: Sequence[Taken]) -> frozenset[int]:
    return frozenset(one.cell for one in cells)


@attrs.frozen
class _Ranks:
    """How near a cell is to a guest's."""

    own: Collection[int]
    same_socket: Collection[int]
    unknown: bool
    """Whether a device whose cell is unknown will do."""
    anywhere: bool

    @classmethod
    def of(cls, host: NumaHost | None, cells: Sequence[Taken], policy: str) -> "_Ranks":
        if host is None:
            return cls((), (), unknown=True, anywhere=True)
        own, sockets = _ids(cells), set()
        if policy == "socket":
            sockets = {cell.socket_id for cell in host.cells if cell.id in own}
        same = frozenset(cell.id for cell in host.cells if cell.socket_id in sockets)
        return cls(own, same, unknown=policy in ("legacy", "preferred"), anywhere=policy == "preferred")

    def rank(self, cell: int | None) -> int | None:
        """Return 0 for the nearest, None for where no device may be taken from."""
        if cell in self.own:
            return 0
        if cell in self.same_socket or (cell is None and self.unknown):
            return 1
        return 2 if self.anywhere else None


def _take(left: Counter[Place], chosen: Counter[Place], kinds: frozenset[str], count: int, ranks: _Ranks) -> bool:
    """Move devices from `left` to `chosen`, nearest first and from few cells. Returns whether all are there."""
    places = []
    for place, free in left.items():
        rank = ranks.rank(place[1]) if place[0] in kinds and free > 0 else None
        if rank is not None:
            places.append((rank, free < count, free if free >= count else -free, str(place[1]), place[0], place))
    for *_, place in sorted(places):
        some = min(left[place], count)
        left[place] -= some
        chosen[place] += some
        count -= some
    return not count


def _fit_near(
    host: NumaHost, free: Counter[Place], wanted: NumaRequest, near: DeviceRequest
) -> tuple[Taken, ...] | None:
    """Choose cells as `fit` does, but so that the devices of `counts` are as near as their policy says.

    None where no cells are.
    """
    offered = offers(host, wanted)
    if matched(offered) is None:
        return None
    for holder in _Search.of(host, free, near, offered).holders():
        return matched(offered, holder)
    return matched(offered) if near.policy == "preferred" else None


def _supply(pools: Sequence[PciPool]) -> Counter[Place]:
    free: Counter[Place] = Counter()
    for pool in pools:
        free[pool.kind, pool.numa_cell] += max(pool.free, 0)
    return free


@attrs.define
class _Search:
    """Cells that must be among the guest's for its devices to be near.

    What can be matched is closed under augmenting, so cells that can be held at once can be held by a whole guest.
    """

    offered: Sequence[Sequence[Taken | None]]
    group: Sequence[int]
    """By place, the group of cells whose devices are near when one of them is the guest's."""
    supply: Mapping[int, tuple[int, ...]]
    """By group, the free devices of each alias."""
    demand: tuple[int, ...]
    steps: int = 0

    @classmethod
    def of(
        cls, host: NumaHost, free: Counter[Place], near: DeviceRequest, offered: Sequence[Sequence[Taken | None]]
    ) -> "_Search":
        kinds = [kind for kind, _ in near.counts]
        by_socket = near.policy == "socket"
        group = [cell.socket_id if by_socket else place for place, cell in enumerate(host.cells)]
        supply: dict[int, tuple[int, ...]] = {}
        for one, cell in zip(group, host.cells, strict=True):
            before = supply.get(one, (0,) * len(kinds))
            supply[one] = tuple(had + free[kind, cell.id] for had, kind in zip(before, kinds, strict=True))
        anywhere = near.policy in ("legacy", "preferred")
        demand = tuple(count - (free[kind, None] if anywhere else 0) for kind, count in near.counts)
        return cls(offered, group, supply, demand)

    def holders(self) -> Iterator[list[int | None]]:
        """Yield matchings of the cells that have enough of the devices, best first."""
        yield from self._grow([], self.demand, frozenset(range(len(self.group))))

    def _grow(self, chosen: list[int], lacking: tuple[int, ...], open_: frozenset[int]) -> Iterator[list[int | None]]:
        self.steps += 1
        holder = places_held(self.offered, chosen)
        if holder is None or self.steps > _STEPS:
            return
        if all(count <= 0 for count in lacking):
            yield holder
            return
        if not self._possible(len(self.offered) - len(chosen), lacking, open_):
            return
        # One alias after another: every choice that gives enough of all can be made in this order, so none is missed.
        alias = next(number for number, count in enumerate(lacking) if count > 0)
        seen = set()
        for place in sorted(open_, key=lambda place: (-self._of(place)[alias], place)):
            if not self._of(place)[alias]:
                return
            open_ -= {place}
            if (twin := self._kind(place)) not in seen:
                seen.add(twin)
                left = tuple(count - has for count, has in zip(lacking, self._of(place), strict=True))
                rest = frozenset(other for other in open_ if self.group[other] != self.group[place])
                yield from self._grow([*chosen, place], left, rest)

    def _of(self, place: int) -> tuple[int, ...]:
        return self.supply[self.group[place]]

    def _kind(self, place: int) -> tuple[object, ...]:
        """Tell cells apart that are not as good as each other; of a group of one its number says nothing."""
        alone = self.group.count(self.group[place]) == 1
        return (
            tuple(row[place] is not None for row in self.offered),
            self._of(place),
            None if alone else self.group[place],
        )

    def _possible(self, more: int, lacking: tuple[int, ...], open_: frozenset[int]) -> bool:
        groups = [self.supply[one] for one in {self.group[place] for place in open_}]
        return all(
            sum(sorted((group[alias] for group in groups), reverse=True)[:more]) >= count
            for alias, count in enumerate(lacking)
        )
