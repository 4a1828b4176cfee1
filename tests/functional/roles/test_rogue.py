"""A compute host that has been taken over: its credential opens nothing but its own door.

The processes are those that a reader of `docs/how-to/run-roles-apart.md` has, and the rogue has what such a host has.
"""

import asyncio
import itertools
import shutil
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aiohttp
import pytest

from novakit import world
from novakit.bus import enrolments
from tests.functional.roles.intruder import Intruder
from tests.functional.roles.page import HOST, AsThePageSays, lines
from tests.functional.roles.processes import ROLES
from tests.support.service import Api

HONEST, ROGUE = HOST, "rogue"


@pytest.fixture
def roles(tmp_path: Path) -> Iterator[AsThePageSays]:
    with AsThePageSays(tmp_path) as made:
        made.start("conductor")
        made.enrol(HONEST)
        made.start(*(role for role in ROLES if role != "conductor"))
        made.enrol(ROGUE)
        yield made


def rogue(roles: AsThePageSays, identity: str = f"agent:{ROGUE}") -> AbstractAsyncContextManager[Intruder]:
    return Intruder.with_file(enrolments.directory(roles.directory / ROGUE) / f"agent.{ROGUE}", identity)


@pytest.mark.slow
async def test_a_host_that_was_taken_over_changes_nothing_that_is_not_its_own(roles: AsThePageSays) -> None:
    async with aiohttp.ClientSession() as session:
        admin = await Api.login(roles.service, session, "novakit-admin")
        image, network = await admin.image(content=bytes(512)), await admin.network()
        server_id = await admin.server("victim", image, networks=[{"uuid": network}])
        (victim,) = await admin.settled()
        assert (victim["status"], victim["OS-EXT-SRV-ATTR:host"]) == ("ACTIVE", HONEST)
        address = next(iter(victim["addresses"].values()))[0]["addr"]
        question = {"network_id": network, "ip": address, "path": "/openstack/latest/meta_data.json"}

        await _impersonation_is_refused(roles)
        await _false_reports_change_nothing(roles, server_id)
        await _others_are_out_of_reach(roles)
        async with rogue(roles) as other:
            assert (await other.read())["t"] == "welcome"
            assert (await other.call("conductor", "metadata", question))["ok"] is None

        assert await admin.settled() == [victim], "nothing about the server has changed"
        await admin.ok("POST", f"/compute/v2.1/servers/{server_id}/action", {"os-stop": None})
        (stopped,) = await admin.settled()
        assert stopped["status"] == "SHUTOFF", "the honest host is still the one that is asked"
        found = (await admin.ok("GET", "/novakit/v1/audit"))["audit"]
        assert found["orphaned"] == [] and found["unchecked"] == [ROGUE], found

        roles.kill("agent")
        own = enrolments.directory(roles.host_state) / f"agent.{HONEST}"
        async with Intruder.with_file(own, f"agent:{HONEST}") as honest:
            assert (await honest.read())["t"] == "welcome"
            assert server_id in (await honest.call("conductor", "metadata", question))["ok"]["body"]


async def _impersonation_is_refused(roles: AsThePageSays) -> None:
    for identity in (f"agent:{HONEST}", "conductor", "api", "scheduler", "scheduler:scheduler-1", ""):
        async with rogue(roles, identity) as other:
            assert (await other.read())["t"] == "refused"
            assert await other.closed()


async def _false_reports_change_nothing(roles: AsThePageSays, server_id: str) -> None:
    async with rogue(roles) as other:
        assert (await other.read())["t"] == "welcome"
        facts = {
            "hypervisor_type": "simulated",
            "hypervisor_version": 1,
            "hypervisor_hostname": HONEST,
            "inventory": {},
        }
        for guests in ([], [{"id": server_id, "power": "running", "why": ""}], []):
            body = {"facts": facts, "guests": guests, "building": [server_id], "started": False}
            assert "error" not in await other.call("conductor", "report_host", {"report": body})
        for power in ("shutdown", "crashed"):
            event = {"guest": server_id, "power": power, "why": "I say so"}
            assert "error" not in await other.call("conductor", "guest_event", {"event": event})
        for nonsense in ({}, {"facts": [], "guests": 7, "building": None, "started": "x"}):
            assert (await other.call("conductor", "report_host", {"report": nonsense}))["kind"] == "BadCall"


async def _others_are_out_of_reach(roles: AsThePageSays) -> None:
    async with rogue(roles) as other:
        assert (await other.read())["t"] == "welcome"
        for target, method in (("scheduler", "select"), (f"agent.{HONEST}", "destroy"), ("api", "anything")):
            assert (await other.call(target, method, {}))["kind"] == "NotPermitted"
        for method in ("audit", "counts"):
            assert (await other.call("conductor", method, {}))["kind"] == "NotPermitted"
    for frame in (
        {"t": "serve", "target": f"agent.{HONEST}", "methods": ["set_power", "destroy", "build"]},
        {"t": "serve", "target": "conductor", "methods": ["report_host"]},
        {"t": "listen", "topic": "operations.new"},
        {"t": "publish", "topic": "operations.new", "body": {}},
    ):
        async with rogue(roles) as other:
            assert (await other.read())["t"] == "welcome"
            other.send(**frame)
            assert await other.closed(), frame


@pytest.mark.slow
async def test_several_hosts_that_were_taken_over_keep_no_honest_one_from_its_work(roles: AsThePageSays) -> None:
    """They report guests that nobody knows and answer nothing, and ask what guests ask, as fast as they can."""
    names = [ROGUE, *(f"rogue-{number}" for number in range(4))]
    for name in names[1:]:
        roles.enrol(name)
    facts = {"hypervisor_type": "x", "hypervisor_version": 1, "hypervisor_hostname": "x", "inventory": {}}
    strange = [{"id": world.new_id(), "power": "running", "why": ""} for _ in range(300)]
    report = {"facts": facts, "guests": strange, "building": [], "started": False}
    question = {"network_id": world.new_id(), "ip": "10.0.0.9", "path": "/openstack/latest/meta_data.json"}

    async def flood(name: str) -> None:
        path = enrolments.directory(roles.directory / name) / f"agent.{name}"
        async with Intruder.with_file(path, f"agent:{name}") as other:
            assert (await other.read())["t"] == "welcome"
            other.send(t="serve", target=f"agent.{name}", methods=["notes", "destroy", "keep_note"])
            for number in itertools.count(1):
                method, body = [("report_host", {"report": report}), ("metadata", question)][number % 2]
                other.send(t="call", id=number, target="conductor", method=method, body=body, within=3600)
                await other.writer.drain()
                if number % 50 == 0:
                    await asyncio.sleep(0.05)

    async with aiohttp.ClientSession() as session:
        admin = await Api.login(roles.service, session, "novakit-admin")
        image, network = await admin.image(content=bytes(512)), await admin.network()
        floods = [asyncio.ensure_future(flood(name)) for name in names]
        try:
            await asyncio.sleep(2)
            for number in range(3):
                server = await admin.server(f"s{number}", image, networks=[{"uuid": network}])
                shown = await admin.reach(server, "ACTIVE")
                assert shown["OS-EXT-SRV-ATTR:host"] == HONEST
                await admin.ok("DELETE", f"/compute/v2.1/servers/{server}")
                await admin.gone(server)
            services = (await admin.ok("GET", "/compute/v2.1/os-services"))["services"]
            assert {each["state"] for each in services if each["host"] == HONEST} == {"up"}
            assert not any(each.done() and each.exception() for each in floods), "nobody was hung up on"
        finally:
            for each in floods:
                each.cancel()
            await asyncio.gather(*floods, return_exceptions=True)
    assert set(roles.stop().values()) == {0}, "nobody who reads nothing keeps a process from its end"


@pytest.mark.slow
async def test_a_host_reads_nothing_of_the_control_plane_and_its_credential_ends_when_it_is_told_to(
    roles: AsThePageSays,
) -> None:
    async with aiohttp.ClientSession() as session:
        admin = await Api.login(roles.service, session, "novakit-admin")
        image, network = await admin.image(content=bytes(512)), await admin.network()
        server = await admin.server("first", image, networks=[{"uuid": network}])
        await admin.reach(server, "ACTIVE")
        await admin.ok("POST", f"/compute/v2.1/servers/{server}/action", {"shelve": None})
        await admin.reach(server, "SHELVED_OFFLOADED")
    below = {path for path in roles.opened("agent") if roles.state in path.parents or path == roles.state}
    assert below == {roles.state / "bus.sock"}
    assert any(roles.host_state in path.parents for path in roles.opened("agent")), "what it opens is seen"
    assert roles.state / "novakit.db" in roles.opened("conductor")

    agent = roles.command("agent")
    assert "Another agent (process" in roles.refused(agent)
    copied = roles.directory / "copied"
    shutil.copytree(enrolments.directory(roles.host_state), enrolments.directory(copied))
    there = [word.replace(f"./{HONEST}", "./copied") for word in agent]
    assert f"another process is joined as agent:{HONEST}; stop it first" in roles.refused(there)
    misplaced = [word.replace(f"./{HONEST}", "./state") for word in agent]
    assert "is the control plane's" in roles.refused(misplaced)
    stranger = [word.replace(f"./{HONEST}", "./stranger") for word in agent]
    assert "There is no credential" in roles.refused(stranger)

    async with rogue(roles) as other:
        assert (await other.read())["t"] == "welcome"
        assert ROGUE in roles.run("novakit host list --state ./state").stdout
        roles.run(f"novakit host revoke {ROGUE} --state ./state")
        assert await other.closed()
    assert ROGUE not in roles.run("novakit host list --state ./state").stdout
    shutil.copytree(enrolments.directory(roles.directory / ROGUE), enrolments.directory(copied), dirs_exist_ok=True)
    (enrolments.directory(copied) / f"agent.{HONEST}").unlink()
    assert f"the credential is not that of agent:{ROGUE}, or it was rotated or revoked" in roles.refused(there)

    roles.run(f"novakit host rotate {HONEST} --state ./state --into ./{HONEST}")
    async with aiohttp.ClientSession() as session:
        admin = await Api.login(roles.service, session, "novakit-admin")
        await admin.reach(await admin.server("after", image, networks=[{"uuid": network}]), "ACTIVE")


@pytest.mark.slow
async def test_a_scheduler_of_another_user_needs_its_own_directory_and_the_database(tmp_path: Path) -> None:
    with AsThePageSays(tmp_path) as roles:
        roles.start("conductor")
        roles.run("novakit role rotate scheduler --state ./state --into ./apart")
        options = f'database = "sqlite+aiosqlite:///{roles.state}/novakit.db"\n'
        (roles.directory / "apart" / "novakit.toml").write_text(options)
        roles.directory.joinpath("state", "credentials", "scheduler").unlink()
        roles.spawn("scheduler", "--state", "./apart", name="apart")
        roles.ready("apart")
        opened = {path for path in roles.opened("apart") if roles.state in path.parents}
        assert opened - {roles.state / f"novakit.db{end}" for end in ("", "-wal", "-shm")} == {roles.state / "bus.sock"}


def test_the_page_starts_each_role_once_and_says_what_the_tests_run() -> None:
    assert [line.split("--role ")[1].split()[0] for line in lines() if "--role" in line] == [
        "conductor",
        "scheduler",
        "api",
        "agent",
    ]
    assert sum(line.startswith("novakit host enrol") for line in lines()) == 1
