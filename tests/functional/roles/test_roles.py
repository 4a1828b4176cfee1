"""The roles as separate processes: each comes and goes by itself, and knows no more than its own part."""

import asyncio
import importlib.metadata
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.functional.roles.processes import ROLES, Roles
from tests.support.service import Api, free_port


@pytest.fixture
def roles(tmp_path: Path) -> Iterator[Roles]:
    with Roles(tmp_path / "state") as made:
        yield made


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as made:
        yield made


async def _audited(admin: Api) -> None:
    found = (await admin.ok("GET", "/novakit/v1/audit"))["audit"]
    assert found["orphaned"] == [] and found["unchecked"] == [], found


async def _settled(api: Api, **wanted: str) -> None:
    servers = await api.settled()
    assert {each["name"]: each["status"] for each in servers} == wanted, servers


@pytest.mark.slow
async def test_the_service_knows_the_plugins_of_agents_and_schedulers_in_other_processes(roles: Roles) -> None:
    (roles.state / "novakit.toml").write_text("[plugins]\ndisabled = ['weighers:stock']\n")
    for role in reversed(ROLES):
        roles.spawn(role, *(["--simulate", "3"] if role == "agent" else []))
    roles.ready(*ROLES)
    for role in ROLES:
        said = re.search(r"^novakit ready in [\d.]+ s (.*)$", (roles.state / f"{role}.out").read_text(), re.MULTILINE)
        assert said and said[1] == (f"at {roles.url}" if role == "api" else f"as {role}"), "who has no API names none"

    def told(*words: str) -> Any:
        command = [sys.executable, "-m", "novakit", *words, "--state", str(roles.state), "--format", "json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode in (0, 1) and not done.stderr, done.stderr
        return json.loads(done.stdout)

    # An agent tells its plugins with its first report, which comes some seconds after it says that it is ready.
    deadline = time.monotonic() + 60
    while True:
        listed = {f"{row['group']}:{row['name']}": row for row in told("plugin", "list")}
        if {"drivers:simulated", "networks:simulated", "filters:stock"} <= listed.keys() or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.5)
    assert listed["drivers:simulated"]["state"] == "active" and listed["networks:simulated"]["state"] == "active"
    assert (
        listed["drivers:libvirt"]["state"] == "disabled" and "--driver libvirt" in listed["drivers:libvirt"]["reason"]
    )
    assert listed["filters:stock"]["state"] == "active" and listed["weighers:stock"]["state"] == "disabled"
    assert listed["drivers:simulated"]["version"] == importlib.metadata.version("novakit-simulated")
    # Without a word from the command line, doctor looks at the driver that the agents were started with.
    found = {one["check"] for one in told("doctor")}
    assert "drivers:simulated" in found or "driver simulated" in found, found
    assert not any("libvirt" in check for check in found), found


@pytest.mark.slow
async def test_roles_started_at_once_are_one_cloud_and_go_on_when_any_of_them_is_killed(
    roles: Roles, session: aiohttp.ClientSession
) -> None:
    for role in reversed(ROLES):  # those that need something before those that have it
        roles.spawn(role)
    roles.ready(*ROLES)
    admin = await Api.login(roles.service, session, "novakit-admin")
    image, network = await admin.image(content=bytes(512)), await admin.network()

    async def create(name: str) -> str:
        return await admin.server(name, image, networks=[{"uuid": network}])

    first = await create("first")
    await _settled(admin, first="ACTIVE")
    for victim in ("scheduler", "conductor", "agent"):
        roles.kill(victim)
        await create(f"after-{victim}")
        roles.start(victim)
        await _settled(admin, first="ACTIVE", **{f"after-{each}": "ACTIVE" for each in _until(victim)})
    await _audited(admin)
    roles.kill("conductor")
    await admin.ok("DELETE", f"/compute/v2.1/servers/{first}")
    roles.start("conductor")
    await _settled(admin, **{f"after-{each}": "ACTIVE" for each in _until("agent")})
    await _audited(admin)
    assert roles.stop() == dict.fromkeys(ROLES, 0)


def _until(victim: str) -> list[str]:
    order = ["scheduler", "conductor", "agent"]
    return order[: order.index(victim) + 1]


@pytest.mark.slow
async def test_a_second_api_and_a_conductor_with_other_addresses_lead_nobody_away(
    roles: Roles, session: aiohttp.ClientSession
) -> None:
    roles.start("api", "conductor")
    clouds = (roles.state / "clouds.yaml").read_text()
    assert f"{roles.url}/identity" in clouds

    async def catalog() -> set[str]:
        admin = await Api.login(roles.service, session, "novakit-admin")
        found = (await admin.ok("GET", "/identity/v3/endpoints"))["endpoints"]
        return {one["url"].split("/")[2] for one in found}

    assert await catalog() == {f"127.0.0.1:{roles.port}"}
    second = free_port()
    roles.spawn("api", "--listen", f"127.0.0.1:{second}", name="second")
    roles.ready("second")
    assert "Clients are led to the API of process" in (roles.state / "second.out").read_text()
    async with session.get(f"http://127.0.0.1:{second}/identity/v3") as answer:
        assert answer.status == 200
    roles.kill("conductor")
    roles.spawn("conductor", "--listen", f"127.0.0.1:{free_port()}")
    roles.ready("conductor")
    assert (roles.state / "clouds.yaml").read_text() == clouds
    assert await catalog() == {f"127.0.0.1:{roles.port}"}


@pytest.mark.slow
async def test_a_role_holds_nothing_of_the_others(roles: Roles, session: aiohttp.ClientSession) -> None:
    for role in ROLES:
        roles.spawn(role, list_imports=True)
    roles.ready(*ROLES)
    files = {role: (Path("/proc") / str(process.pid) / "fd", process.pid) for role, process in roles.processes.items()}
    opened = {role: {_target(link) for link in folder.iterdir()} for role, (folder, _) in files.items()}
    database = str(roles.state / "novakit.db")
    assert database not in opened["agent"]
    assert all(database in opened[role] for role in ("api", "conductor", "scheduler"))
    drivers = {"libvirt", "pyroute2", "novakit_driver_libvirt", "novakit_net_ovs", "novakit_simulated"}
    for role in ("api", "conductor", "scheduler"):
        tops = {module.partition(".")[0] for module in roles.imported(role)}
        assert "sqlalchemy" in tops and not tops & drivers, role
    agent = roles.imported("agent")
    assert "novakit_simulated.options" in agent
    assert not {module for module in agent if module.partition(".")[0] in ("sqlalchemy", "aiosqlite", "alembic")}


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""


async def test_a_role_that_waits_for_another_stops_when_asked(roles: Roles) -> None:
    for role in ("agent", "scheduler"):
        roles.spawn(role)
    _wait_for(lambda: all(roles.log(role).exists() for role in ("agent", "scheduler")))
    _wait_for(lambda: "waiting for" in (roles.state / "scheduler.log").read_text())
    _wait_for(lambda: "not reached" in roles.log("agent").read_text())
    assert roles.stop() == {"agent": 0, "scheduler": 0}


def _wait_for(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
async def test_a_host_whose_agent_is_killed_or_stopped_or_that_is_disabled_takes_nothing_until_it_is_back(
    roles: Roles, session: aiohttp.ClientSession
) -> None:
    text = "[conductor]\nhost_down_after = 2.0\n[agent]\nheartbeat_every = 0.2\n"
    (roles.state / "novakit.toml").write_text(text)
    roles.start(*ROLES)
    admin = await Api.login(roles.service, session, "novakit-admin")
    image = await admin.image(content=bytes(512))

    async def explained(until: Callable[[str], bool]) -> None:
        async with asyncio.timeout(60):
            while True:
                told = (await admin.ok("POST", "/novakit/v1/explain", {"flavor": "m1.tiny"}))["decision"]
                if until(told["message"]):
                    return
                await asyncio.sleep(0.1)

    await admin.reach(await admin.server("before", image), "ACTIVE")

    def send(number: signal.Signals) -> Callable[[], None]:
        return lambda: roles.processes["agent"].send_signal(number)

    outages: list[tuple[Callable[[], Any], Callable[[], Any]]] = [
        (lambda: roles.kill("agent"), lambda: roles.start("agent")),
        (send(signal.SIGSTOP), send(signal.SIGCONT)),
    ]
    for number, (down, up) in enumerate(outages):
        down()
        await explained(lambda message: "1 down" in message)
        refused = await admin.reach(await admin.server(f"meanwhile-{number}", image), "ERROR")
        assert "1 down" in refused["fault"]["message"]
        up()
        await explained(lambda message: not message)
        await admin.reach(await admin.server(f"after-{number}", image), "ACTIVE")
    (service,) = (await admin.ok("GET", "/compute/v2.1/os-services?binary=nova-compute"))["services"]
    path = f"/compute/v2.1/os-services/{service['id']}"
    await admin.ok("PUT", path, {"status": "disabled", "disabled_reason": "its disk is being replaced"})
    await explained(lambda message: "disabled" in message)
    told = (await admin.ok("POST", "/novakit/v1/explain", {"flavor": "m1.tiny"}))["decision"]
    assert "its disk is being replaced" in json.dumps(told)
    await admin.reach(await admin.server("disabled", image), "ERROR")
    await admin.ok("PUT", path, {"status": "enabled"})
    await explained(lambda message: not message)
    await _audited(admin)
