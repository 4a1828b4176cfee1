"""Two schedulers, each a process: both know what hosts measure and which fail, and each has a name of its own."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.functional.roles.processes import Roles
from tests.support.service import Api

HOSTS = ("sim-1", "sim-2", "sim-3", "sim-4")
WATTS = dict(zip(HOSTS, (100, 200, 300, 400), strict=True))
OPTIONS = """
[agent]
host = "sim"
report_every = 0.5

[drivers.simulated]
topology = "{topology}"
fail_hosts = ["sim-1", "sim-2"]

[scheduler]
max_attempts = 3

[scheduler.weighers]
metrics = 1.0
build_failure = 10.0

[weighers.metrics]
weights = {{"power.usage-watts" = -1.0}}
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def roles(tmp_path: Path) -> Iterator[Roles]:
    with Roles(tmp_path / "state") as made:
        topology = tmp_path / "topology.json"
        hosts = {name: {"metrics": {"power_usage_watts": watts}} for name, watts in WATTS.items()}
        topology.write_text(json.dumps({"hosts": hosts}))
        (made.state / "novakit.toml").write_text(OPTIONS.format(topology=topology))
        made.spawn("conductor")
        made.spawn("api")
        made.spawn("agent", "--simulate", str(len(HOSTS)))
        made.spawn("scheduler", name="scheduler-1")
        made.spawn("scheduler", "--name", "second", name="second")
        made.ready(*made.processes)
        yield made


async def ranked(admin: Api, *wanted: str) -> None:
    """Wait until each of the two schedulers ranks the hosts so."""
    told: dict[str, Any] = {}
    async with asyncio.timeout(60):
        while told != {name: list(wanted) for name in ("scheduler-1", "second")}:
            decision = (await admin.ok("POST", "/novakit/v1/explain", {"flavor": "1"}))["decision"]
            told[decision["scheduler"]] = [one["host"] for one in decision.get("weights", ())]
            await asyncio.sleep(0.02)


async def test_both_heed_what_hosts_measure_and_send_a_create_on_from_hosts_that_fail(roles: Roles) -> None:
    async with aiohttp.ClientSession() as session:
        admin = await Api.login(roles.service, session, "novakit-admin")
        image = await admin.image(content=bytes(512))
        await ranked(admin, *HOSTS)

        server = await admin.server("first", image)
        shown = await admin.reach(server, "ACTIVE")
        assert shown["OS-EXT-SRV-ATTR:host"] == "sim-3"
        tries = (await admin.ok("GET", f"/novakit/v1/decisions?server_id={server}"))["decisions"][::-1]
        assert [one["host"] for one in tries] == ["sim-1", "sim-2", "sim-3"]
        assert [one.get("next_best_of") for one in tries[1:]] == [one["id"] for one in tries[:-1]]
        assert {one["scheduler"] for one in tries} <= {"scheduler-1", "second"}

        await ranked(admin, "sim-3", "sim-4", "sim-1", "sim-2")
        await asyncio.gather(*(admin.server(f"more-{number}", image) for number in range(8)))
        assert {each["OS-EXT-SRV-ATTR:host"] for each in await admin.settled()} == {"sim-3"}
        found = (await admin.ok("GET", "/novakit/v1/audit"))["audit"]
        assert found["orphaned"] == [] and found["unchecked"] == [], found

        counted = (await admin.ok("GET", "/novakit/v1/scheduler"))["schedulers"]
        assert [one["scheduler"] for one in counted] == ["scheduler-1", "second"]
        assert sum(one["placed"] for one in counted) == 11
        async with session.get(f"{roles.url}/metrics") as answer:
            text = await answer.text()
        for name in ("scheduler-1", "second"):
            assert f'novakit_scheduler_conflicts_total{{scheduler="{name}"}} ' in text

    roles.spawn("scheduler", "--name", "second", name="twin")
    assert roles.processes.pop("twin").wait(60) == 2
    said = (roles.state / "twin.out").read_text()
    assert "is called second; choose another --name" in said
    roles.spawn("scheduler", name="third")
    roles.ready("third")
    log = (roles.state / "third.out").read_text()
    assert "scheduler-2" in log
