"""PCI devices for a guest: what a flavor asks for, and cells and devices chosen so that they are near each other.

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

from novakit_fit.numa import NumaHost, fit, matched, offers, places_held
from novakit_fit.numa_request import NumaRequest
from novakit_fit.trees import plain
from novakit_hookspecs.fields import mapping_field
from novakit_hookspecs.hosts import PCI_CLASS, PciPool, pci_name
from novakit_hookspecs.numa import Taken
from novakit_hookspecs.scheduling import Ask

POLICIES = ("required", "legacy", "preferred", "socket")
MOST = 64
"""Devices that one guest may ask for of one alias."""
_STEPS = 5000
"""Choices of cells that are looked at before a host counts as unfit."""
BY_CLASS = f"resources:{PCI_CLASS}"
"""How the extra specs begin that ask for devices by their resource class."""
Place = tuple[str, int | None]
"""The kind of devices and the NUMA cell they are on, None where the host does not know."""


@attrs.frozen(kw_only=True)
class DeviceRequest:
    """The devices a guest wants, and how near to its cells."""

    counts: tuple[tuple[str, int], ...] = ()
    """Pairs of an alias and how many; each alias once."""
    policy: str = "legacy"
    """required: on the guest's cells; legacy: so, or on a device whose cell is unknown; preferred: as legacy where
    that can be, else anywhere; socket: on a cell of the same socket as one of the guest's cells."""
    gpus: tuple[str, int] | None = None
    """A kind and how many of it are wanted as GPUs, beside the aliases."""
    gpus_together: bool = False
    """Whether the GPUs must be on one cell, whichever it is."""
    classes: tuple[tuple[str, int], ...] = ()
    """Pairs of a resource class and how many devices of it are wanted beside all these, wherever they are."""

    def amounts(self) -> Counter[str]:
        """Return how many devices of each kind are wanted, without those that are wanted by class."""
        wanted = Counter(dict(self.counts))
        if self.gpus is not None:
            wanted[self.gpus[0]] += self.gpus[1]
        return wanted

    def resources(self) -> Counter[str]:
        """Return how many are wanted in all, by resource class, as the ledger counts them."""
        wanted = Counter(dict(self.classes))
        for kind, count in self.amounts().items():
            wanted[pci_name(kind)] += count
        return wanted

    def enough(self, pools: Sequence[PciPool]) -> bool:
        """Return whether there are enough, wherever they are."""
        free: Counter[str] = Counter()
        for pool in pools:
            free[pool.kind] += max(pool.free, 0)
        if not all(free[kind] >= count for kind, count in self.amounts().items()):
            return False
        wanted = self.resources() if self.classes else {}
        there = {name: sum(n for kind, n in free.items() if pci_name(kind) == name) for name in wanted}
        return all(there[name] >= count for name, count in wanted.items())


@attrs.frozen(kw_only=True)
class Choice:
    """What a guest is to be given of a host."""

    cells: tuple[Taken, ...] = ()
    devices: Mapping[Place, int] = mapping_field()
    """How many devices of which kind and cell."""


def devices(specs: Mapping[str, str], properties: Mapping[str, str]) -> DeviceRequest | None:
    """Read what a flavor wants, or None where it wants none. Raises ValueError for what cannot be.

    An alias that is named twice counts twice.
    """
    if not specs:
        return None
    counts, gpus = _aliases(specs.get("pci_passthrough:alias", "")), _gpus(specs)
    classes = tuple(_classes(specs))
    if not counts and gpus is None and not classes:
        return None
    policy = specs.get("hw:pci_numa_affinity_policy") or properties.get("hw_pci_numa_affinity_policy") or "legacy"
    if policy not in POLICIES:
        raise ValueError(f"pci_numa_affinity_policy is {policy[:40]!r}; it takes {', '.join(POLICIES)}")
    together = specs.get("gpu:numa_affinity", "false").lower() == "true"
    return DeviceRequest(
        counts=tuple(counts.items()), policy=policy, gpus=gpus, gpus_together=together, classes=classes
    )


def beside_devices(ask: Ask, *, with_groups: bool = False) -> dict[str, int]:
    """Return the amounts of a request that are no devices, which are chosen one by one, and belong to no group.

    With `with_groups` the amounts of its groups are among them.
    Devices that cannot be count as none: the filters say what is wrong with them.
    """
    if not ask.extra_specs and not ask.groups:
        return dict(ask.resources)
    try:
        near = devices(ask.extra_specs, ask.image.properties if ask.image else {})
    except ValueError:
        near = None
    return plain(ask.resources, () if with_groups else ask.groups, near.resources() if near else {})


def _aliases(told: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for part in filter(None, (part.strip() for part in told.split(","))):
        name, _, text = part.partition(":")
        text = text.strip() or "1"
        if not text.isdecimal() or len(text) > 3 or not int(text):
            raise ValueError(f"{part[:40]!r} does not say how many devices, 1 to {MOST}")
        counts[name.strip()] += int(text)
    if any(count > MOST for count in counts.values()):
        raise ValueError(f"more than {MOST} devices of one alias are asked for")
    return counts


def _gpus(specs: Mapping[str, str]) -> tuple[str, int] | None:
    kind, text = specs.get("gpu:type", ""), specs.get("gpu:count", "0")
    if not kind or text == "0":
        return None
    if not text.isdecimal() or len(text) > 3 or not 0 < int(text) <= MOST:
        raise ValueError(f"gpu:count is {text[:40]!r}; it takes a number from 1 to {MOST}")
    return kind, int(text)


def _classes(specs: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    for name, text in specs.items():
        if name.startswith(BY_CLASS) and text != "0":
            if not text.isdecimal() or len(text) > 3 or not 0 < int(text) <= MOST:
                raise ValueError(f"{name[:60]} is {text[:40]!r}; it takes a number from 0 to {MOST}")
            yield name.removeprefix("resources:"), int(text)


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
