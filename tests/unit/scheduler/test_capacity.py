"""Capacity against placing one server after another until nobody takes one more."""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from novakit.scheduler.picture import cells
from novakit.scheduler.picture.table import HostStock, HostTable
from novakit.scheduler.pipeline.ask import from_plain
from novakit.scheduler.pipeline.compose import Offered, PipelineOptions, compose
from novakit.scheduler.pipeline.pipeline import Pipeline
from novakit.scheduler.whatif import capacity
from novakit_filters import novakit_filters
from novakit_fit.numa import NumaHost
from novakit_hookspecs.columns import of_class
from novakit_hookspecs.hosts import PciPool
from novakit_hookspecs.numa import NumaCell
from novakit_hookspecs.ranking import SchedulerSpec
from novakit_hookspecs.scheduling import Aggregate, Ask, FilterSpec
from tests.support.examples import examples
from tests.support.patience import PATIENT

NAMES = ("MEMORY_MB", "VCPU", "DISK_GB")
FILTERS = [Offered(spec, "novakit-filters", stock=True) for spec in novakit_filters()]
several = settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow])


@attrs.frozen(kw_only=True)
class Host:
    """What one host has, and what is held of it."""

    total: Mapping[str, int]
    used: Mapping[str, int]
    max_unit: Mapping[str, int]
    enabled: bool = True
    servers: int = 0
    ratio: str | None = None
    """What an aggregate of its own says of memory."""
    gpus: tuple[int, ...] = ()
    """Free ones by cell."""


def build(hosts: Sequence[Host], driver: Offered | None = None, *own: Offered) -> tuple[Pipeline, HostTable]:
    table, sets = HostTable(), []
    for number, host in enumerate(hosts):
        row = table.add(f"host{number}", f"p{number}")
        table.put(row, node=f"n{number}", up=True, enabled=host.enabled, availability_zone="nova", servers=host.servers)
        stock = {
            name: HostStock(
                total=host.total[name],
                capacity=host.total[name] * 2,
                used=host.used[name],
                max_unit=host.max_unit[name],
            )
            for name in NAMES
        }
        if host.gpus:
            free = sum(host.gpus)
            stock["CUSTOM_PCI_GPU"] = HostStock(total=free, capacity=free, max_unit=1)
            stock["PCPU"] = HostStock(total=8, capacity=8, max_unit=8)
            pools = tuple(PciPool(kind="gpu", numa_cell=cell, free=count) for cell, count in enumerate(host.gpus))
            numa = [NumaCell(id=cell, dedicated=range(cell * 4, cell * 4 + 4), memory_mb=4096) for cell in range(2)]
            table.put(row, pci=pools, numa=NumaHost(cells=tuple(numa)))
        table.set_stock(row, stock)
        if host.ratio:
            one = Aggregate(id=number + 1, name=f"set{number}", metadata={"ram_allocation_ratio": host.ratio})
            sets.append((one, [f"host{number}"]))
    table.set_aggregates(sets)
    switched: dict[str, dict[str, Any]] = {"num_instances": {"enabled": True, "max_instances_per_host": 5}}
    switched["pci_passthrough"] = {"enabled": True}
    options = PipelineOptions(filter_options=switched)
    return compose([*FILTERS, *own], [], table, options, None, driver).pipeline, table


async def one_after_another(hosts: Sequence[Host], ask: Ask, row: int, driver: Offered | None = None) -> int:
    """Give one host servers until it takes no more."""
    pipeline, table = build(hosts, driver)
    for count in itertools.count():
        if not (await pipeline.run(table, ask)).alive[row]:
            return count
        table.add_claim(row, ask.resources)
        table.put(row, io_ops=0)
        cells.take(table, row, cells.wanted(ask))
        if ask.group is not None:
            members = {**ask.group.hosts, f"host{row}": ask.group.hosts.get(f"host{row}", 0) + 1}
            ask = attrs.evolve(ask, group=attrs.evolve(ask.group, hosts=members))
    raise AssertionError


amounts = st.fixed_dictionaries({name: st.integers(1, 12) for name in NAMES})
hosts = st.builds(
    Host,
    total=amounts,
    used=st.fixed_dictionaries({name: st.integers(0, 6) for name in NAMES}),
    max_unit=st.fixed_dictionaries({name: st.integers(1, 6) for name in NAMES}),
    enabled=st.sampled_from([True, True, True, False]),
    servers=st.integers(0, 6),
    ratio=st.none() | st.sampled_from(["0.5", "1.0", "1.5"]),
)
wants = st.fixed_dictionaries({name: st.integers(0, 3) for name in NAMES}).filter(lambda each: any(each.values()))
groups = st.none() | st.builds(
    lambda policy, most, at: {"id": "g", "policy": policy, "max_server_per_host": most, "hosts": at},
    st.sampled_from(["anti-affinity", "affinity", "soft-affinity"]),
    st.none() | st.integers(1, 3),
    st.dictionaries(st.sampled_from(["host0", "host1"]), st.integers(1, 2)),
)


@attrs.frozen
class Picky:
    """Takes hosts as long as enough memory is free, and fewer servers the higher their number."""

    spare: int

    def rank(self, hosts: Any, ask: Any) -> Any:
        enough = hosts.column("free_memory_mb") >= self.spare + ask.memory_mb
        few = hosts.column("servers") < np.array([4 - int(name[-1]) for name in hosts.names])
        return np.where(enough & few, 1.0, np.nan)


PICKY = Offered(
    SchedulerSpec(name="picky", api=1, build=lambda _: Picky(3), reads={"free_memory_mb", "servers"}, within=PATIENT),
    "novakit-acme",
)


async def check(some: Sequence[Host], ask: Ask, driver: Offered | None = None) -> None:
    pipeline, table = build(some, driver)
    told = await capacity.capacity(pipeline, table, ask)
    wanted = [await one_after_another(some, ask, row, driver) for row in range(len(some))]
    assert {each.host: each.fits for each in told.hosts} == {
        f"host{row}": count for row, count in enumerate(wanted) if count
    }
    is_bound = ask.group is not None and ask.group.policy == "affinity"
    assert told.fits == (max(wanted) if is_bound else sum(wanted))
    assert sum(told.runs_out_first.values()) == sum(count > 0 for count in wanted)
    for each in told.hosts:
        await ends(build(some, driver), ask, each)
    before = build(some, driver)[1]
    for name in ("used_memory_mb", "free_vcpus", "servers"):
        assert table.column(name).tolist() == before.column(name).tolist(), "it counted in the scheduler's own table"


async def ends(built: tuple[Pipeline, HostTable], ask: Ask, told: Mapping[str, Any]) -> None:
    """See that what is said to run out on a host is what refuses one more."""
    pipeline, table = built
    row, what = table.row(told.host), told.runs_out
    assert row is not None
    for _ in range(told.fits):
        table.add_claim(row, ask.resources)
        cells.take(table, row, cells.wanted(ask))
    if what in ask.resources:
        assert table.column(of_class("free", what))[row] < ask.resources[what]
    elif what == capacity.APART:
        wish = cells.wanted(ask)
        assert wish is not None and wish.choose(table.column("numa")[row], table.column("pci")[row] or ()) is None
    else:
        steps = [*pipeline.filters, *([pipeline.driver] if pipeline.driver else [])]
        assert what in {step.name for step in steps}


@several
@given(st.lists(hosts, min_size=1, max_size=4), wants, groups)
def test_as_many_fit_as_can_be_placed_one_after_another(
    some: list[Host], want: dict[str, int], group: dict[str, Any] | None
) -> None:
    asyncio.run(check(some, from_plain({"server_id": "s", "resources": want, "group": group})))


@several
@given(
    st.lists(st.tuples(hosts, st.tuples(st.integers(0, 3), st.integers(0, 3))), min_size=1, max_size=3),
    st.sampled_from(["required", "preferred", "legacy"]),
    st.integers(1, 2),
    st.integers(1, 3),
)
def test_cells_and_devices_are_counted_as_they_can_be_given(
    some: list[tuple[Host, tuple[int, int]]], policy: str, gpus: int, cpus: int
) -> None:
    room = {"MEMORY_MB": 4096, "VCPU": 64, "DISK_GB": 64}
    machines = [attrs.evolve(host, total=room, max_unit=room, gpus=free, ratio=None) for host, free in some]
    specs = {
        "hw:cpu_policy": "dedicated",
        "pci_passthrough:alias": f"gpu:{gpus}",
        "hw:pci_numa_affinity_policy": policy,
    }
    ask = {"server_id": "s", "vcpus": cpus, "memory_mb": 64, "root_gb": 1, "extra_specs": specs}
    asyncio.run(check(machines, from_plain(ask)))


@several
@given(st.lists(hosts, min_size=1, max_size=4), wants)
def test_with_a_driver_that_many_fit_as_it_would_accept(some: list[Host], want: dict[str, int]) -> None:
    asyncio.run(check(some, from_plain({"server_id": "s", "resources": want}), PICKY))


async def test_it_says_who_counted_and_what_of_it_ended_a_host() -> None:
    room = {"MEMORY_MB": 64, "VCPU": 64, "DISK_GB": 64}
    some = [Host(total=room, used=dict.fromkeys(NAMES, 0), max_unit=room)] * 2
    ask = from_plain({"server_id": "s", "resources": {"MEMORY_MB": 1}})
    told = await capacity.capacity(*build(some, PICKY), ask)
    assert (told.counted_by, told.fits, told.runs_out_first) == ("picky", 4 + 3, {"picky": 2})
    told = await capacity.capacity(*build(some), ask)
    assert (told.counted_by, told.fits, told.runs_out_first) == ("filters", 10, {"num_instances": 2})


class Broken:
    def mask(self, hosts: Any, ask: Any) -> Any:
        raise RuntimeError("out of order")


async def test_a_broken_filter_is_told_and_nothing_fits() -> None:
    spec = FilterSpec(name="acme", api=1, build=lambda _: Broken(), default=True, within=PATIENT)
    room = dict.fromkeys(NAMES, 8)
    pipeline, table = build(
        [Host(total=room, used=dict.fromkeys(NAMES, 0), max_unit=room)], None, Offered(spec, "acme")
    )
    told = await capacity.capacity(pipeline, table, from_plain({"server_id": "s", "resources": {"VCPU": 1}}))
    assert told.fits == 0 and "out of order" in told.failed


servers = st.lists(
    st.fixed_dictionaries({"MEMORY_MB": st.integers(1, 6), "VCPU": st.integers(1, 6)}), min_size=0, max_size=4
)


@several
@given(st.lists(hosts, min_size=1, max_size=4), servers, wants, st.integers(1, 2))
def test_after_a_loss_servers_move_only_where_they_can_and_only_what_is_left_fits(
    some: list[Host], loads: list[dict[str, int]], want: dict[str, int], lost: int
) -> None:
    asyncio.run(_lose(some, loads, from_plain({"server_id": "s", "resources": want}), lost))


async def _lose(some: Sequence[Host], amounts_of: Sequence[Mapping[str, int]], ask: Ask, count: int) -> None:
    pipeline, table = build(some)
    gone = capacity.heaviest(table, count)
    held = [host.used["MEMORY_MB"] for host in some]
    assert sorted((held[row] for row in gone), reverse=True) == sorted(held, reverse=True)[:count]
    loads = [capacity.HostLoad(str(number), amounts) for number, amounts in enumerate(amounts_of)]
    told = await capacity.after_loss(pipeline, table, ask, gone, loads)
    assert (told.moved + told.homeless, told.lost) == (len(loads), tuple(table.names[row] for row in gone))
    placings = list(_packings(some, set(gone), amounts_of))
    most = max(sum(row is not None for row in placing) for placing in placings)
    assert told.moved <= most, "it moved servers where there is no room"
    assert most == 0 or told.moved > 0
    fits = set()
    for placing in placings:
        if sum(row is not None for row in placing) == told.moved:
            fits.add(await _left(some, set(gone), amounts_of, placing, ask))
    assert told.fits in fits, "no way to move that many servers leaves room for that many more"


def _packings(
    some: Sequence[Host], gone: set[int], amounts_of: Sequence[Mapping[str, int]]
) -> "itertools.chain[tuple[int | None, ...]]":
    """Give every way to put the servers on the hosts that stand, or nowhere."""
    standing = [row for row, host in enumerate(some) if host.enabled and row not in gone]
    every = itertools.product([None, *standing], repeat=len(amounts_of))
    return itertools.chain(placing for placing in every if _is_possible(some, amounts_of, placing))


def _is_possible(some: Sequence[Host], amounts_of: Sequence[Mapping[str, int]], placing: Sequence[int | None]) -> bool:
    for row, host in enumerate(some):
        here = [amounts for amounts, at in zip(amounts_of, placing, strict=True) if at == row]
        for name in ("MEMORY_MB", "VCPU"):
            wanted = [amounts[name] for amounts in here]
            if wanted and (sum(wanted) > host.total[name] * 2 - host.used[name] or max(wanted) > host.max_unit[name]):
                return False
    return True


async def _left(
    some: Sequence[Host],
    gone: set[int],
    amounts_of: Sequence[Mapping[str, int]],
    placing: Sequence[int | None],
    ask: Ask,
) -> int:
    after = []
    for row, host in enumerate(some):
        here = [amounts for amounts, at in zip(amounts_of, placing, strict=True) if at == row]
        used = {name: host.used[name] + sum(each.get(name, 0) for each in here) for name in NAMES}
        enabled = host.enabled and row not in gone
        after.append(attrs.evolve(host, used=used, servers=host.servers + len(here), enabled=enabled))
    return sum([await one_after_another(after, ask, row) for row in range(len(after))])
