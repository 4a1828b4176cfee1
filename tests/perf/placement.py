"""How fast Placement answers: candidates by number and shape of providers, allocation writes by number of clients.

`python -m tests.perf.placement [NAME...]` prints a table, then one JSON object a line.
Requests go through real HTTP on loopback, one process serving on SQLite; the client's own share is in the times.
"""

import argparse
import asyncio
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import os_traits

from novakit.context import RequestContext
from novakit.placement import AllocationClaim, HostReport, Placement
from novakit.placement.candidates import CandidateRequest, Forest, Group, Provider, Stock, search
from novakit.store import Store
from novakit_hookspecs.hosts import Inventory

Bench = dict[str, Any]
TRAITS = frozenset(sorted(os_traits.get_traits(prefix="HW_CPU_X86"))[:20])
HOST = {
    "VCPU": Inventory(total=64, allocation_ratio=4.0),
    "MEMORY_MB": Inventory(total=262144, reserved=512),
    "DISK_GB": Inventory(total=4000),
}
PLAIN = "resources=VCPU:1,MEMORY_MB:256,DISK_GB:10&required=HW_CPU_X86_AVX2"
NESTED = "resources=VCPU:1,MEMORY_MB:256,DISK_GB:10&resources_NET=SRIOV_NET_VF:1&group_policy=none"


def host(number: int) -> HostReport:
    """Make the report of one host."""
    return HostReport(
        provider_id=str(uuid.UUID(int=number + 1)),
        name=f"host-{number:05}",
        inventory=HOST,
        traits=TRAITS | {"HW_CPU_X86_AVX2"},
    )


async def fill(placement: Placement, hosts: int) -> float:
    """Register hosts, 100 a transaction; give the seconds it took."""
    start = time.perf_counter()
    for first in range(0, hosts, 100):
        async with placement.store.write() as session:
            await placement.report_hosts(session, [host(n) for n in range(first, min(first + 100, hosts))])
    return time.perf_counter() - start


async def fill_nested(placement: Placement, hosts: int) -> None:
    """Give each host two NUMA nodes with CPU and memory, and each node two network cards with 8 functions."""
    from novakit.store.placement import inventories, resource_providers
    from novakit.store.placement.inventories import StatedInventory as Stated

    for first in range(0, hosts, 50):
        async with placement.store.write() as session:
            for number in range(first, min(first + 50, hosts)):
                root = str(uuid.UUID(int=number + 1))
                await resource_providers.create(session, id=root, name=f"host-{number:05}", parent_id=None)
                await inventories.replace(session, root, {"DISK_GB": Stated(total=4000)})
                for node in range(2):
                    cell = str(uuid.uuid4())
                    await resource_providers.create(session, id=cell, name=f"{root}-{node}", parent_id=root)
                    await inventories.replace(
                        session, cell, {"VCPU": Stated(total=32), "MEMORY_MB": Stated(total=131072)}
                    )
                    for card in range(2):
                        nic = str(uuid.uuid4())
                        await resource_providers.create(session, id=nic, name=f"{cell}-{card}", parent_id=cell)
                        await inventories.replace(session, nic, {"SRIOV_NET_VF": Stated(total=8)})


class Server:
    """A process that serves one database."""

    def __init__(self, url: str):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.perf.placement", "--serve", url], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.url, self.stall_url = self.process.stdout.readline().split()

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(30)

    def cpu_ms(self) -> float:
        """Give the CPU it has taken so far."""
        user, kernel = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(kernel)) * 1000 / os.sysconf("SC_CLK_TCK")

    def rss_mb(self) -> float:
        """Give its peak memory in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return round(int(status.split("VmHWM:")[1].split()[0]) / 1024, 1)


async def serve(url: str) -> None:
    """Serve one database until told to stop."""
    from aiohttp import web

    from novakit.api.placement import SERVICE

    async def authenticate(token: str, request_id: str) -> RequestContext:
        return RequestContext(request_id=request_id, user_id="u", project_id="p", roles={"admin"})

    store = await Store.open(url)
    runner = web.AppRunner(SERVICE.app(Placement(store), authenticate), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    longest = 0.0

    async def stall(_: web.Request) -> web.Response:
        nonlocal longest
        told, longest = longest, 0.0
        return web.json_response(told * 1000)

    beside = web.Application()
    beside.router.add_get("/", stall)
    second = web.AppRunner(beside, access_log=None)
    await second.setup()
    await web.TCPSite(second, "127.0.0.1", 0).start()
    gc.collect()
    gc.freeze()
    print(*(f"http://127.0.0.1:{each.addresses[0][1]}" for each in (runner, second)), flush=True)
    last = time.perf_counter()
    while True:
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now


def summary(name: str, times: list[float], **more: Any) -> Bench:
    """Make one line of the report of times in seconds."""
    ordered = sorted(times)
    return {
        "bench": name,
        **more,
        "median_ms": round(statistics.median(ordered) * 1000, 2),
        "p99_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1000, 2),
        "cores": os.cpu_count(),
    }


async def with_server(
    prepare: Callable[[Placement], Awaitable[Any]], measure: Callable[..., Awaitable[Bench]]
) -> Bench:
    """Prepare a database, serve it from another process, measure."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite+aiosqlite:///{folder}/placement.db"
        store = await Store.open(url)
        await store.create_all()
        await prepare(Placement(store))
        await store.close()
        server = Server(url)
        try:
            headers = {"X-Auth-Token": "t", "OpenStack-API-Version": "placement 1.39"}
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(server.url, headers=headers, connector=connector) as session:
                async with session.get(server.stall_url) as answer:
                    await answer.read()
                before = server.cpu_ms()
                line = await measure(session)
                line["server_cpu_ms"] = round(server.cpu_ms() - before)
                async with session.get(server.stall_url) as answer:
                    stall = await answer.json()
                return {**line, "longest_stall_ms": round(stall, 1), "peak_rss_mb": server.rss_mb()}
        finally:
            server.stop()


async def candidates(hosts: int, *, nested: bool = False, limit: int | None = 1000, busy: bool = False) -> Bench:
    """Time GET /allocation_candidates; `busy` allocates between two requests, so that the forest must be renewed."""

    async def prepare(placement: Placement) -> None:
        await (fill_nested if nested else fill)(placement, hosts)

    async def measure(session: aiohttp.ClientSession) -> Bench:
        path = f"/allocation_candidates?{NESTED if nested else PLAIN}" + (f"&limit={limit}" if limit else "")
        times, size = [], 0
        for number in range(23 if limit else 8):
            if busy:
                await put(session, number % hosts)
            start = time.perf_counter()
            async with session.get(path) as answer:
                body = await answer.read()
                assert answer.status == 200, body
            times.append(time.perf_counter() - start)
            size = len(body)
        shape = "nested" if nested else "flat"
        more = {"providers": hosts * (7 if nested else 1), "shape": shape, "limit": limit, "busy": busy, "bytes": size}
        return summary("placement.candidates", times[3:], first_ms=round(times[0] * 1000, 1), **more)

    return await with_server(prepare, measure)


async def listing(hosts: int) -> Bench:
    """Time the list of all providers."""

    async def measure(session: aiohttp.ClientSession) -> Bench:
        times, size = [], 0
        for _ in range(8):
            start = time.perf_counter()
            async with session.get("/resource_providers") as answer:
                size = len(await answer.read())
            times.append(time.perf_counter() - start)
        return summary("placement.list", times, providers=hosts, bytes=size)

    return await with_server(lambda placement: fill(placement, hosts), measure)


async def put(session: aiohttp.ClientSession, number: int) -> int:
    """Allocate a little of one host to a new consumer."""
    body = {
        "allocations": {str(uuid.UUID(int=number + 1)): {"resources": {"VCPU": 1, "MEMORY_MB": 16, "DISK_GB": 1}}},
        "project_id": "p",
        "user_id": "u",
        "consumer_generation": None,
        "consumer_type": "INSTANCE",
    }
    async with session.put(f"/allocations/{uuid.uuid4()}", json=body) as answer:
        await answer.read()
        return answer.status


async def writes(clients: int, hosts: int = 1000, total: int = 1000) -> Bench:
    """Time PUT /allocations from so many clients at once."""

    async def measure(session: aiohttp.ClientSession) -> Bench:
        times: list[float] = []
        statuses: dict[int, int] = {}
        numbers = iter(range(total))

        async def client() -> None:
            for number in numbers:
                start = time.perf_counter()
                status = await put(session, number % hosts)
                times.append(time.perf_counter() - start)
                statuses[status] = statuses.get(status, 0) + 1

        start = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        rate = round(total / (time.perf_counter() - start))
        return summary("placement.put_allocations", times, clients=clients, per_second=rate, statuses=statuses)

    return await with_server(lambda placement: fill(placement, hosts), measure)


async def claims(batch: int, hosts: int = 5000, total: int = 5000) -> Bench:
    """Time claims in the scheduler's own way: so many in a transaction, committed."""
    with tempfile.TemporaryDirectory() as folder:
        store = await Store.open(f"sqlite+aiosqlite:///{folder}/placement.db")
        await store.create_all()
        placement = Placement(store)
        seconds = await fill(placement, hosts)
        times = []
        for first in range(0, total, batch):
            some = [_claim(n % hosts) for n in range(first, first + batch)]
            start = time.perf_counter()
            async with store.write() as session:
                assert all(await placement.claim_many(session, some))
            times.append(time.perf_counter() - start)
        await store.close()
        more = {"hosts": hosts, "batch": batch, "per_second": round(total / sum(times))}
        more |= {"register_s": round(seconds, 2), "peak_rss_mb": _peak_mb()}
        return summary("placement.claims", times, **more)


def _claim(number: int) -> AllocationClaim:
    amounts = {str(uuid.UUID(int=number + 1)): {"VCPU": 1, "MEMORY_MB": 16, "DISK_GB": 1}}
    return AllocationClaim(consumer_id=str(uuid.uuid4()), project_id="p", user_id="u", allocations=amounts)


def _peak_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


GROUPS = 8
CARDS = "&".join(f"resources_{n}=VGPU:1" for n in range(GROUPS))


def cards(number: int) -> Forest:
    """Make a host with so many cards, each of which one group can have."""
    tree = [Provider("host", "host", None, {}, frozenset(), frozenset())]
    tree += [
        Provider(f"d{n}", "host", "host", {"VGPU": Stock(1, 0, 1, 1, 1)}, frozenset(), frozenset())
        for n in range(number)
    ]
    return Forest.grow(tree)


async def groups(policy: str, limit: int | None, devices: int = GROUPS) -> Bench:
    """Time the search alone: 8 groups over 8 devices have 40,320 answers."""
    forest = cards(devices)
    ask = CandidateRequest(
        groups=[Group(suffix=f"_{n}", resources={"VGPU": 1}) for n in range(GROUPS)], isolate=policy == "isolate"
    )
    times, found = [], 0
    cpu = time.process_time()
    for _ in range(50):
        start = time.perf_counter()
        found = _count(forest, ask, limit)
        times.append(time.perf_counter() - start)
    each = round((time.process_time() - cpu) / 50 * 1000, 2)
    tracemalloc.start()
    _count(forest, ask, limit)
    _, kept = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    more = {"groups": GROUPS, "devices": devices, "policy": policy, "limit": limit, "candidates": found}
    more |= {"cpu_ms_each": each}
    return summary("placement.groups", times, **more, search_mb=round(kept / 2**20, 1), peak_rss_mb=_peak_mb())


def _count(forest: Forest, ask: CandidateRequest, limit: int | None) -> int:
    found: list[Any] = []
    for some in search(forest, ask):
        found += some or ()
        if limit is not None and len(found) >= limit:
            break
    return len(found[:limit])


async def group_answers(policy: str, limit: int | None) -> Bench:
    """Time the same over HTTP, with all that is written and sent."""

    async def prepare(placement: Placement) -> None:
        from novakit.store.placement import inventories, resource_providers
        from novakit.store.placement.inventories import StatedInventory as Stated

        async with placement.store.write() as session:
            host = str(uuid.uuid4())
            await resource_providers.create(session, id=host, name="host", parent_id=None)
            for number in range(GROUPS):
                card = str(uuid.uuid4())
                await resource_providers.create(session, id=card, name=f"card-{number}", parent_id=host)
                await inventories.replace(session, card, {"VGPU": Stated(total=1)})

    async def measure(session: aiohttp.ClientSession) -> Bench:
        path = f"/allocation_candidates?{CARDS}&group_policy={policy}" + (f"&limit={limit}" if limit else "")
        times, body = [], b""
        for _ in range(13):
            start = time.perf_counter()
            async with session.get(path) as answer:
                body = await answer.read()
                assert answer.status == 200, body
            times.append(time.perf_counter() - start)
        found = len(json.loads(body)["allocation_requests"])
        more = {"groups": GROUPS, "devices": GROUPS, "policy": policy, "limit": limit, "candidates": found}
        return summary("placement.group_answers", times[3:], **more, bytes=len(body))

    return await with_server(prepare, measure)


BENCHES: dict[str, list[Callable[[], Awaitable[Bench]]]] = {
    "candidates": [
        lambda: candidates(1000),
        lambda: candidates(1000, busy=True),
        lambda: candidates(10_000),
        lambda: candidates(10_000, busy=True),
        lambda: candidates(10_000, limit=None),
        lambda: candidates(143, nested=True),
        lambda: candidates(1429, nested=True),
        lambda: listing(10_000),
    ],
    "groups": [
        lambda: groups("isolate", 1000),
        lambda: groups("isolate", None),
        lambda: groups("none", 1000),
        lambda: groups("none", None),
        lambda: groups("isolate", 100_000, devices=64),
        lambda: group_answers("isolate", 1000),
        lambda: group_answers("isolate", None),
        lambda: group_answers("none", None),
    ],
    "writes": [lambda: writes(1), lambda: writes(8), lambda: writes(50)],
    "claims": [lambda: claims(1, total=1000), lambda: claims(50)],
}


def table(lines: list[Bench]) -> str:
    """Lay the lines out for people."""
    said = []
    for line in lines:
        rest = {key: value for key, value in line.items() if key not in ("bench", "median_ms", "p99_ms")}
        more = " ".join(f"{key}={value}" for key, value in rest.items())
        said.append(f"{line['bench']:<26}{line['median_ms']:>10.2f}{line['p99_ms']:>10.2f}  {more}")
    return "\n".join([f"{'bench':<26}{'median ms':>10}{'p99 ms':>10}", *said])


async def run(names: list[str]) -> list[Bench]:
    """Run the benchmarks named, or all."""
    return [await bench() for name in names or BENCHES for bench in BENCHES[name]]


def main(arguments: list[str] | None = None) -> None:
    """Print the benchmarks as a table and as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    parser.add_argument("--serve", metavar="URL", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.serve:
        asyncio.run(serve(given.serve))
        return
    lines = asyncio.run(run(given.names))
    print(table(lines))
    for line in lines:
        print(json.dumps(line))


if __name__ == "__main__":
    main()
