"""A recorded trace replays."""

import asyncio
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from novakit import world
from novakit.calls import traces
from novakit.calls.scheduler import Refusal, Selection
from novakit.scheduler.pipeline.compose import Offered, PipelineOptions
from novakit.scheduler.whatif import lines, simulate
from novakit.store.compute import servers
from novakit_filters import novakit_filters
from novakit_weighers import novakit_weighers
from tests.support.rows import FLAVOR
from tests.support.service import Api, Service

FILTERS = [Offered(spec, "novakit-filters", stock=True) for spec in novakit_filters()]


WEIGHERS = [Offered(spec, "novakit-weighers", stock=True) for spec in novakit_weighers()]


async def written(scheduler: Any, limit: int = 1000) -> lines.Trace:
    """Record a trace and read it again, as a file would hold it."""
    return lines.read([orjson.dumps(entry) for entry in traces.lines(await scheduler.trace(limit))])


async def replayed(trace: lines.Trace, driver: Offered | None = None, **options: Any) -> simulate.Result:
    return await simulate.replay(trace, FILTERS, WEIGHERS, PipelineOptions(**options), None, driver)


def made(hosts: Iterable[Mapping[str, Any]], *events: Mapping[str, Any]) -> lines.Trace:
    return lines.read([orjson.dumps(entry) for entry in (*hosts, *events)])


async def recorded(cloud: Any, make: Any) -> lines.Trace:
    await cloud.add_hosts(4)
    scheduler = cloud.scheduler()
    for number in range(6):
        await scheduler.select(
            [make(memory_mb=1024 if number % 2 else 2048, extra_specs={"trait:CUSTOM_EVEN": "required"})]
        )
    return await written(scheduler)


async def test_a_recorded_trace_replays_and_other_weighers_pack_otherwise(cloud: Any, make: Any) -> None:
    trace = await recorded(cloud, make)
    assert (len(trace.hosts), len(trace.events)) == (4, 6)
    spread = await replayed(trace, weighers=["ram"])
    stack = await replayed(trace, weighers=["ram"], placement_strategy="stack")
    assert (spread.placed, stack.placed) == (5, 5)
    assert spread.peak_hosts == 2


async def test_the_same_set_does_again_what_the_scheduler_did(cloud: Any, make: Any) -> None:
    """Servers of before, groups, hints, hosts that failed, ends of servers: nothing is forgotten on the way."""
    await cloud.add_hosts(5, memory_mb=6144, vcpus=12)
    weighers = ["ram", "cpu", "disk", "soft_affinity"]
    scheduler = cloud.scheduler(weighers=weighers)
    scheduler.state.refresh_every = 0
    old = [make(memory_mb=512 * (1 + number % 3)) for number in range(5)]
    members = [world.new_id() for _ in range(6)]
    group = await cloud.group("anti-affinity", members)
    soft = await cloud.group("soft-affinity", [old[0].server_id, *(softly := [world.new_id() for _ in range(2)])])
    apart: Any = {"group": {"id": group["id"]}}
    await scheduler.select(old)
    first = make(server_id=members[0], **apart)
    (stands,) = await scheduler.select([first])
    count, ended = 0, []

    async def place(**ask: Any) -> Selection | Refusal:
        nonlocal count
        count += 1
        return (await scheduler.select([make(**ask)]))[0]

    servers_of = [await place(server_id=member, **apart) for member in members[1:]]
    assert [type(one) for one in servers_of] == [Selection] * 4 + [Refusal]
    for server in softly:
        assert isinstance(await place(server_id=server, group={"id": soft["id"]}), Selection)
    near, far = old[1].server_id, servers_of[0].server_id
    for hints in ({"same_host": near}, {"different_host": [near, far]}, {"same_host": far}):
        assert isinstance(await place(hints=hints, memory_mb=256), Selection)
    (retried,) = [await place(memory_mb=128)]
    async with cloud.store.write() as session:
        await cloud.placement.release(session, retried.server_id)
    await place(server_id=retried.server_id, memory_mb=128, excluded_hosts=[retried.host])
    for number in range(8):
        placed = await place(memory_mb=3000, vcpus=2)
        if number % 2 and isinstance(placed, Selection):
            async with cloud.store.write() as session:
                await cloud.placement.release(session, placed.server_id)
            await deleted(cloud, placed.server_id)
            ended.append(placed.server_id)
    trace = await written(scheduler, limit=count)
    assert ended and {event.release for event in trace.events if event.release} == {*ended, retried.server_id}
    assert sum(bool(event.ask) for event in trace.events) == count
    assert next(iter(trace.groups[group["id"]].members.values())) == stands.host
    again = await replayed(trace, weighers=weighers)
    assert again.as_recorded == again.recorded == count
    assert again.failed and "group" in next(answer.reason for answer in again.answers if answer.host is None)


async def deleted(cloud: Any, server_id: str) -> None:
    now = world.now()
    row = {"project_id": "p", "user_id": "u", "name": "s", "hostname": "s", "vm_state": "deleted", "task_state": None}
    row |= {"vcpus": 1, "memory_mb": 1, "reservation_id": "r-1", "created_at": now, "updated_at": now}
    async with cloud.store.write() as session:
        await servers.add(
            session, [{"id": server_id, **row, "deleted_at": now, "flavor": FLAVOR, "image_properties": {}}]
        )


async def test_what_a_running_service_did_is_recorded_and_replays(tmp_path: Path) -> None:
    state, trace = tmp_path / "state", tmp_path / "trace"
    state.mkdir()
    weighers = "ram = 1.0, cpu = 1.0, disk = 1.0, soft_affinity = 1.0, soft_anti_affinity = 1.0"
    (state / "novakit.toml").write_text(f"[scheduler]\nweighers = {{ {weighers} }}\n")
    with Service(state, "--simulate", "4") as service:
        async with aiohttp.ClientSession() as session:
            api = await Api.login(service, session)
            image = await api.image()
            body = {"server_group": {"name": "apart", "policy": "anti-affinity"}}
            group = (await api.ok("POST", "/compute/v2.1/os-server-groups", body))["server_group"]["id"]
            hints = {"os:scheduler_hints": {"group": group}}
            stand, count = [], 0
            for name, flavor in zip("abcdefg", "4312432", strict=True):
                stand.append(await api.server(name, image, flavor))
                await api.reach(stand[-1], "ACTIVE")
                count += 1
            admin = await Api.login(service, session, "novakit-admin")

            async def fits() -> int:
                told = await admin.ok("POST", "/novakit/v1/capacity", {"flavor": "m1.tiny"})
                return int(told["capacity"]["fits"])

            for server in (stand.pop(0), stand.pop(2)):
                before = await fits()
                await api.ok("DELETE", f"/compute/v2.1/servers/{server}")
                await api.gone(server)
                # The scheduler hears of what is given back a moment later, and must know it as the record does.
                async with asyncio.timeout(60):
                    while await fits() <= before:
                        await asyncio.sleep(0.05)
            for number, status in enumerate(["ACTIVE"] * 4 + ["ERROR"]):
                member = {"name": f"g{number}", "imageRef": image, "flavorRef": "1", "networks": "none"}
                made = await api.ok("POST", "/compute/v2.1/servers", {"server": member, **hints})
                await api.reach(made["server"]["id"], status)
                count += 1
        command = [sys.executable, "-m", "novakit", "simulate", str(trace), "--record", "--state", str(state)]
        assert subprocess.run(command, check=False).returncode == 0
    with trace.open("rb") as found:
        events = lines.read(found).events
    assert len([event for event in events if event.built]) == count - 1
    assert len([event for event in events if event.release]) == 2
    command = [sys.executable, "-m", "novakit", "simulate", str(trace), "--config", str(state / "novakit.toml")]
    told = orjson.loads(subprocess.run([*command, "--format", "json"], capture_output=True, check=True).stdout)
    assert (told["given"]["placed"], told["given"]["failed"], told["given"]["as_recorded"]) == (count - 1, 1, count)
