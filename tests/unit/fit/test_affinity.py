"""Cells chosen near devices, against every choice there is."""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from novakit_fit.affinity import choose, is_given_up
from novakit_fit.device_request import POLICIES, DeviceRequest
from novakit_fit.numa import NumaHost, fit
from novakit_fit.numa_request import CellRequest, NumaRequest
from novakit_hookspecs.hosts import PciPool
from novakit_hookspecs.numa import NumaCell
from tests.support.examples import examples


def choices(host: NumaHost, wanted: NumaRequest) -> Iterator[Sequence[NumaCell]]:
    """Give every way to put the guest's cells on the host's, looking at memory alone."""
    for cells in itertools.permutations(host.cells, len(wanted.cells)):
        if all(cell.memory_mb >= one.memory_mb for cell, one in zip(cells, wanted.cells, strict=True)):
            yield cells


def is_near(host: NumaHost, chosen: set[int], pools: Sequence[PciPool], near: DeviceRequest) -> bool:
    cells = {cell.id: cell for cell in host.cells}

    def good(pool: PciPool) -> bool:
        if pool.numa_cell is None:
            return near.policy in ("legacy", "preferred")
        if near.policy != "socket":
            return pool.numa_cell in chosen
        socket = cells[pool.numa_cell].socket
        return pool.numa_cell in chosen or (socket is not None and socket in {cells[one].socket for one in chosen})

    return all(
        sum(pool.free for pool in pools if pool.kind == kind and good(pool)) >= count for kind, count in near.counts
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[NumaHost, list[PciPool], NumaRequest | None, DeviceRequest]:
    size = draw(st.integers(1, 5))
    sockets, amounts = st.sampled_from([None, 0, 1, 2]), st.integers(1, 3)
    host = NumaHost(
        cells=[
            NumaCell(id=number, cpus=(number,), memory_mb=draw(amounts), socket=draw(sockets)) for number in range(size)
        ]
    )
    where = st.sampled_from([None, *range(size)])
    pool = st.builds(PciPool, kind=st.sampled_from("ab"), numa_cell=where, free=st.integers(0, 2))
    pools = draw(st.lists(pool, max_size=8))
    guest_cells = [CellRequest(vcpus=(n,), memory_mb=draw(amounts)) for n in range(draw(st.integers(0, 3)))]
    near = DeviceRequest(
        counts=tuple(draw(st.dictionaries(st.sampled_from("ab"), st.integers(1, 4))).items()),
        policy=draw(st.sampled_from(POLICIES)),
        gpus=draw(st.none() | st.tuples(st.sampled_from("ab"), st.integers(1, 3))),
        gpus_together=draw(st.booleans()),
        classes=tuple(
            draw(st.dictionaries(st.sampled_from(["CUSTOM_PCI_A", "CUSTOM_PCI_B"]), st.integers(1, 3))).items()
        ),
    )
    return host, pools, NumaRequest(cells=guest_cells) if guest_cells else None, near


def gpu_cells(pools: Sequence[PciPool], near: DeviceRequest) -> Iterator[list[PciPool]]:
    """Give what is left of the devices for each cell that the GPUs may be taken from together."""
    if near.gpus is None or not near.gpus_together:
        yield list(pools)
        return
    kind, count = near.gpus
    free = Counter[tuple[str, int | None]]()
    for pool in pools:
        free[pool.kind, pool.numa_cell] += pool.free
    for one in {pool.numa_cell for pool in pools if pool.numa_cell is not None}:
        if free[kind, one] >= count:
            left = free - Counter({(kind, one): count})
            yield [PciPool(kind=kind, numa_cell=cell, free=number) for (kind, cell), number in left.items()]


@settings(max_examples=examples(1000))
@given(cases())
def test_cells_and_devices_are_chosen_exactly_where_some_choice_is_as_wanted(
    case: tuple[NumaHost, list[PciPool], NumaRequest | None, DeviceRequest],
) -> None:
    host, pools, wanted, near = case
    every = [{cell.id for cell in chosen} for chosen in choices(host, wanted)] if wanted else [set[int]()]
    anywhere = wanted is None or near.policy == "preferred"
    lefts = list(gpu_cells(pools, near))
    good = [chosen for chosen in every if any(is_near(host, chosen, left, near) for left in lefts)]
    there = Counter[str]()
    for pool in pools:
        there[f"CUSTOM_PCI_{pool.kind.upper()}"] += pool.free
    enough = near.resources() <= there and any(attrs.evolve(near, gpus=None).enough(left) for left in lefts)
    possible = enough and bool(every if anywhere else good)
    choice = choose(host, pools, wanted, near)
    assert (choice is not None) == possible
    if choice is None:
        return
    chosen = {taken.cell for taken in choice.cells}
    assert len(choice.cells) == len(wanted.cells if wanted else ()) and chosen in every
    if not anywhere or good:
        assert chosen in (good or every)
    free, amounts = Counter[tuple[str, int | None]](), Counter[str]()
    for pool in pools:
        free[pool.kind, pool.numa_cell] += pool.free
    for (kind, cell), count in choice.devices.items():
        assert 0 < count <= free[kind, cell]
        amounts[kind] += count
    by_class = Counter({f"CUSTOM_PCI_{kind.upper()}": count for kind, count in amounts.items()})
    assert by_class == near.resources()
    # What is not among the GPUs is near the guest's cells.
    if wanted and not anywhere:
        taken = [PciPool(kind=kind, numa_cell=cell, free=n) for (kind, cell), n in choice.devices.items()]
        assert any(is_near(host, chosen, left, near) for left in gpu_cells(taken, near))
    if near.gpus and near.gpus_together:
        assert any(
            n >= near.gpus[1] for (kind, cell), n in choice.devices.items() if kind == near.gpus[0] and cell is not None
        )


def test_gpus_together_come_from_a_cell_of_the_guests_where_they_can() -> None:
    host = NumaHost(cells=[NumaCell(id=number, cpus=(number,), memory_mb=(64, 1024)[number]) for number in range(2)])
    pools = [PciPool(kind="a100", numa_cell=cell, free=4) for cell in range(2)]
    one = NumaRequest(cells=[CellRequest(vcpus=(0,), memory_mb=512)])
    choice = choose(host, pools, one, DeviceRequest(gpus=("a100", 4), gpus_together=True))
    assert choice is not None and dict(choice.devices) == {("a100", 1): 4}


def test_a_guest_without_cells_gets_devices_from_as_few_cells_as_can_be() -> None:
    pools = [PciPool(kind="nic", numa_cell=cell, free=free) for cell, free in enumerate((1, 3, 2))]
    for count, expected in ((1, {0: 1}), (2, {2: 2}), (3, {1: 3}), (4, {1: 3, 2: 1}), (6, {0: 1, 1: 3, 2: 2})):
        choice = choose(None, pools, None, DeviceRequest(counts=(("nic", count),)))
        assert choice is not None and dict(choice.devices) == {("nic", cell): n for cell, n in expected.items()}


def test_devices_of_one_alias_may_be_on_several_of_the_guests_cells() -> None:
    host = NumaHost(cells=[NumaCell(id=number, cpus=(number,), memory_mb=8) for number in range(4)])
    pools = [PciPool(kind="nic", numa_cell=cell, free=1) for cell in (1, 3)]
    two = NumaRequest(cells=[CellRequest(vcpus=(number,), memory_mb=8) for number in range(2)])
    choice = choose(host, pools, two, DeviceRequest(counts=(("nic", 2),), policy="required"))
    assert choice is not None and {one.cell for one in choice.cells} == {1, 3}
    assert dict(choice.devices) == {("nic", 1): 1, ("nic", 3): 1}
    assert {one.cell for one in fit(host, two) or ()} == {0, 1}


def test_cells_that_cannot_bring_enough_devices_are_known_without_trying_all_orders() -> None:
    chance = Random(5)
    host = NumaHost(cells=[NumaCell(id=number, cpus=(number,), memory_mb=8) for number in range(32)])
    pools = [PciPool(kind=kind, numa_cell=cell, free=chance.randrange(9)) for cell in range(32) for kind in "ab"]
    # Nearly as many of each as eight cells have at most, which are not the same eight for both.
    best = {kind: sorted((pool.free for pool in pools if pool.kind == kind), reverse=True)[:8] for kind in "ab"}
    near = DeviceRequest(counts=tuple((kind, sum(best[kind]) * 9 // 10) for kind in "ab"), policy="required")
    eight = NumaRequest(cells=[CellRequest(vcpus=(number,), memory_mb=8) for number in range(8)])
    assert choose(host, pools, eight, near) is None
    assert not is_given_up(host, pools, eight, near)
