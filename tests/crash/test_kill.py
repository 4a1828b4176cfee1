"""kill -9 at every step boundary, and at random: after a restart everything is as if it had never happened."""

import asyncio
import contextlib
import random
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from novakit.conductor.verbs import VERBS
from tests.crash.cloud import Cloud, until

GOOD, BAD = "sim-1", "sim-2"
OPTIONS = f"""
[agent]
host = "sim"
[drivers.simulated]
fail_hosts = ["{BAD}"]
fail_how = "refused"
"""

_LIVES = """
create/place/begin stop/down/begin start/up/begin reboot/down/begin delete/destroy/begin
create/place/done stop/down/done start/up/done reboot/down/done delete/destroy/done
create/place/end stop/down/end start/up/end reboot/down/end delete/destroy/end
create/wire/begin reboot/up/begin delete/unwire/begin
create/wire/done reboot/up/done delete/unwire/done
create/wire/end reboot/up/end delete/unwire/end
create/build/begin delete/forget/begin
create/build/done delete/forget/done
create/build/end delete/forget/end
create/undo/begin delete/destroy/begin
create/undo/done delete/unwire/begin
create/undo/end delete/forget/end
"""
ROUNDS = _LIVES.split()
"""Where the process dies, one after another: no round passes the boundary of the one before while it recovers."""

KINDS = ("create", "delete", "stop", "start", "reboot")
REQUESTS: dict[str, tuple[str, Any]] = {
    "stop": ("os-stop", None),
    "start": ("os-start", None),
    "reboot": ("reboot", {"type": "SOFT"}),
    "delete": ("delete", None),
}
AFTER = {"create": "ACTIVE", "stop": "SHUTOFF", "start": "ACTIVE", "reboot": "ACTIVE", "delete": None}


def test_every_step_boundary_of_every_verb_is_one_at_which_the_process_is_killed() -> None:
    boundaries = {
        f"{kind}/{step.name}/{moment}"
        for kind in KINDS
        for step in VERBS[kind].steps
        for moment in ("begin", "done", "end")
    } | {f"create/undo/{moment}" for moment in ("begin", "done", "end")}
    assert set(ROUNDS) == boundaries


@pytest.mark.slow
async def test_a_process_killed_at_any_step_boundary_finishes_or_takes_back_what_it_had_begun(tmp_path: Path) -> None:
    async with Cloud(tmp_path / "state", OPTIONS, hosts=2) as cloud:
        assert cloud.service.stop() == 0
        name, before = "", ""
        for number, boundary in enumerate(ROUNDS):
            cloud.start(crash_at=boundary)
            if before:
                await _as_it_should_be(cloud, name, before)
            kind = boundary.partition("/")[0]
            if kind == "create":
                name = f"s{number}"
                await cloud.create(name, host=BAD if "undo" in boundary else GOOD)
            else:
                server = await cloud.server(name)
                assert server is not None
                await cloud.act(server["id"], *REQUESTS[kind])
            await asyncio.to_thread(cloud.service.wait_for_death)
            before = boundary
        cloud.start()
        await _as_it_should_be(cloud, name, before)


async def _as_it_should_be(cloud: Cloud, name: str, boundary: str) -> None:
    kind = boundary.partition("/")[0]
    wanted = "ERROR" if "undo" in boundary else AFTER[kind]
    await cloud.check()
    server = await cloud.server(name)
    status = server["status"] if server else None
    assert status == wanted, f"killed at {boundary}: the server is {status}, not {wanted}"
    if server and wanted == "ERROR":
        assert server["fault"]["message"], boundary

        # It is in ERROR before anything is taken back.
        async def is_on_no_host() -> bool:
            return (await cloud.server(name) or {})["OS-EXT-SRV-ATTR:host"] is None

        await until(is_on_no_host, f"killed at {boundary}: what was begun is taken back")
        await cloud.check()


@pytest.mark.slow
async def test_servers_come_and_go_while_the_process_is_killed_at_random_moments(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    options = OPTIONS.replace('fail_how = "refused"', 'fail_how = "fault"\ncreate_seconds = 0.1')
    async with Cloud(tmp_path / "state", options, hosts=3) as cloud:
        for number in range(5):
            work = asyncio.gather(*(_come_and_go(cloud, f"r{number}-{each}", dice) for each in range(20)))
            await asyncio.sleep(dice.uniform(0.05, 1.5))
            cloud.service.kill()
            await work
            cloud.start()
        servers = await cloud.settled()
        assert {each["status"] for each in servers} <= {"ACTIVE", "ERROR"}
        await cloud.check()
        await asyncio.gather(*(cloud.act(each["id"], "delete") for each in servers))
        await _all_gone(cloud)
        await cloud.check()


async def _come_and_go(cloud: Cloud, name: str, dice: random.Random) -> None:
    """Make a server and perhaps delete it after a while, as long as somebody answers."""
    stays, pause = dice.random() < 0.3, dice.uniform(0, 1)
    with contextlib.suppress(aiohttp.ClientError, ConnectionError):
        await cloud.create(name)
        if not stays and (server := await cloud.server(name)):
            await asyncio.sleep(pause)
            await cloud.act(server["id"], "delete")


async def _all_gone(cloud: Cloud) -> None:
    deadline = time.monotonic() + 120
    while left := (await cloud.admin.ok("GET", "/compute/v2.1/servers"))["servers"]:
        assert time.monotonic() < deadline, f"{len(left)} servers are left"
        await asyncio.sleep(0.1)
