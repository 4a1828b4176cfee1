"""How fast the scheduler decides: alone, with its claim, in batches, with strict groups and beside others."""

import asyncio
import contextlib
import gc
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from novakit import world
from novakit.calls.scheduler import Selection
from novakit.placement import HostReport, Placement
from novakit.scheduler.picture.cells import reckoned
from novakit.scheduler.picture.table import HostStock, HostTable
from novakit.scheduler.pipeline.ask import from_plain
from novakit.scheduler.pipeline.compose import Composed, Offered, PipelineOptions, compose
from novakit.scheduler.select import Scheduler
from novakit.scheduler.service import build
from novakit.store import Store, tables
from novakit.store.compute import hosts, server_groups
from novakit_filters import novakit_filters
from novakit_fit.numa import NumaHost, fit
from novakit_fit.numa_request import requested_cells
from novakit_hookspecs.hosts import Inventory, PciPool
from novakit_hookspecs.numa import NumaCell, Taken
from novakit_hookspecs.scheduling import Aggregate, Ask
from novakit_hookspecs.trees import ProviderStock, Tree, Units
from novakit_weighers import novakit_weighers
from tests.perf.schedulers import several

assert tables
SIZES = (100, 1_000, 10_000, 100_000)
PLAIN: dict[str, Any] = {"vcpus": 2, "memory_mb": 4096, "root_gb": 20}
DEMANDING: dict[str, Any] = {
    **PLAIN,
    "availability_zone": "zone-1",
    "extra_specs": {
        "capabilities:hypervisor_type": "<or> QEMU <or> KVM",
        "capabilities:cpu_info:features": "<in> avx",
        "trait:CUSTOM_FAST": "required",
    },
    "image": {"id": "", "properties": {"hw_architecture": "x86_64"}},
}


NEAR: dict[str, dict[str, Any]] = {
    "pinned": {"hw:cpu_policy": "dedicated"},
    "pinned near devices": {
        "hw:cpu_policy": "dedicated",
        "pci_passthrough:alias": "a100:1",
        "hw:pci_numa_affinity_policy": "required",
    },
    "request groups": {
        "resources1:FPGA": "1",
        "trait1:CUSTOM_NEW": "required",
        "resources2:FPGA": "1",
        "group_policy": "isolate",
    },
}
"""By kind of decision: the extra specs of a flavor that wants particular parts of a host."""


def ask(**fields: Any) -> Ask:
    """Make one request."""
    return from_plain({"server_id": world.new_id(), "project_id": "p", "user_id": "u", **fields})


def filled_table(size: int, parts: Mapping[str, HostStock] | None = None) -> HostTable:
    """Make a table of hosts that differ, a third of them half full; `parts` is what each has beside the ordinary."""
    chance = np.random.default_rng(1)
    table = HostTable()
    table.reserve(size)
    used = chance.integers(0, 96, size).tolist()
    for number in range(size):
        row = table.add(f"host{number}", f"provider{number}")
        table.put(
            row,
            node=f"host{number}",
            up=number % 50 != 0,
            enabled=number % 40 != 0,
            availability_zone=f"zone-{number % 3}",
            hypervisor_type="QEMU",
            hypervisor_version=8002000 + number % 2,
            cpu_info={"arch": "x86_64", "features": ["avx", "aes"][: number % 3]},
            supported_instances=[["x86_64", "kvm", "hvm"]],
        )
        memory, taken = 131072 * (1 + number % 3), used[number] * 1024
        table.set_stock(
            row,
            {
                "VCPU": HostStock(total=64, capacity=256, max_unit=64, used=used[number]),
                "MEMORY_MB": HostStock(total=memory, capacity=memory, max_unit=memory, used=taken),
                "DISK_GB": HostStock(total=4000, capacity=4000, max_unit=4000, used=used[number] * 10),
                **(parts or {}),
            },
        )
        table.set_traits(row, ["HW_CPU_X86_AVX", "CUSTOM_NEW", *(["CUSTOM_FAST"] if number % 2 else [])])
    table.set_aggregates(
        [(Aggregate(id=n, name=f"a{n}", metadata={"rack": str(n)}), table.names[n::64]) for n in range(64)]
    )
    return table


def table_with_parts(size: int) -> HostTable:
    """Make hosts with two cells of 16 dedicated CPUs, with devices and with four accelerators, some of them taken."""
    each = {name: HostStock(total=32, capacity=32, max_unit=32) for name in ("PCPU", "FPGA", "CUSTOM_PCI_A100")}
    table, wanted = filled_table(size, each), requested_cells(4, 1024, NEAR["pinned"], {})
    assert wanted is not None
    cells = tuple(
        NumaCell(
            id=number,
            cpus=(90 + number,),
            dedicated=tuple(range(number * 16, number * 16 + 16)),
            siblings=tuple((cpu, cpu + 1) for cpu in range(number * 16, number * 16 + 16, 2)),
            memory_mb=65536,
        )
        for number in range(2)
    )
    held: list[tuple[Taken, ...]] = [()]
    for _ in range(5):
        held.append((*held[-1], *(fit(NumaHost(cells=cells, taken=held[-1]), wanted) or ())))
    trees, pools = [], []
    for taken in range(16):
        cards = [
            ProviderStock(
                stock=(("FPGA", Units(free=1 - (taken >> place & 1), max_unit=1)),),
                traits=frozenset({"CUSTOM_NEW"} if place < 2 else ()),
            )
            for place in range(4)
        ]
        trees.append(Tree(providers=(ProviderStock(), *cards)))
        pools.append((PciPool(kind="a100", numa_cell=0, free=taken % 3), PciPool(kind="a100", numa_cell=1, free=2)))
    for row in range(size):
        table.put(row, numa=reckoned(NumaHost(cells=cells, taken=held[row % 6])), pci=pools[row % 16])
        table.set_tree(row, trees[row % 16])
    return table


def composed(table: HostTable) -> Composed:
    """Build the default pipeline on a table."""
    return compose(
        [Offered(spec, "novakit-filters", stock=True) for spec in novakit_filters()],
        [Offered(spec, "novakit-weighers", stock=True) for spec in novakit_weighers()],
        table,
        PipelineOptions(),
    )


async def decisions(size: int) -> Iterator[dict[str, Any]]:
    """Time decisions without a claim: filters, weighers, the choice of a host and three alternates."""
    restart_peak()
    rows = await decided(filled_table(size), {"plain": PLAIN, "demanding": DEMANDING})
    if size <= 10_000:
        near = {kind: {**PLAIN, "extra_specs": specs} for kind, specs in NEAR.items()}
        rows += await decided(table_with_parts(size), near)
    return iter(rows)


async def decided(table: HostTable, kinds: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Time decisions of some kinds over one table."""
    pipeline = composed(table).pipeline
    rows = []
    for kind, fields in kinds.items():
        one = ask(**fields)

        async def decide(one: Ask = one) -> None:
            outcome = await pipeline.run(table, one)
            assert outcome.ranking is not None
            outcome.ranking.best(4)

        times = await timed(decide, 500 if table.size <= 10_000 else 100)
        rows.append({"bench": "scheduler.decision", "kind": kind, "hosts": table.size, **spread(times)})
    return rows


def growth(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Compare the decisions over many hosts with those over the fewest: how cost grows with hosts."""
    for kind in ("plain", "demanding", *NEAR):
        first, *others = (row for row in rows if row["kind"] == kind)
        for row in others:
            yield {
                "bench": "scheduler.growth",
                "kind": kind,
                "hosts": row["hosts"],
                "times_the_hosts": round(row["hosts"] / first["hosts"]),
                "times_the_median": round(row["median_ms"] / first["median_ms"], 1),
                "us_per_1000_hosts_more": round(
                    (row["median_ms"] - first["median_ms"]) * 1e6 / (row["hosts"] - first["hosts"]), 1
                ),
            }


async def timed(work: Callable[[], Any], times: int) -> list[float]:
    """Give the milliseconds of each of several runs."""
    for _ in range(5):
        await work()
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        await work()
        spent.append((time.perf_counter() - began) * 1000)
    return spent


def spread(times: Sequence[float]) -> dict[str, Any]:
    """Give median, 99th percentile, cores and memory as benchmark lines carry them."""
    ordered = sorted(times)
    return {
        "median_ms": round(statistics.median(ordered), 3),
        "p99_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 3),
        "cores": os.cpu_count(),
        "peak_rss_mb": peak_mb(),
    }


def restart_peak() -> None:
    """Let the peak of memory count from now on, where the kernel allows that."""
    gc.collect()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_mb() -> int:
    """Give the process's peak memory since `restart_peak`, in MiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def rss_mb() -> float:
    """Give the process's memory now, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024


async def stocked(store: Store, count: int) -> Placement:
    """Fill a store with equal hosts."""
    await store.create_all()
    placement = Placement(store)
    inventory = {
        "VCPU": Inventory(total=64, allocation_ratio=4.0),
        "MEMORY_MB": Inventory(total=262144),
        "DISK_GB": Inventory(total=4000),
    }
    facts = {"hypervisor_type": "QEMU", "hypervisor_version": 8002000, "supported_instances": []}
    async with store.write() as session:
        reports = []
        now = world.now()
        rows = []
        for number in range(count):
            name = f"host{number}"
            row = {"name": name, "id": world.new_id(), "provider_id": world.new_id(), "number": number + 1}
            rest = {"enabled": True, "forced_down": False, "facts": facts, "changed": number + 1}
            rows.append({**row, **rest, "created_at": now, "updated_at": now, "last_seen": now})
            reports.append(
                HostReport(provider_id=row["provider_id"], name=name, inventory=inventory, traits=frozenset())
            )
        await session.execute(hosts.hosts.insert(), rows)
        for start in range(0, count, 1000):
            await placement.report_hosts(session, reports[start : start + 1000])
    return placement


def scheduler_of(store: Store, placement: Placement) -> Scheduler:
    """Make a scheduler with everything at its default."""
    made, _ = build(
        store,
        placement,
        [Offered(spec, "novakit-filters", stock=True) for spec in novakit_filters()],
        [Offered(spec, "novakit-weighers", stock=True) for spec in novakit_weighers()],
    )
    return made


async def claims(directory: Path, size: int) -> Iterator[dict[str, Any]]:
    """Time single placements with the claim committed, and count placements a second when many ask at once."""
    store = await Store.open(f"sqlite+aiosqlite:///{directory}/claims{size}.db")
    placement = await stocked(store, size)
    before = rss_mb()
    scheduler = scheduler_of(store, placement)
    began = time.perf_counter()
    await scheduler.open()
    loaded = (time.perf_counter() - began) * 1000
    gc.collect()
    cost = max(0.0, rss_mb() - before) * 10_000 / size
    rows = [
        {
            "bench": "scheduler.load",
            "hosts": size,
            "mb_per_10000_hosts": round(cost, 1),
            **spread([loaded]),
        },
        {
            "bench": "scheduler.claim",
            "hosts": size,
            **spread(await timed(lambda: scheduler.select([ask(**PLAIN)]), 200)),
        },
        await throughput(
            scheduler, "distinct", [ask(**PLAIN, request_id=str(n), flavor_name=str(n)) for n in range(1400)]
        ),
        await throughput(scheduler, "one request", [ask(**PLAIN) for _ in range(1400)]),
    ]
    await store.close()
    return iter([{**row, "hosts": size} for row in rows])


async def throughput(scheduler: Scheduler, kind: str, asks: Sequence[Ask]) -> dict[str, Any]:
    """Count placements a second when every server asks for itself at once; the times are from there to each answer."""
    times = []

    async def place(one: Ask) -> Any:
        (answer,) = await scheduler.select([one])
        times.append((time.perf_counter() - began) * 1000)
        return answer

    cpu, began = time.process_time(), time.perf_counter()
    results = await asyncio.gather(*(place(one) for one in asks))
    spent, cpu = time.perf_counter() - began, time.process_time() - cpu
    assert all(isinstance(one, Selection) for one in results)
    return {
        "bench": "scheduler.placements",
        "kind": kind,
        "per_second": round(len(asks) / spent),
        "cpu_ms_each": round(cpu * 1000 / len(asks), 3),
        "conflicts": scheduler.counts.conflicts,
        **spread(times),
    }


async def strict_groups(directory: Path, size: int = 5_000, members: int = 600) -> dict[str, Any]:
    """Place the members of one strict anti-affinity group, all at once."""
    store = await Store.open(f"sqlite+aiosqlite:///{directory}/groups.db")
    placement = await stocked(store, size)
    scheduler = scheduler_of(store, placement)
    await scheduler.open()
    asks = [ask(**PLAIN) for _ in range(members)]
    async with store.write() as session:
        group = await server_groups.add(session, project_id="p", user_id="u", name="g", policy="anti-affinity")
        await server_groups.join(session, group["id"], [one.server_id for one in asks])
    plain = {"id": group["id"], "policy": "anti-affinity"}
    grouped = [ask(**PLAIN, group=plain, flavor_name=str(n)) for n, one in enumerate(asks)]
    grouped = [from_plain({**_plain(one), "server_id": asks[n].server_id}) for n, one in enumerate(grouped)]
    told = await throughput(scheduler, "strict anti-affinity", grouped)
    await store.close()
    return {**told, "hosts": size}


def _plain(one: Ask) -> dict[str, Any]:
    group = {"id": one.group.id, "policy": one.group.policy} if one.group else None
    return {"project_id": "p", "user_id": "u", **PLAIN, "flavor_name": one.flavor_name, "group": group}


async def reports(directory: Path, size: int = 10_000, changed: int = 1_000) -> dict[str, Any]:
    """Time bringing the columns up to date after a thousand hosts reported something new."""
    store = await Store.open(f"sqlite+aiosqlite:///{directory}/reports.db")
    placement = await stocked(store, size)
    scheduler = scheduler_of(store, placement)
    await scheduler.open()
    times = []
    for turn in range(5):
        async with store.write() as session:
            rows = await hosts.every(session)
            some = rows[:changed]
            inventory = {"MEMORY_MB": Inventory(total=262144 + turn + 1), "VCPU": Inventory(total=64)}
            await placement.report_hosts(
                session,
                [
                    HostReport(
                        provider_id=row["provider_id"], name=row["name"], inventory=inventory, traits=frozenset()
                    )
                    for row in some
                ],
            )
        scheduler.state.mark_stale()
        began = time.perf_counter()
        await scheduler.state.refresh()
        times.append((time.perf_counter() - began) * 1000)
    await store.close()
    return {"bench": "scheduler.reports", "hosts": size, "changed": changed, **spread(times)}


async def measure(directory: Path) -> list[dict[str, Any]]:
    """Run every benchmark."""
    # Memory that Python took from the system it seldom gives back, so the largest table comes last.
    stored = []
    for size in (1_000, 10_000):
        restart_peak()
        stored += list(await claims(directory, size))
    restart_peak()
    stored.append(await strict_groups(directory))
    restart_peak()
    stored.append(await reports(directory))
    restart_peak()
    stored += await several()
    rows: list[dict[str, Any]] = []
    for size in SIZES:
        rows.extend(await decisions(size))
    return [*rows, *growth(rows), *stored]


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print the benchmarks as a table, then as one JSON object a line."""
    for row in rows:
        name = " ".join(str(row[key]) for key in ("bench", "schedulers", "kind") if key in row)
        rest = (
            "median_ms",
            "p99_ms",
            "times_the_median",
            "us_per_1000_hosts_more",
            "per_second",
            "cpu_ms_each",
            "conflicts",
            "conflicts_per_placement",
            "mb_per_10000_hosts",
            "peak_rss_mb",
        )
        told = "  ".join(f"{key} {row[key]}" for key in rest if key in row)
        print(f"{name:44} {row['hosts']:>7} hosts  {told}")
    for row in rows:
        print(json.dumps(row))


def main() -> None:
    """Run and print."""
    with tempfile.TemporaryDirectory() as directory:
        show(asyncio.run(measure(Path(directory))))


if __name__ == "__main__":
    main()
