"""Measurements through the whole service: from the host by its reports to filters, weighers and records."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest

from tests.support.service import Api, Service

HOSTS = 3
METRICS = {
    "sim-1": {"power_usage_watts": 400, "cpu.percent": 60, "uptime_hours": 2, "failure_rate": 0.5},
    "sim-2": {"power_usage_watts": 100, "cpu.percent": 60, "uptime_hours": 30, "failure_rate": 0.5},
    "sim-3": {"cpu.percent": 60, "uptime_hours": 30, "failure_rate": 0.0},
}
MAX_AGE = 6.0
CONFIG = """
[agent]
host = "sim"
report_every = 0.5
compute_monitors = []

[drivers.simulated]
topology = "{topology}"

[scheduler]
metrics_max_age = {max_age}
weighers = {{"{weigher}" = 1.0}}

[filters.metrics]
enabled = {required}
required = ["power.usage_watts"]
"""


@attrs.frozen
class Cloud:
    """A service whose hosts measure what a file says."""

    service: Service
    topology: Path

    def measure(self, metrics: dict[str, dict[str, float]]) -> None:
        """Let the hosts measure this from now on."""
        new = self.topology.with_suffix(".new")
        new.write_text(json.dumps({"hosts": {host: {"metrics": found} for host, found in metrics.items()}}))
        new.replace(self.topology)

    def explain(self, server: str) -> str:
        command = [sys.executable, "-m", "novakit", "explain", "--state", str(self.service.state), server]
        command += ["--format", "json"]
        return subprocess.run(command, text=True, capture_output=True, timeout=60, check=False).stdout


def start(tmp_path: Path, weigher: str, *, required: bool = False) -> Cloud:
    state = tmp_path / "state"
    state.mkdir()
    cloud = Cloud(Service(state, "--simulate", str(HOSTS)), tmp_path / "topology.json")
    cloud.measure(METRICS)
    (state / "novakit.toml").write_text(
        CONFIG.format(
            topology=cloud.topology, max_age=MAX_AGE, weigher=weigher, required="true" if required else "false"
        )
    )
    cloud.service.start()
    return cloud


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def weights(admin: Api, weigher: str) -> dict[str, float]:
    """Give each host's share by the weigher, to three digits, in a dry run."""
    told = (await admin.ok("POST", "/novakit/v1/explain", {"flavor": "1"}))["decision"]
    return {one["host"]: round(one["by"][weigher], 3) for one in told.get("weights", ())}


async def until(admin: Api, weigher: str, wanted: dict[str, float]) -> None:
    """Wait until a dry run weighs the hosts so."""
    found: dict[str, float] = {}
    try:
        async with asyncio.timeout(60):
            while (found := await weights(admin, weigher)) != wanted:
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(f"{found} never became {wanted}")


async def created(api: Api, admin: Api) -> tuple[str, str]:
    """Make a server; give its id and host."""
    server = await api.server("one", await api.image())
    await api.reach(server, "ACTIVE")
    shown = (await admin.ok("GET", f"/compute/v2.1/servers/{server}"))["server"]
    return server, str(shown["OS-EXT-SRV-ATTR:host"])


@pytest.mark.slow
async def test_a_server_goes_to_the_efficient_host_until_nothing_is_told_any_more(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    cloud = start(tmp_path, "energy_efficiency")
    with_readings = {"sim-1": 0.0, "sim-2": 1.0, "sim-3": 0.5}
    try:
        api, admin = await Api.login(cloud.service, session), await Api.login(cloud.service, session, "novakit-admin")
        await until(admin, "energy_efficiency", with_readings)
        assert (await created(api, admin))[1] == "sim-2"
        cloud.measure({**METRICS, "sim-1": {**METRICS["sim-1"], "power_usage_watts": 50}})
        await until(admin, "energy_efficiency", {"sim-1": 1.0, "sim-2": 0.0, "sim-3": 0.5})
        cloud.measure({})
        moment = asyncio.get_running_loop().time()
        await until(admin, "energy_efficiency", dict.fromkeys(METRICS, 0.0))
        took = asyncio.get_running_loop().time() - moment
        assert took > MAX_AGE / 3, "what is told no longer counts for a while"
        services = (await admin.ok("GET", "/compute/v2.1/os-services?binary=nova-compute"))["services"]
        assert {one["state"] for one in services} == {"up"}
        cloud.measure(METRICS)
        await until(admin, "energy_efficiency", with_readings)
    finally:
        cloud.service.__exit__()


@pytest.mark.slow
async def test_the_proven_host_wins_and_one_that_does_not_measure_is_removed(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    cloud = start(tmp_path, "production", required=True)
    try:
        api, admin = await Api.login(cloud.service, session), await Api.login(cloud.service, session, "novakit-admin")
        await until(admin, "production", {"sim-1": 0.0, "sim-2": 1.0})
        server, host = await created(api, admin)
        assert host == "sim-2"
        (record,) = json.loads(cloud.explain(server))
        assert metrics_stage(record) == (3, 2)
        assert "too few measurements" in json.dumps(record["filters"]), record

        cloud.measure({**METRICS, "sim-3": {**METRICS["sim-3"], "power_usage_watts": 500}})
        await until(admin, "production", {"sim-1": 0.0, "sim-2": pytest.approx(0.5, abs=0.25), "sim-3": 1.0})
        cloud.measure({})
        await until(admin, "production", {})
        refused = await api.server("none", await api.image())
        fault = (await api.reach(refused, "ERROR"))["fault"]["message"]
        assert "measurements" in fault
        (record,) = json.loads(cloud.explain(refused))
        assert metrics_stage(record) == (3, 0)
        assert "power.usage_watts" in json.dumps(record["filters"])
    finally:
        cloud.service.__exit__()


def metrics_stage(record: dict[str, Any]) -> tuple[int, int]:
    (stage,) = [one for one in record["filters"] if one["name"] == "metrics"]
    return stage["before"], stage["after"]
