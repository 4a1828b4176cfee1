"""A compute host that has been taken over: its credential opens nothing but its own door."""

from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.functional.roles.intruder import Intruder
from tests.functional.roles.processes import ROLES, Roles
from tests.support.service import Api

HONEST, ROGUE = "honest", "rogue"


@pytest.fixture
def roles(tmp_path: Path) -> Iterator[Roles]:
    with Roles(tmp_path / "state") as made:
        (made.state / "novakit.toml").write_text(f'[agent]\nhost = "{HONEST}"\n')
        yield made


@pytest.mark.slow
async def test_a_host_that_was_taken_over_changes_nothing_that_is_not_its_own(roles: Roles) -> None:
    for role in ROLES:
        roles.spawn(role)
    roles.ready(*ROLES)
    async with aiohttp.ClientSession() as session:
        admin = await Api.login(roles.service, session, "novakit-admin")
        image, network = await admin.image(content=bytes(512)), await admin.network()
        server_id = await admin.server("victim", image, networks=[{"uuid": network}])
        (victim,) = await admin.settled()
        assert (victim["status"], victim["OS-EXT-SRV-ATTR:host"]) == ("ACTIVE", HONEST)
        address = next(iter(victim["addresses"].values()))[0]["addr"]
        question = {"network_id": network, "ip": address, "path": "/openstack/latest/meta_data.json"}

        await _impersonation_is_refused(roles.state)
        await _false_reports_change_nothing(roles.state, server_id)
        await _others_are_out_of_reach(roles.state)
        async with Intruder.joined(roles.state, f"agent:{ROGUE}", f"agent:{ROGUE}") as rogue:
            assert (await rogue.read())["t"] == "welcome"
            assert (await rogue.call("conductor", "metadata", question))["ok"] is None
        async with Intruder.joined(roles.state, f"agent:{HONEST}", f"agent:{HONEST}") as honest:
            assert (await honest.read())["t"] == "welcome"
            assert server_id in (await honest.call("conductor", "metadata", question))["ok"]["body"]

        assert await admin.settled() == [victim], "nothing about the server has changed"
        await admin.ok("POST", f"/compute/v2.1/servers/{server_id}/action", {"os-stop": None})
        (stopped,) = await admin.settled()
        assert stopped["status"] == "SHUTOFF", "the honest host is still the one that is asked"
        found = (await admin.ok("GET", "/novakit/v1/audit"))["audit"]
        assert found["orphaned"] == [] and found["unchecked"] == [ROGUE], found


async def _impersonation_is_refused(state: Path) -> None:
    for identity in (f"agent:{HONEST}", "conductor", "api", "scheduler", ""):
        async with Intruder.joined(state, identity, f"agent:{ROGUE}") as rogue:
            assert (await rogue.read())["t"] == "refused"
            assert await rogue.closed()


async def _false_reports_change_nothing(state: Path, server_id: str) -> None:
    async with Intruder.joined(state, f"agent:{ROGUE}", f"agent:{ROGUE}") as rogue:
        assert (await rogue.read())["t"] == "welcome"
        facts = {
            "hypervisor_type": "simulated",
            "hypervisor_version": 1,
            "hypervisor_hostname": HONEST,
            "inventory": {},
        }
        for guests in ([], [{"id": server_id, "power": "running", "why": ""}], []):
            body = {"facts": facts, "guests": guests, "building": [server_id], "started": False}
            assert "error" not in await rogue.call("conductor", "report_host", {"report": body})
        for power in ("shutdown", "crashed"):
            event = {"guest": server_id, "power": power, "why": "I say so"}
            assert "error" not in await rogue.call("conductor", "guest_event", {"event": event})
        for nonsense in ({}, {"facts": [], "guests": 7, "building": None, "started": "x"}):
            assert (await rogue.call("conductor", "report_host", {"report": nonsense}))["kind"] == "BadCall"


async def _others_are_out_of_reach(state: Path) -> None:
    async with Intruder.joined(state, f"agent:{ROGUE}", f"agent:{ROGUE}") as rogue:
        assert (await rogue.read())["t"] == "welcome"
        for target, method in (("scheduler", "select"), (f"agent.{HONEST}", "destroy"), ("api", "anything")):
            assert (await rogue.call(target, method, {}))["kind"] == "NotPermitted"
        assert (await rogue.call("conductor", "audit", {}))["kind"] == "NotPermitted"
    for frame in (
        {"t": "serve", "target": f"agent.{HONEST}", "methods": ["set_power", "destroy", "build"]},
        {"t": "serve", "target": "conductor", "methods": ["report_host"]},
        {"t": "listen", "topic": "operations.new"},
    ):
        async with Intruder.joined(state, f"agent:{ROGUE}", f"agent:{ROGUE}") as rogue:
            assert (await rogue.read())["t"] == "welcome"
            rogue.send(**frame)
            assert await rogue.closed(), frame
