"""How fast servers are made, listed and deleted, and how soon a service that has many is back after a restart."""

import asyncio
import os
import re
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.service import Api, Service

COUNT = 500
HOSTS = 20
CLIENTS = 16
LISTED = 1000
ALONE = 30
"""Servers that are made one after another, beside none and beside those of all clients."""
MANY, HOSTS_OF_MANY = 2000, 40
"""A simulated host has 64 virtual CPUs, and each server has one."""
REPORTS = "[agent]\nreport_every = 3600.0\n"
"""What hosts report each minute is a dozen statements for each, whatever is asked for meanwhile. By chance it fell into
the seconds in which servers are made alone, or into the idle ones that are taken off."""
COUNTED = ("statements", "transactions", "flushes")
"""What the service counts of what it asks of its database."""


async def _measure(service: Service, count: int) -> list[dict[str, Any]]:
    async with aiohttp.ClientSession() as session:
        admin = await Api.login(service, session, "novakit-admin")
        api = await Api.login(service, session)
        await _unlimit(admin, api)
        image, network = await api.image(), await api.network()
        await api.server("warm-up", image, networks=[{"uuid": network}])
        await api.settled()
        alone = await _alone(service, api, image, network)
        times: list[float] = []
        numbers = iter(range(count))

        async def client() -> None:
            for number in numbers:
                began = time.perf_counter()
                await api.server(f"s{number}", image, networks=[{"uuid": network}])
                times.append((time.perf_counter() - began) * 1000)

        one_by_one = []
        for number in range(30):
            began = time.perf_counter()
            await api.server(f"single{number}", image, networks=[{"uuid": network}])
            one_by_one.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.05)
        await api.settled()
        asked, cpu, began = await _asked(api), service.cpu_seconds(), time.perf_counter()
        await asyncio.gather(*(client() for _ in range(CLIENTS)))
        posted = time.perf_counter() - began
        while True:
            listing = await api.ok("GET", "/compute/v2.1/servers?status=BUILD&limit=1")
            if not listing["servers"]:
                break
            # A twentieth of a second late would be 3 % of what is measured.
            await asyncio.sleep(0.01)
        elapsed, cpu = time.perf_counter() - began, service.cpu_seconds() - cpu
        asked = {name: count - asked[name] for name, count in (await _asked(api)).items()}
        rss = service.rss_mb()
        servers = await api.settled()
        active = sum(each["status"] == "ACTIVE" for each in servers)
        made_before = 1 + 2 * ALONE + 30
        assert active == count + made_before, f"{active} of {count + made_before} are ACTIVE"
        alone += await _alone(service, api, image, network)
        lists = await _lists(service, api, image, network)
    one_by_one.sort()
    times.sort()
    made = {
        "bench": "servers.create",
        "servers": count,
        "hosts": HOSTS,
        "cores": os.cpu_count(),
        "post_median_ms": round(statistics.median(one_by_one), 2),
        "post_p99_ms": round(one_by_one[int(len(one_by_one) * 0.99)], 2),
        "post_loaded_median_ms": round(statistics.median(times), 2),
        "post_loaded_p99_ms": round(times[int(len(times) * 0.99)], 2),
        "posted_s": round(posted, 2),
        "active_per_s": round(count / elapsed, 1),
        "cpu_ms_per_server": round(cpu / count * 1000, 2),
        **{f"{name}_per_server": round(number / count, 2) for name, number in asked.items()},
        "rss_mb": round(rss, 1),
    }
    return [made, *alone, *lists]


async def _unlimit(admin: Api, api: Api) -> None:
    """Give a project as much as it asks for."""
    unlimited = {"quota_set": {"instances": -1, "cores": -1, "ram": -1, "force": True}}
    await admin.ok("PUT", f"/compute/v2.1/os-quota-sets/{api.project_id}", unlimited, version="2.56")
    await admin.ok("PUT", f"/network/v2.0/quotas/{api.project_id}", {"quota": {"port": -1}})


async def _asked(api: Api) -> dict[str, float]:
    """Read what the service has asked of its database so far."""
    status, text = await api.call("GET", "/metrics")
    assert status == 200
    return {
        name: float(re.search(rf"^novakit_store_{name}_total (\S+)$", text.decode(), re.MULTILINE)[1])
        for name in COUNTED
    }


async def _alone(service: Service, api: Api, image: str, network: str, count: int = ALONE) -> list[dict[str, Any]]:
    """Make servers one after another, each once nothing else is under way: how soon each is there, and what it costs.

    Twice, as a client that asks every 5 ms to see the moment makes the service do more than the server it asks for.
    """

    async def made_and_asked_for_once() -> None:
        for number in range(count):
            server = await api.server(f"alone{number}", image, networks=[{"uuid": network}])
            await asyncio.sleep(0.5)
            assert await _is_active(api, server), f"{server} is not ACTIVE after half a second"

    there = len((await api.ok("GET", "/compute/v2.1/servers?limit=1000"))["servers"])
    times = []
    for number in range(count):
        began = time.perf_counter()
        server = await api.server(f"timed{number}", image, networks=[{"uuid": network}])
        while not await _is_active(api, server):
            await asyncio.sleep(0.005)
        times.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.2)
    times.sort()
    await asyncio.sleep(5)
    idle = await _spent(service, api, lambda: asyncio.sleep(5))
    spent = await _spent(service, api, made_and_asked_for_once)
    each = {name: (number - idle[name] / idle["s"] * spent["s"]) / count for name, number in spent.items()}
    about = {"beside": there, "servers": count, "hosts": HOSTS}
    median, p99 = round(statistics.median(times), 1), round(times[int(len(times) * 0.99)], 1)
    return [
        {"bench": "servers.alone_asked_every_5_ms", **about, "to_active_median_ms": median, "to_active_p99_ms": p99},
        {
            "bench": "servers.alone_asked_once",
            **about,
            "cpu_ms_per_server": round(each["cpu_s"] * 1000, 1),
            **{f"{name}_per_server": round(each[name], 1) for name in COUNTED},
            "idle_statements_per_s": round(idle["statements"] / idle["s"], 1),
        },
    ]


async def _spent(service: Service, api: Api, work: Callable[[], Awaitable[None]]) -> dict[str, float]:
    """Return what the service does while `work` is done: CPU and time in seconds, and what it asks of its database.

    What it takes to read these is not in the CPU.
    """
    before = await _asked(api)
    cpu, began = service.cpu_seconds(), time.perf_counter()
    await work()
    cpu, elapsed = service.cpu_seconds() - cpu, time.perf_counter() - began
    after = await _asked(api)
    return {"cpu_s": cpu, "s": elapsed, **{name: number - before[name] for name, number in after.items()}}


async def _is_active(api: Api, server: str) -> bool:
    """Ask for a server as a client does that waits for it."""
    found = await api.ok("GET", f"/compute/v2.1/servers/{server}")
    return bool(found["server"]["status"] == "ACTIVE")


async def _lists(service: Service, api: Api, image: str, network: str, count: int = LISTED) -> list[dict[str, Any]]:
    """Ask for whole lists of `count` servers and of their ports."""
    there = len((await api.ok("GET", "/compute/v2.1/servers?limit=1000"))["servers"])
    for number in range(there, count):
        await api.server(f"listed{number}", image, networks=[{"uuid": network}])
    await api.settled()
    return [
        await _list(service, api, "servers.list", f"/compute/v2.1/servers?limit={count}", count),
        await _list(service, api, "servers.list_detail", f"/compute/v2.1/servers/detail?limit={count}", count),
        await _list(service, api, "ports.list", f"/network/v2.0/ports?limit={count}", count),
    ]


async def _list(service: Service, api: Api, name: str, path: str, count: int) -> dict[str, Any]:
    """Ask for one list again and again; the time of one ends with its last byte, before the client reads the JSON."""
    times, cpu = [], service.cpu_seconds()
    for _ in range(20):
        began = time.perf_counter()
        async with api.session.get(api.url + path, headers=api.headers()) as answer:
            assert answer.status == 200
            await answer.read()
        times.append((time.perf_counter() - began) * 1000)
    cpu = (service.cpu_seconds() - cpu) / 20 * 1000
    figures = {"median_ms": round(statistics.median(times), 1), "cpu_ms": round(cpu, 1)}
    return {"bench": name, "servers": count, **figures, "rss_mb": round(service.rss_mb(), 1)}


async def _fill(service: Service, count: int) -> dict[str, Any]:
    """Make so many servers, and list their ports."""
    async with aiohttp.ClientSession() as session:
        admin = await Api.login(service, session, "novakit-admin")
        api = await Api.login(service, session)
        await _unlimit(admin, api)
        image, network = await api.image(), await api.network()
        numbers = iter(range(count))

        async def client() -> None:
            for number in numbers:
                await api.server(f"many{number}", image, networks=[{"uuid": network}])

        await asyncio.gather(*(client() for _ in range(CLIENTS)))
        active = sum(each["status"] == "ACTIVE" for each in await api.settled(600))
        assert active == count, f"{active} of {count} are ACTIVE"
        return await _list(service, api, "ports.list", f"/network/v2.0/ports?limit={count}", count)


def _restart(service: Service, count: int) -> dict[str, Any]:
    """Stop a service that has so many servers, and start it again."""
    service.stop()
    began = time.perf_counter()
    service.start()
    figures = {"ready_s": round(time.perf_counter() - began, 2), "cpu_s": round(service.cpu_seconds(), 2)}
    return {"bench": "service.restart", "servers": count, "hosts": HOSTS_OF_MANY, **figures}


async def _deletes(service: Service, count: int) -> dict[str, Any]:
    """Delete so many, which are all there are, for as many clients as made them."""
    async with aiohttp.ClientSession() as session:
        return await _delete_all(service, await Api.login(service, session), count)


async def _delete_all(service: Service, api: Api, count: int) -> dict[str, Any]:
    left = [each["id"] for each in await api.settled()]
    assert len(left) == count, f"there are {len(left)} servers and not {count}"
    cpu, began = service.cpu_seconds(), time.perf_counter()

    async def client() -> None:
        while left:
            await api.ok("DELETE", f"/compute/v2.1/servers/{left.pop()}")

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    while (await api.ok("GET", "/compute/v2.1/servers?limit=1"))["servers"]:
        await asyncio.sleep(0.1)
    elapsed, cpu = time.perf_counter() - began, service.cpu_seconds() - cpu
    return {
        "bench": "servers.delete",
        "servers": count,
        "hosts": HOSTS_OF_MANY,
        "seconds": round(elapsed, 1),
        "deleted_per_s": round(count / elapsed, 1),
        "cpu_ms_per_server": round(cpu / count * 1000, 2),
    }


def run(count: int = COUNT) -> list[dict[str, Any]]:
    """Measure on a service of its own."""
    with tempfile.TemporaryDirectory() as directory:
        seldom = Path(directory) / "seldom.toml"
        seldom.write_text(REPORTS)
        service = Service(Path(directory) / "state", "--simulate", str(HOSTS), "--config", str(seldom))
        began = time.perf_counter()
        with service:
            ready = time.perf_counter() - began
            time.sleep(2)
            idle_mb, idle_cpu = service.rss_mb(), service.cpu_seconds()
            time.sleep(3)
            idle_cpu = (service.cpu_seconds() - idle_cpu) / 3 * 100
            start = {
                "bench": "service.start",
                "hosts": HOSTS,
                "ready_s": round(ready, 2),
                "idle_rss_mb": round(idle_mb, 1),
                "idle_cpu_percent": round(idle_cpu, 2),
            }
            measured = asyncio.run(_measure(service, count))
        many = Service(Path(directory) / "many", "--simulate", str(HOSTS_OF_MANY))
        with many:
            ports = asyncio.run(_fill(many, MANY))
            restarted = _restart(many, MANY)
            return [start, *measured, ports, restarted, asyncio.run(_deletes(many, MANY))]
