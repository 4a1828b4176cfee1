"""How long an honest client waits while 1,000 hostile connections are open, from its own address and from others."""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.hostile import Crowd
from tests.support.service import Api, Service

HOSTILE = 1000
REQUESTS = 400


def run() -> list[dict[str, Any]]:
    """Measure without and with the crowd."""
    with tempfile.TemporaryDirectory() as directory, Service(Path(directory) / "state") as service:
        return asyncio.run(_measure(service))


async def _measure(service: Service) -> list[dict[str, Any]]:
    async with aiohttp.ClientSession() as session:
        api = await Api.login(service, session)
        lines = [{"bench": "front", "kind": "quiet", "clients": 0, **await _asked(api, service)}]
        crowd = await _apart(service.port)
        try:
            await asyncio.sleep(3)
            lines.append({"bench": "front", "kind": "hostile", "clients": HOSTILE, **await _asked(api, service)})
        finally:
            crowd.terminate()
            await crowd.wait()
    return lines


async def _apart(port: int) -> asyncio.subprocess.Process:
    """Run the crowd in a process of its own: its work is not the honest client's."""
    import sys

    return await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.perf.front", str(port))


async def _asked(api: Api, service: Service) -> dict[str, Any]:
    times, began, cpu = [], time.monotonic(), service.cpu_seconds()
    for number in range(REQUESTS):
        # Each fourth request comes on a connection of its own, as a command line's does.
        headers = {"Connection": "close"} if number % 4 == 0 else {}
        started = time.monotonic()
        await api.ok("GET", "/compute/v2.1/servers", headers=headers)
        times.append(time.monotonic() - started)
        await asyncio.sleep(0.02)
    times.sort()
    seconds = time.monotonic() - began
    return {
        "median_ms": round(times[len(times) // 2] * 1000, 1),
        "p99_ms": round(times[int(len(times) * 0.99)] * 1000, 1),
        "cpu_share": round((service.cpu_seconds() - cpu) / seconds, 2),
        "rss_mb": round(service.rss_mb(), 1),
    }


async def _crowd(port: int) -> None:
    async with Crowd("127.0.0.1", port, HOSTILE):
        await asyncio.sleep(600)


if __name__ == "__main__":
    import sys

    asyncio.run(_crowd(int(sys.argv[1])))
