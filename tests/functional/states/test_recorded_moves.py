"""Random requests, guests that crash, hosts that fail and power cuts: every move of a server is in the table."""

import asyncio
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from novakit.conductor import moves as table
from tests.support.service import Api, Service

OPTIONS = """
[agent]
host = "sim"
report_every = 0.5

[drivers.simulated]
fail_create = 0.3
seed = 7
crash_after = 0.7
shutdown_seconds = 0.05

[scheduler]
max_attempts = 2
"""
RECORDER = """
CREATE TABLE moves (number INTEGER PRIMARY KEY, server TEXT, a TEXT, b TEXT, c TEXT, d TEXT);
CREATE TRIGGER record AFTER UPDATE OF vm_state, task_state ON servers
WHEN old.vm_state IS NOT new.vm_state OR old.task_state IS NOT new.task_state
BEGIN INSERT INTO moves (server, a, b, c, d)
VALUES (new.id, old.vm_state, old.task_state, new.vm_state, new.task_state); END;
"""
ACTIONS = {
    "start": {"os-start": None},
    "stop": {"os-stop": None},
    "reboot": {"reboot": {"type": "SOFT"}},
    "hard reboot": {"reboot": {"type": "HARD"}},
    "shelve": {"shelve": None},
    "shelveOffload": {"shelveOffload": None},
    "unshelve": {"unshelve": None},
}
STEP = st.tuples(
    st.sampled_from([*ACTIONS, *ACTIONS, "delete", "wait", "wait", "power cut"]), st.integers(0, 2), st.booleans()
)


@pytest.fixture(scope="module")
def service():
    with tempfile.TemporaryDirectory(prefix="states-") as directory:
        state = Path(directory) / "state"
        state.mkdir()
        (state / "novakit.toml").write_text(OPTIONS)
        running = Service(state, "--simulate", "3").start()
        with closing(sqlite3.connect(state / "novakit.db", timeout=30)) as store:
            store.executescript(RECORDER)
        try:
            yield running
        finally:
            running.stop()


async def walk(service, steps):
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        api = await Api.login(service, session, "novakit-admin")
        image = await api.image(content=bytes(1 << 16))
        servers = [await api.server(f"s{number}", image) for number in range(3)]
        for action, number, patient in steps:
            if action == "power cut":
                service.kill()
                service.start()
            elif action == "delete":
                await api.call("DELETE", f"/compute/v2.1/servers/{servers[number]}")
                servers[number] = await api.server(f"s{number}", image)
            elif action != "wait":
                path = f"/compute/v2.1/servers/{servers[number]}/action"
                status, answer = await api.call("POST", path, ACTIONS[action])
                assert status in (202, 409), answer
            if patient or action == "wait":
                await api.settled()
        await api.settled()
        for server in servers:
            await api.ok("DELETE", f"/compute/v2.1/servers/{server}")
        await api.ok("DELETE", f"/image/v2/images/{image}")
        await gone(service, api)
        assert (await api.ok("GET", "/image/v2/images"))["images"] == []


async def gone(service, api):
    left = []
    try:
        async with asyncio.timeout(60):
            while left := (await api.ok("GET", "/compute/v2.1/servers/detail"))["servers"]:
                await asyncio.sleep(0.05)
    except TimeoutError:
        stuck = [(each["id"], each["status"], each["OS-EXT-STS:task_state"]) for each in left]
        log = (service.state / "novakit.log").read_text()
        raise AssertionError(f"not deleted: {stuck}\n{log[-4000:]}") from None


def recorded(service):
    with closing(sqlite3.connect(service.state / "novakit.db", timeout=30)) as store:
        return [((a, b), (c, d)) for a, b, c, d in store.execute("SELECT a, b, c, d FROM moves ORDER BY number")]


@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(STEP, min_size=8, max_size=16))
def test_no_server_ever_makes_an_undefined_move(service, steps):
    asyncio.run(walk(service, steps))
    moves = recorded(service)
    assert moves
    assert {move for move in moves if move not in table.PAIRS} == set()
