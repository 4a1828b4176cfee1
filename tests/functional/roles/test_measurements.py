"""What hosts measure reaches a scheduler in another process, and nobody can tell of another host's."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.functional.roles.intruder import Intruder
from tests.functional.roles.processes import ROLES, Roles
from tests.support.service import Api

HONEST, ROGUE = "honest", "rogue"
CONFIG = """
[agent]
host = "{host}"
report_every = 0.5
compute_monitors = ["uptime"]

[drivers.simulated]
topology = "{topology}"

[scheduler.weighers]
metrics = 1.0

[weighers.metrics]
required = false
missing = -1e6
weights = {{"power.usage-watts" = -1.0}}
"""


def facts(hostname: str) -> dict[str, Any]:
    inventory = {name: {"total": total} for name, total in (("VCPU", 8), ("MEMORY_MB", 8192), ("DISK_GB", 100))}
    return {
        "hypervisor_type": "simulated",
        "hypervisor_version": 1,
        "hypervisor_hostname": hostname,
        "supported_instances": [["x86_64", "simulated", "hvm"]],
        "inventory": inventory,
    }


async def tell(state: Path, hostname: str, metrics: Any) -> None:
    """Report as the rogue's agent."""
    async with Intruder.joined(state, f"agent:{ROGUE}", f"agent:{ROGUE}") as rogue:
        assert (await rogue.read())["t"] == "welcome"
        report = {"facts": facts(hostname), "metrics": metrics, "started": False}
        reply = await rogue.call("conductor", "report_host", {"report": report})
        assert "error" not in reply, reply


async def best_hosts(admin: Api, *wanted: str) -> None:
    """Wait until a dry run ranks the hosts so."""
    async with asyncio.timeout(60):
        while True:
            told = (await admin.ok("POST", "/novakit/v1/explain", {"flavor": "1"}))["decision"]
            if [one["host"] for one in told.get("weights", ())] == list(wanted):
                return
            await asyncio.sleep(0.1)


@pytest.mark.slow
async def test_measurements_cross_the_bus_and_are_of_the_host_that_told_them(tmp_path: Path) -> None:
    with Roles(tmp_path / "state") as roles:
        topology = tmp_path / "topology.json"
        topology.write_text(json.dumps({"hosts": {HONEST: {"metrics": {"power_usage_watts": 250}}}}))
        (roles.state / "novakit.toml").write_text(CONFIG.format(host=HONEST, topology=topology))
        roles.start(*ROLES)
        async with aiohttp.ClientSession() as session:
            admin = await Api.login(roles.service, session, "novakit-admin")
            await tell(roles.state, ROGUE, {"power_usage_watts": 300})
            await best_hosts(admin, HONEST, ROGUE)
            await tell(roles.state, ROGUE, {"power_usage_watts": 200})
            await best_hosts(admin, ROGUE, HONEST)
            await tell(roles.state, ROGUE, {f"made_up_{n}": n for n in range(10_000)} | {"power_usage_watts": 1})
            await best_hosts(admin, HONEST, ROGUE)

            for nonsense in ({"power_usage_watts": "200"}, {"power_usage_watts": None}, {"power_usage_watts": [1]}):
                await tell(roles.state, ROGUE, nonsense)
            for name in (HONEST, "agent:honest"):
                await tell(roles.state, name, {"power_usage_watts": 1e9})
            await best_hosts(admin, HONEST, ROGUE)
            services = (await admin.ok("GET", "/compute/v2.1/os-services?binary=nova-compute"))["services"]
            assert {one["host"] for one in services} == {HONEST, ROGUE}
