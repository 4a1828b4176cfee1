"""Tables of hosts for the tests of filters and weighers: made by hand, or at random."""

import functools
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from novakit_hookspecs import columns
from novakit_hookspecs.columns import Kind
from novakit_hookspecs.scheduling import Aggregate
from novakit_hookspecs.trees import ProviderStock, Tree, Units

Array = NDArray[Any]
"""One fact of all hosts: booleans, numbers or codes, as its column says; numpy has no type for either of them."""

_WORDS: dict[str, Sequence[object]] = {
    "availability_zone": ("nova", "zone-a", "zone-b"),
    "hypervisor_type": ("QEMU", "KVM", "simulated"),
    "disabled_reason": ("", "broken fan"),
    "cell": ("cell1", "cell2"),
    "cpu_info": (
        {"arch": "x86_64", "model": "EPYC", "vendor": "AMD", "features": ["avx", "avx2"], "topology": {"cores": 32}},
        {"arch": "aarch64", "model": "Neoverse-N1", "vendor": "ARM", "features": [], "topology": {"cores": 64}},
        {},
    ),
    "machine_types": (["pc", "q35"], ["virt"], []),
    "supported_instances": ([["x86_64", "kvm", "hvm"], ["i686", "kvm", "hvm"]], [["aarch64", "qemu", "hvm"]], []),
}


@attrs.define(eq=False)
class HostRows:
    """A `HostColumns` of plain arrays that notes which facts were read."""

    names: Sequence[str]
    arrays: dict[str, Array]
    """By fact; of categories the codes."""
    vocabularies: dict[str, Sequence[object]] = attrs.field(factory=dict)
    traits: dict[str, NDArray[np.bool_]] = attrs.field(factory=dict)
    aggregates: Sequence[Aggregate] = ()
    members: dict[int, NDArray[np.bool_]] = attrs.field(factory=dict)
    read: set[str] = attrs.field(factory=set)

    @property
    def size(self) -> int:
        return len(self.names)

    def column(self, name: str) -> Array:
        self.read.add(name)
        if name not in self.arrays:
            if columns.find(name) is None:
                raise KeyError(f"{name} is not a host fact; `novakit_hookspecs.columns` lists them")
            self.arrays[name] = _read_only(_default(name, self.size))
        return self.arrays[name]

    def codes(self, name: str) -> NDArray[np.int32]:
        if name not in self.vocabularies:
            self.vocabularies[name] = ("",)
        return self.column(name)

    def vocabulary(self, name: str) -> Sequence[object]:
        self.codes(name)
        return self.vocabularies[name]

    def where(self, name: str, test: Callable[[Any], bool]) -> NDArray[np.bool_]:
        codes = self.codes(name)
        passed = np.array([bool(test(value)) for value in self.vocabularies[name]], np.bool_)
        mask: NDArray[np.bool_] = passed[codes]
        return mask

    def has_trait(self, trait: str) -> NDArray[np.bool_]:
        return self.traits.get(trait, _read_only(np.zeros(self.size, np.bool_)))

    def in_aggregate(self, aggregate: int) -> NDArray[np.bool_]:
        return self.members.get(aggregate, _read_only(np.zeros(self.size, np.bool_)))

    def tagged(self, prefix: str) -> Sequence[Aggregate]:
        return [one for one in self.aggregates if any(key.startswith(prefix) for key in one.metadata)]

    def rows(self, names: Iterable[str]) -> NDArray[np.intp]:
        place = {name: row for row, name in enumerate(self.names)}
        return np.array([place[name] for name in names if name in place], np.intp)

    def some(self, rows: Sequence[int]) -> "HostRows":
        """Return a table of only these rows, in this order."""
        index = np.array(rows, np.intp)
        return HostRows(
            [self.names[row] for row in rows],
            {name: _read_only(array[index]) for name, array in self.arrays.items()},
            dict(self.vocabularies),
            {trait: _read_only(has[index]) for trait, has in self.traits.items()},
            self.aggregates,
            {key: _read_only(member[index]) for key, member in self.members.items()},
        )

    def view(self, row: int, reads: Iterable[str]) -> Any:
        """Return one host as a `HostFilter` sees it: the declared facts and its name, nothing else."""
        facts = [name for name in sorted(reads) if not name.endswith("*")]
        host = _row_class(tuple(facts))()
        host.name = self.names[row]
        for name in facts:
            value = self.column(name)[row] if not _is_category(name) else self.codes(name)[row]
            value = value.item() if isinstance(value, np.generic) else value
            setattr(host, name, self.vocabulary(name)[value] if _is_category(name) else value)
        return host


def host_table(
    names: Sequence[str] | None = None,
    *,
    traits: Mapping[str, Iterable[str]] | None = None,
    aggregates: Iterable[tuple[Aggregate, Iterable[str]]] = (),
    **facts: Sequence[object],
) -> HostRows:
    """Make a table by hand: `host_table(free_memory_mb=[512, 4096], up=[True, False])`.

    Hosts are called host0, host1, ... unless `names` says otherwise; facts left out are 0, False, empty or NaN.
    `traits` gives host names by trait; `aggregates` pairs an aggregate with host names.
    """
    size = len(names) if names is not None else max((len(values) for values in facts.values()), default=0)
    rows = HostRows(list(names) if names is not None else [f"host{row}" for row in range(size)], {})
    for name, values in facts.items():
        if columns.find(name) is None:
            raise KeyError(f"{name} is not a host fact; `novakit_hookspecs.columns` lists them")
        if len(values) != size:
            raise ValueError(f"{name} has {len(values)} values for {size} hosts")
        _put(rows, name, values)
    for trait, having in (traits or {}).items():
        rows.traits[trait] = _mask(rows, having)
    pairs = list(aggregates)
    rows.aggregates = [aggregate for aggregate, _ in pairs]
    rows.members = {aggregate.id: _mask(rows, hosts) for aggregate, hosts in pairs}
    return rows


def random_hosts(size: int, seed: int, *, metrics: Iterable[str] = (), resources: Iterable[str] = ()) -> HostRows:
    """Make a table of `size` hosts with every fact of the catalogue drawn at random; the same seed gives the same."""
    chance = random.Random(seed)
    facts: dict[str, Sequence[Any]] = {}
    for fact in columns.FACTS.values():
        facts[fact.name] = [_draw(chance, fact) for _ in range(size)]
    for name in ("memory_mb", "vcpus", "disk_gb"):
        facts[f"free_{name}"] = [
            capacity - used for capacity, used in zip(facts[f"capacity_{name}"], facts[f"used_{name}"], strict=True)
        ]
    for metric in metrics:
        facts[f"metric_{metric}"] = [chance.choice((float("nan"), 0.0, chance.uniform(0, 500))) for _ in range(size)]
    for resource in resources:
        facts[f"free_resource_{resource}"] = [chance.choice((0, 1, 8)) for _ in range(size)]
    names = [f"host{row}" for row in range(size)]
    aggregates = [
        (
            Aggregate(id=1, name="fast", metadata={"ssd": "true", "max_io_ops_per_host": "3"}),
            chance.sample(names, size // 2),
        ),
        (Aggregate(id=2, name="tenant", metadata={"filter_tenant_id": "project-a"}), chance.sample(names, size // 3)),
        (Aggregate(id=3, name="empty", metadata={"os_distro": "debian"}), []),
    ]
    traits = {trait: chance.sample(names, size // 2) for trait in ("HW_CPU_X86_AVX", "CUSTOM_FAST")}
    return host_table(names, traits=traits, aggregates=aggregates, **facts)


@functools.cache
def many_hosts() -> HostRows:
    """Return 10,000 hosts, always the same, for measuring time."""
    return random_hosts(10_000, 1)


def _draw(chance: random.Random, fact: columns.Fact) -> object:
    if fact.kind is Kind.FLAG:
        return chance.random() < 0.8
    if fact.kind is Kind.CATEGORY:
        return chance.choice(_WORDS.get(fact.name, ("",)))
    if fact.kind is Kind.OBJECT:
        return _OBJECTS[fact.name](chance) if fact.name in _OBJECTS else None
    if fact.name == "hypervisor_version":
        return chance.choice((7002000, 8002001, 10000000))
    if fact.dtype == "int32":
        return chance.randrange(0, 60)
    return float(chance.choice((0, chance.randrange(0, 64), chance.randrange(0, 262144))))


_TREE = Tree(
    providers=(
        ProviderStock(stock=(("VGPU", Units(free=1, max_unit=1)),), traits=frozenset({"CUSTOM_FAST"})),
        ProviderStock(stock=(("VGPU", Units(free=2, max_unit=2)), ("FPGA", Units(free=4, max_unit=4, step_size=2)))),
    )
)
_OBJECTS: dict[str, Callable[[random.Random], object]] = {
    "node": lambda chance: f"node{chance.randrange(1000)}",
    "host_ip": lambda chance: chance.choice((None, f"10.0.{chance.randrange(4)}.{chance.randrange(256)}")),
    "flavors": lambda chance: chance.choice((None, {}, {"m1.small": 2}, {"m1.small": 1, "m1.large": 1})),
    "image_properties": lambda chance: chance.choice((None, {"os_distro=debian": 3})),
    "tree": lambda chance: chance.choice((None, _TREE)),
}


def _put(rows: HostRows, name: str, values: Sequence[object]) -> None:
    fact = columns.find(name)
    assert fact is not None
    if fact.kind is Kind.CATEGORY:
        words: list[object] = []
        for value in values:
            if value not in words:
                words.append(value)
        rows.vocabularies[name] = words or [""]
        rows.arrays[name] = _read_only(np.array([words.index(value) for value in values], np.int32))
    elif fact.kind is Kind.OBJECT:
        array = np.empty(len(values), object)
        for row, value in enumerate(values):
            array[row] = value
        rows.arrays[name] = _read_only(array)
    else:
        rows.arrays[name] = _read_only(np.array(values, fact.dtype))


def _default(name: str, size: int) -> Array:
    fact = columns.find(name)
    assert fact is not None
    if name.startswith("metric_"):
        return np.full(size, np.nan)
    return np.full(size, None, object) if fact.kind is Kind.OBJECT else np.zeros(size, fact.dtype)


def _is_category(name: str) -> bool:
    fact = columns.find(name)
    return fact is not None and fact.kind is Kind.CATEGORY


def _mask(rows: HostRows, names: Iterable[str]) -> NDArray[np.bool_]:
    mask = np.zeros(rows.size, np.bool_)
    mask[rows.rows(names)] = True
    return _read_only(mask)


def _read_only(array: Array) -> Array:
    array.flags.writeable = False
    return array


_row_classes: dict[tuple[str, ...], object] = {}


def _row_class(facts: tuple[str, ...]) -> Any:
    if facts not in _row_classes:
        _row_classes[facts] = type("HostRow", (), {"__slots__": ("name", *facts)})
    return _row_classes[facts]
