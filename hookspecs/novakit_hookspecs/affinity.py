"""PCI devices near a guest's NUMA cells: what a flavor asks for, and cells chosen so that the devices are near.

The filter and the scheduler's claim both call `fit_near`, so that they agree.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import attrs

from novakit_hookspecs.hosts import PciPool
from novakit_hookspecs.numa import NumaHost, NumaWish, Taken, matched, offers, places_held

POLICIES = ("required", "legacy", "preferred", "socket")
MOST = 64
"""Devices that one guest may ask for of one alias."""
_STEPS = 5000
"""Choices of cells that are looked at before a host counts as unfit."""


@attrs.frozen(kw_only=True)
class DeviceWish:
    """The devices a guest wants, and how near to its cells."""

    counts: tuple[tuple[str, int], ...]
    """Pairs of an alias and how many; each alias once."""
    policy: str = "legacy"
    """required: on the guest's cells; legacy: so, or on a device whose cell is unknown; preferred: as legacy where
    that can be, else anywhere; socket: on a cell of the same socket as one of the guest's cells."""

    def enough(self, pools: Sequence[PciPool]) -> bool:
        """Say whether there are enough, wherever they are."""
        free = _supply(pools)
        return all(sum(count for (kind, _), count in free.items() if kind == one) >= n for one, n in self.counts)


def devices(specs: Mapping[str, str], properties: Mapping[str, str]) -> DeviceWish | None:
    """Read what a flavor wants, or None where it wants none; raise `ValueError` for what cannot be.

    An alias that is named twice counts twice.
    """
    counts: Counter[str] = Counter()
    for part in filter(None, (part.strip() for part in specs.get("pci_passthrough:alias", "").split(","))):
        name, _, text = part.partition(":")
        text = text.strip() or "1"
        if not text.isdecimal() or len(text) > 3 or not int(text):
            raise ValueError(f"{part[:40]!r} does not say how many devices, 1 to {MOST}")
        counts[name.strip()] += int(text)
    if any(count > MOST for count in counts.values()):
        raise ValueError(f"more than {MOST} devices of one alias are asked for")
    if not counts:
        return None
    policy = specs.get("hw:pci_numa_affinity_policy") or properties.get("hw_pci_numa_affinity_policy") or "legacy"
    if policy not in POLICIES:
        raise ValueError(f"pci_numa_affinity_policy is {policy[:40]!r}; it takes {', '.join(POLICIES)}")
    return DeviceWish(counts=tuple(counts.items()), policy=policy)


def fit_near(host: NumaHost, pools: Sequence[PciPool], wanted: NumaWish, near: DeviceWish) -> tuple[Taken, ...] | None:
    """Choose cells as `fit` does, but so that the devices are as near as their policy says; None where none are."""
    if not near.enough(pools):
        return None
    offered = offers(host, wanted)
    if matched(offered) is None:
        return None
    for holder in _Search.of(host, pools, near, offered).holders():
        return matched(offered, holder)
    return matched(offered) if near.policy == "preferred" else None


def _supply(pools: Sequence[PciPool]) -> Counter[tuple[str, int | None]]:
    free: Counter[tuple[str, int | None]] = Counter()
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
        cls, host: NumaHost, pools: Sequence[PciPool], near: DeviceWish, offered: Sequence[Sequence[Taken | None]]
    ) -> "_Search":
        free, kinds = _supply(pools), [kind for kind, _ in near.counts]
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
        """Give matchings of the cells that have enough of the devices, best first."""
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
