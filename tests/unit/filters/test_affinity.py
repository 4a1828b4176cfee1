"""Cells chosen near devices, against every choice there is."""

import itertools
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novakit_filters.devices import PciPassthrough
from novakit_hookspecs.affinity import MOST, POLICIES, DeviceWish, devices, fit_near
from novakit_hookspecs.hosts import PciPool
from novakit_hookspecs.numa import CellWish, NumaCell, NumaHost, NumaWish, fit
from novakit_hookspecs.testing.filters import ask, host_table


def choices(host: NumaHost, wanted: NumaWish) -> Iterator[Sequence[NumaCell]]:
    """Give every way to put the guest's cells on the host's, looking at memory alone."""
    for cells in itertools.permutations(host.cells, len(wanted.cells)):
        if all(cell.memory_mb >= one.memory_mb for cell, one in zip(cells, wanted.cells, strict=True)):
            yield cells


def is_near(host: NumaHost, chosen: set[int], pools: Sequence[PciPool], near: DeviceWish) -> bool:
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
def cases(draw: st.DrawFn) -> tuple[NumaHost, list[PciPool], NumaWish, DeviceWish]:
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
    wanted = NumaWish(cells=[CellWish(vcpus=(n,), memory_mb=draw(amounts)) for n in range(draw(st.integers(1, 3)))])
    counts = draw(st.dictionaries(st.sampled_from("ab"), st.integers(1, 4), min_size=1))
    return host, pools, wanted, DeviceWish(counts=tuple(counts.items()), policy=draw(st.sampled_from(POLICIES)))


@settings(max_examples=600, deadline=None)
@given(cases())
def test_cells_are_near_the_devices_exactly_where_some_choice_of_cells_is(
    case: tuple[NumaHost, list[PciPool], NumaWish, DeviceWish],
) -> None:
    host, pools, wanted, near = case
    every = [{cell.id for cell in chosen} for chosen in choices(host, wanted)]
    good = [chosen for chosen in every if is_near(host, chosen, pools, near)]
    plan = fit_near(host, pools, wanted, near)
    fits_anywhere = near.policy == "preferred" and bool(every) and near.enough(pools)
    assert (plan is not None) == bool(good or fits_anywhere)
    if plan is not None:
        chosen = {taken.cell for taken in plan}
        assert chosen in (good or every) and len(plan) == len(wanted.cells)
        assert all(host.cells[one.cell].memory_mb >= one.memory_mb for one in plan)


@pytest.mark.parametrize(
    ("sockets", "policy", "expected"),
    [
        ((0, 0), "socket", True),
        ((0, 0), "required", False),
        ((0, 1), "socket", False),
        ((None, None), "socket", False),
    ],
)
def test_a_device_may_be_on_another_cell_of_the_same_socket(
    sockets: tuple[int | None, int | None], policy: str, expected: bool
) -> None:
    cells = [NumaCell(id=n, cpus=(n,), memory_mb=(1024, 64)[n], socket=sockets[n]) for n in range(2)]
    table = host_table(pci=[(PciPool(kind="nic", numa_cell=1, free=1),)], numa=[NumaHost(cells=cells)])
    specs = {"hw:numa_nodes": "1", "pci_passthrough:alias": "nic", "hw:pci_numa_affinity_policy": policy}
    assert PciPassthrough().mask(table, ask(vcpus=1, memory_mb=512, extra_specs=specs)).tolist() == [expected]


def test_devices_of_one_alias_may_be_on_several_of_the_guests_cells() -> None:
    host = NumaHost(cells=[NumaCell(id=number, cpus=(number,), memory_mb=8) for number in range(4)])
    pools = [PciPool(kind="nic", numa_cell=cell, free=1) for cell in (1, 3)]
    two = NumaWish(cells=[CellWish(vcpus=(number,), memory_mb=8) for number in range(2)])
    plan = fit_near(host, pools, two, DeviceWish(counts=(("nic", 2),), policy="required"))
    assert plan is not None and {one.cell for one in plan} == {1, 3}
    assert {one.cell for one in fit(host, two) or ()} == {0, 1}


@pytest.mark.parametrize("text", ["a:0", "a:-1", "a:x", "a:65", "a:40,a:40", "a:9999"])
def test_counts_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"{MOST}"):
        devices({"pci_passthrough:alias": text}, {})
    assert not PciPassthrough().mask(host_table(pci=[()]), ask(extra_specs={"pci_passthrough:alias": text})).any()
