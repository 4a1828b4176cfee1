"""How fast one, two and three scheduler processes place on PostgreSQL, and how often they get in each other's way.

The schedulers are `novakit serve --role scheduler`; this process stands for the conductor: it holds the bus and asks
for one server a call, as many calls at a time as a conductor has operations under way.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from novakit import world
from novakit.bus import MemoryBus, ask_each, client
from novakit.bus.enrolments import Enrolments
from novakit.bus.hub import LocalHub
from novakit.calls.scheduler import Refusal, SchedulerCalls
from novakit.config import ConductorOptions, Config
from novakit.store import Store
from novakit.store.migrate import migrate
from novakit_hookspecs.scheduling import Ask
from tests.support.postgres import Cluster, programs

PLACEMENTS = 1_536
AT_ONCE = ConductorOptions().workers
ROOM_EACH = 64
"""Servers of 4 GiB that a host has room for."""
CASES = ((1_000, "much room"), (PLACEMENTS // ROOM_EACH, "no room at the end"))
"""Numbers of hosts, and what it means for their load."""
OPTIONS = """
database = "{url}"

[conductor]
host_down_after = 100000.0
"""


async def several(counts: Sequence[int] = (1, 2, 3)) -> list[dict[str, Any]]:
    """Measure every case with each number of schedulers."""
    found = programs()
    if found is None:
        print("scheduler.several needs PostgreSQL: `apt-get install postgresql` brings it", file=sys.stderr)
        return []
    home = Path(tempfile.mkdtemp(prefix="novakit-postgres-"))
    cluster = Cluster(found, home)
    try:
        if cluster.user is not None:
            shutil.chown(home, cluster.user)
        cluster.start()
        try:
            return [
                await _measured(cluster.database(), hosts, kind, count) for hosts, kind in CASES for count in counts
            ]
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


async def _measured(url: str, hosts: int, kind: str, count: int) -> dict[str, Any]:
    from tests.perf.scheduler import stocked

    await migrate(url)
    store = await Store.open(url)
    await stocked(store, hosts)
    await store.close()
    with tempfile.TemporaryDirectory() as directory:
        state = Path(directory)
        (state / "novakit.toml").write_text(OPTIONS.format(url=url))
        bus = MemoryBus()
        enrolled = Enrolments(state)
        enrolled.ensure_roles()
        hub = LocalHub(bus, enrolled.bus, enrolled)
        await hub.start()
        command = [sys.executable, "-m", "novakit", "serve", "--state", str(state), "--role", "scheduler"]
        processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(count)]
        try:
            return {"bench": "scheduler.several", "kind": kind, "hosts": hosts, **await _placed(bus, processes)}
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(60)
            await hub.stop()


async def _placed(bus: MemoryBus, processes: Sequence[subprocess.Popen[bytes]]) -> dict[str, Any]:
    from tests.perf.scheduler import PLAIN, spread

    config = Config(state=Path("nowhere"))
    scheduler = client(SchedulerCalls, bus.join("conductor"), config)
    while len(await ask_each(SchedulerCalls.counts, bus.join("api"), config)) < len(processes):
        await asyncio.sleep(0.1)
    turn, times, answers = asyncio.Semaphore(AT_ONCE), [], []

    async def place(number: int) -> None:
        fields = {"project_id": "p", "user_id": "u", **PLAIN, "flavor_name": str(number)}
        one = Ask(server_id=world.new_id(), **fields)
        async with turn:
            began = time.perf_counter()
            answers.extend(await scheduler.select((one,)))
            times.append((time.perf_counter() - began) * 1000)

    cpu, began = _cpu_seconds(processes), time.perf_counter()
    await asyncio.gather(*(place(number) for number in range(PLACEMENTS)))
    spent, cpu = time.perf_counter() - began, _cpu_seconds(processes) - cpu
    refused = [one for one in answers if isinstance(one, Refusal)]
    assert not refused, refused[0]
    replies = await ask_each(SchedulerCalls.counts, bus.join("api"), config)
    told = [reply.value for reply in replies if reply.value is not None]
    assert sum(one["placed"] for one in told) == PLACEMENTS
    conflicts = sum(one["conflicts"] for one in told)
    return {
        "schedulers": len(processes),
        "per_second": round(PLACEMENTS / spent),
        "cpu_ms_each": round(cpu * 1000 / PLACEMENTS, 2),
        "conflicts": conflicts,
        "conflicts_per_placement": round(conflicts / PLACEMENTS, 3),
        **spread(times),
    }


def _cpu_seconds(processes: Sequence[subprocess.Popen[bytes]]) -> float:
    """Say how much CPU the schedulers have used."""
    used = 0
    for process in processes:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        used += int(fields[11]) + int(fields[12])
    return used / os.sysconf("SC_CLK_TCK")
