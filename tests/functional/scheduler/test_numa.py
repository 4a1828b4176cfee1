"""Cores and pages are given once, whoever asks at the same time."""

import asyncio
from typing import Any

import attrs

from novakit.calls.scheduler import Refusal, Selection
from novakit.store.compute import hosts
from novakit.store.scheduler import numa
from novakit_hookspecs.hosts import PciDevice
from novakit_hookspecs.numa import NumaCell

CELLS = tuple(
    NumaCell(
        id=number,
        dedicated=tuple(range(number * 8, number * 8 + 8)),
        siblings=tuple((cpu, cpu + 1) for cpu in range(number * 8, number * 8 + 8, 2)),
        memory_mb=8192,
        pages={2048: 2048},
    )
    for number in range(2)
)
PINNED = {"hw:cpu_policy": "dedicated"}


async def test_no_core_is_given_twice_under_concurrency(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(3, memory_mb=65536, numa=CELLS)
    schedulers = [cloud.scheduler() for _ in range(3)]
    asks = [make(vcpus=2, memory_mb=512, extra_specs=PINNED) for _ in range(30)]
    work = (schedulers[number % 3].select([one]) for number, one in enumerate(asks))
    results = [one for (one,) in await asyncio.gather(*work)]
    placed = [one for one in results if isinstance(one, Selection)]
    given = [(one.host, cpu) for one in placed for taken in one.numa for cpu in taken.cpus]
    assert len(placed) == 24
    assert len(given) == len(set(given)) == 48
    refused = next(one for one in results if isinstance(one, Refusal))
    assert "lack PCPU" in refused.message


async def test_capacity_counts_the_cells_that_servers_fit_on(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2, memory_mb=65536, numa=CELLS)
    scheduler = cloud.scheduler()
    asks = [make(vcpus=3, memory_mb=512, extra_specs=PINNED) for _ in range(9)]
    told = await scheduler.capacity(asks[0])
    assert (told.fits, told.runs_out_first) == (8, {"NUMA cells and devices": 2}), "5 by amounts, 2 a cell"
    assert sum(isinstance(one, Selection) for one in await scheduler.select(asks)) == told.fits


async def test_a_host_that_tells_something_new_of_itself_keeps_its_cores_given(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(1, memory_mb=65536, numa=CELLS)
    scheduler = cloud.scheduler()
    scheduler.state.refresh_every = 0
    await scheduler.select([make(vcpus=8, memory_mb=512, extra_specs=PINNED) for _ in range(2)])
    async with cloud.store.write() as session:
        (row,) = await hosts.every(session)
        await hosts.report(session, "host0", {**row["facts"], "hypervisor_version": 2000})
    await scheduler.state.refresh()
    assert {cpu for one in scheduler.state.table.column("numa")[0].taken for cpu in one.cpus} == set(range(16))


async def test_cpus_that_are_asked_for_by_class_are_the_guests_own(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(1, memory_mb=65536, numa=CELLS)
    one = make(vcpus=2, memory_mb=512, extra_specs={"resources:PCPU": "2"})
    assert one.resources == {"PCPU": 2, "MEMORY_MB": 512, "DISK_GB": 1}
    (placed,) = await cloud.scheduler().select([one])
    assert len(placed.numa[0].pins) == 2
    alone = {"resources:PCPU": "2", "trait:HW_CPU_HYPERTHREADING": "forbidden"}
    (placed,) = await cloud.scheduler().select([make(vcpus=2, memory_mb=512, extra_specs=alone)])
    assert len(placed.numa[0].cpus) == 4, "each on a core of its own"


async def test_a_server_that_goes_gives_its_cores_back(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(1, memory_mb=65536, numa=CELLS)
    scheduler = cloud.scheduler()
    scheduler.state.refresh_every = 0
    full = [make(vcpus=8, memory_mb=512, extra_specs=PINNED) for _ in range(2)]
    assert all(isinstance(one, Selection) for one in await scheduler.select(full))
    (none,) = await scheduler.select([make(vcpus=8, memory_mb=512, extra_specs=PINNED)])
    assert isinstance(none, Refusal)
    async with cloud.store.write() as session:
        await cloud.placement.release(session, full[0].server_id)
    (again,) = await scheduler.select([make(vcpus=8, memory_mb=512, extra_specs=PINNED)])
    assert isinstance(again, Selection)
    async with cloud.store.write() as session:
        assert await numa.prune(session) == 1


async def test_asking_again_gives_the_same_cores(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2, memory_mb=65536, numa=CELLS)
    one = make(vcpus=4, memory_mb=512, extra_specs={**PINNED, "hw:numa_nodes": "2"})
    (first,) = await cloud.scheduler().select([one])
    (again,) = await cloud.scheduler().select([one])
    assert first.numa == again.numa and {taken.cell for taken in first.numa} == {0, 1}


async def test_pages_run_out_and_the_refusal_says_so(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(1, memory_mb=65536, numa=CELLS)
    scheduler = cloud.scheduler()
    asks = [make(memory_mb=4096, extra_specs={"hw:mem_page_size": "2MB"}) for _ in range(3)]
    results = await scheduler.select(asks)
    assert [isinstance(one, Selection) for one in results] == [False, False, False]
    shared = tuple(NumaCell(id=0, cpus=(0, 1), memory_mb=8192, pages={2048: 2048}) for _ in range(1))
    await cloud.add_hosts(1, memory_mb=65536, numa=shared, start=1)
    scheduler = cloud.scheduler()
    results = await scheduler.select([make(memory_mb=4096, extra_specs={"hw:mem_page_size": "2MB"}) for _ in range(2)])
    assert isinstance(results[0], Selection) and results[0].numa[0].page_kb == 2048
    assert "1 lack shared CPUs (wanted 1, at most 0 free)" in results[1].message
    assert "1 lack pages of 2 MiB in one NUMA cell (wanted 4096 MiB, at most 0 free)" in results[1].message


async def test_hosts_without_cells_take_only_guests_that_do_not_care(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2)
    asks = [make(), make(extra_specs={"hw:numa_nodes": "1"}), make(extra_specs={"hw:numa_nodes": "-1"})]
    good, unknown, impossible = await cloud.scheduler().select(asks)
    assert isinstance(good, Selection)
    assert "2 report no NUMA cells" in unknown.message
    assert "cannot exist" in impossible.message


async def test_mixed_guests_and_emulator_threads_claim_what_they_hold(cloud: Any, make: Any) -> None:
    both = tuple(attrs.evolve(cell, cpus=(100 + cell.id,)) for cell in CELLS)
    await cloud.add_hosts(1, memory_mb=65536, numa=both)
    mixed = {"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "0-1"}
    asks = [
        make(vcpus=4, memory_mb=512, extra_specs=mixed),
        make(vcpus=2, memory_mb=512, extra_specs={**PINNED, "hw:emulator_threads_policy": "isolate"}),
        make(vcpus=2, memory_mb=512, image={"id": "", "properties": {"hw_cpu_policy": "dedicated"}}),
        make(vcpus=2, memory_mb=512),
    ]
    claimed = [{name: one.resources.get(name, 0) for name in ("VCPU", "PCPU")} for one in asks]
    assert [tuple(one.values()) for one in claimed] == [(2, 2), (0, 3), (0, 2), (2, 0)]
    results = await cloud.scheduler().select(asks)
    assert [sum(len(taken.cpus) for taken in one.numa) for one in results] == [2, 3, 2, 0]


async def test_the_claim_gives_the_cells_that_the_devices_are_near(cloud: Any, make: Any) -> None:
    nics = tuple(PciDevice(address=f"0000:{bus:02x}:00.0", kind="nic", numa_cell=1) for bus in range(8))
    await cloud.add_hosts(1, memory_mb=65536, numa=CELLS, pci=nics)
    specs = {**PINNED, "pci_passthrough:alias": "nic:1", "hw:pci_numa_affinity_policy": "required"}
    asks = [make(vcpus=4, memory_mb=512, extra_specs=specs) for _ in range(3)]
    results = await cloud.scheduler().select(asks)
    placed = [one for one in results if isinstance(one, Selection)]
    assert [taken.cell for one in placed for taken in one.numa] == [1, 1]
    (refused,) = (one for one in results if isinstance(one, Refusal))
    assert "not near the guest's NUMA cells" in refused.message
    specs["hw:pci_numa_affinity_policy"] = "preferred"
    (apart,) = await cloud.scheduler().select([make(vcpus=4, memory_mb=512, extra_specs=specs)])
    assert [taken.cell for taken in apart.numa] == [0]
