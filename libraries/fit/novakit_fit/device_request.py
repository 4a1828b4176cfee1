"""What a flavor asks for of a host's PCI devices: which, how many, and how near to the guest's NUMA cells."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import attrs

from novakit_fit.trees import plain
from novakit_hookspecs.hosts import PCI_CLASS, PciPool, pci_name
from novakit_hookspecs.scheduling import Ask

POLICIES = ("required", "legacy", "preferred", "socket")
MOST = 64
"""Devices that one guest may ask for of one alias."""
BY_CLASS = f"resources:{PCI_CLASS}"
"""How the extra specs begin that ask for devices by their resource class."""


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
