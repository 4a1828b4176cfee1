"""Cells and PCI devices for a guest, chosen so that they are near each other.

The idea: devices of one kind on one cell are interchangeable, so a host's supply is a number for each kind and cell.
Which cells the guest must have for its devices to be near is a question for the search that answers Placement, too:
each guest cell is a part of the request and each host cell a provider for one of them, and what the cells must bring
together, so many devices of each alias, is a cover (`novakit_fit.search.cover`).
The invariant: the filters and the scheduler's claim call `choose` alone, so that a host which passed the filters is
refused by the claim only if somebody took of it meanwhile. A choice never names more devices than are free.
The cost: 0.1 ms on a host with two cells, 0.7 ms on one with 32; 6 ms for a decision over 1,000 hosts in 96 different
states. A search that goes on for a second (`novakit_fit.search.first`) is given up, and no cells near the devices
count as found.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache

import attrs

from novakit_fit.device_request import DeviceRequest
from novakit_fit.numa import NumaHost, fit, given
from novakit_fit.numa_request import NumaRequest
from novakit_fit.search.ask import CandidateRequest, Group
from novakit_fit.search.board import Board
from novakit_fit.search.cover import Cover
from novakit_fit.search.first import GaveUp, first, pulse_until_given_up
from novakit_fit.search.position import Position
from novakit_fit.search.provider import Provider
from novakit_fit.search.questions import Pulse
from novakit_fit.search.rules import Rules
from novakit_hookspecs.fields import mapping_field
from novakit_hookspecs.hosts import PciPool, pci_name
from novakit_hookspecs.numa import Taken

DevicePlace = tuple[str, int | None]
"""The kind of devices and the NUMA cell they are on, None where the host does not know."""


@attrs.frozen(kw_only=True)
class Choice:
    """What a guest is to be given of a host."""

    cells: tuple[Taken, ...] = ()
    devices: Mapping[DevicePlace, int] = mapping_field()
    """How many devices of which kind and cell."""


def choose(
    host: NumaHost | None, pools: Sequence[PciPool], wanted: NumaRequest | None, near: DeviceRequest | None
) -> Choice | None:
    """Choose cells and devices for a guest; None where the host cannot give all of them as they are wanted.

    None, too, where the search for them was given up.
    `wanted` and `near` are None for a guest that does not care; one without cells has its devices anywhere.
    GPUs that must be together come, if that can be, from a cell of the guest's.
    """
    try:
        return _chosen(host, pools, wanted, near)
    except GaveUp:
        return None


def is_given_up(
    host: NumaHost | None, pools: Sequence[PciPool], wanted: NumaRequest | None, near: DeviceRequest | None
) -> bool:
    """Return whether nobody knows if there is such a choice, as the search for it takes too long."""
    try:
        _chosen(host, pools, wanted, near)
    except GaveUp:
        return True
    return False


def _chosen(
    host: NumaHost | None, pools: Sequence[PciPool], wanted: NumaRequest | None, near: DeviceRequest | None
) -> Choice | None:
    if wanted is not None and host is None:
        return None
    if near is None:
        cells = fit(host, wanted) if host is not None and wanted is not None else ()
        return None if cells is None else Choice(cells=cells)
    if not near.enough(pools):
        return None
    found, pulse = None, pulse_until_given_up()
    try:
        for gpus in _set_aside(pools, near):
            choice = _beside(host, pools, wanted, near, gpus, pulse)
            if choice is not None and any(cell in _ids(choice.cells) for _, cell in gpus):
                return choice
            found = found or choice
    except GaveUp:
        if found is None:
            raise
    return found


def _set_aside(pools: Sequence[PciPool], near: DeviceRequest) -> Iterator[Counter[DevicePlace]]:
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
    gpus: Counter[DevicePlace],
    pulse: Pulse,
) -> Choice | None:
    """Choose cells and the other devices where some GPUs are set aside."""
    left = _supply(pools)
    left.subtract(gpus)
    cells: tuple[Taken, ...] | None = ()
    if host is not None and wanted is not None:
        cells = _fit_near(host, left, wanted, near, pulse)
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


def _take(
    left: Counter[DevicePlace], chosen: Counter[DevicePlace], kinds: frozenset[str], count: int, ranks: _Ranks
) -> bool:
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
    host: NumaHost, free: Counter[DevicePlace], wanted: NumaRequest, near: DeviceRequest, pulse: Pulse
) -> tuple[Taken, ...] | None:
    """Choose cells as `fit` does, but so that the devices of `counts` are as near as their policy says.

    None where no cells are. Raises GaveUp where nobody knows, unless the devices may be anywhere.
    """
    areas = [cell.socket_id if near.policy == "socket" else place for place, cell in enumerate(host.cells)]
    covers = _covers(host, free, near, areas, len(wanted.cells))
    if not covers:
        return fit(host, wanted)
    masks = host.room.places(wanted)
    if not all(masks):
        return None
    board = Board(_rules(len(masks)), _cells(len(host.cells)), covers)
    try:
        found = first(board, masks, _NearestFirst(masks, covers, areas).ordered, pulse)
    except GaveUp:
        if near.policy != "preferred":
            raise
        found = None
    if found is not None:
        return given(host, wanted, [int(place) for place in found])
    return fit(host, wanted) if near.policy == "preferred" else None


def _supply(pools: Sequence[PciPool]) -> Counter[DevicePlace]:
    free: Counter[DevicePlace] = Counter()
    for pool in pools:
        free[pool.kind, pool.numa_cell] += max(pool.free, 0)
    return free


def _covers(
    host: NumaHost, free: Counter[DevicePlace], near: DeviceRequest, areas: Sequence[int], guests: int
) -> list[Cover]:
    """Return what the guest's cells must bring together: for each alias, as many devices as have to be near them."""
    anywhere = near.policy in ("legacy", "preferred")
    covers = []
    for kind, count in near.counts:
        least = count - (free[kind, None] if anywhere else 0)
        if least > 0:
            there = Counter[int]()
            for one, cell in zip(areas, host.cells, strict=True):
                there[one] += free[kind, cell.id]
            gains = {place: (one, there[one]) for place, one in enumerate(areas) if there[one]}
            covers.append(Cover(frozenset(range(guests)), least, gains))
    return covers


@lru_cache(maxsize=256)
def _rules(guests: int) -> Rules:
    """Return the rules for some guest cells: each takes a host cell of its own."""
    return Rules(CandidateRequest(groups=[Group(suffix=f"{number}") for number in range(guests)], isolate=True))


@lru_cache(maxsize=256)
def _cells(count: int) -> Sequence[Provider]:
    """Return a host's cells as providers, named by their place; what they have is in the masks and the covers."""
    return [Provider(f"{place}", "", None, {}, frozenset(), frozenset()) for place in range(count)]


@attrs.frozen
class _NearestFirst:
    """The cells that bring most of what is lacking come first, then by their place; of those that are alike, one."""

    masks: Sequence[int]
    covers: Sequence[Cover]
    areas: Sequence[int]
    """By place, which cells devices are near to together; a cell that is alone there has one of its own."""

    def ordered(self, node: Position, number: int, places: Sequence[int]) -> Iterator[int]:
        """Yield the places that are worth trying, the best first."""
        lacking = next((one for one in self.covers if one.lacking(node) > 0), None)
        if lacking is not None:
            places = sorted(places, key=lambda place: -lacking.gain(node, place))
        seen = set()
        for place in places:
            if (alike := self._kind(place)) not in seen:
                seen.add(alike)
                yield place

    def _kind(self, place: int) -> object:
        """Return what of a cell matters: those of which this is the same are as good as each other."""
        amounts = tuple(one.gains.get(place, (0, 0))[1] for one in self.covers)
        alone = self.areas.count(self.areas[place]) == 1
        return tuple(mask >> place & 1 for mask in self.masks), amounts, None if alone else self.areas[place]
