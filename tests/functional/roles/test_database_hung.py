"""PostgreSQL stops answering, as on a frozen machine: no connection ends, and yet everybody is answered in time."""

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest

from novakit.store.postgresql import ANSWERS_WITHIN, CONNECTS_WITHIN
from tests.functional.roles.processes import ROLES, Roles
from tests.functional.roles.test_database_away import ASKED, RECOVERS_WITHIN, Load, _active
from tests.support.postgres import cluster_of_its_own
from tests.support.service import Api

HANGS = ANSWERS_WITHIN + CONNECTS_WITHIN + 5.0
"""Seconds: long enough for each question to be answered without a database."""
BOUND = ANSWERS_WITHIN + CONNECTS_WITHIN + 15.0
"""Seconds in which each question must be answered: the wait for a connection, for an answer, and a loaded machine."""


@attrs.define
class TimedLoad(Load):
    """Load that keeps how long the longest answer took."""

    longest: float = 0.0

    async def _ask(self, method: str, path: str, body: Any) -> None:
        began = time.monotonic()
        await super()._ask(method, path, body)
        self.longest = max(self.longest, time.monotonic() - began)


@pytest.mark.slow
async def test_a_database_that_hangs_is_said_to_be_away_and_nothing_is_done_twice(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with cluster_of_its_own() as cluster, Roles(state) as roles:
        options = '[agent]\nhost = "vm"\n[drivers.simulated]\ncreate_seconds = 1.0\n'
        (state / "novakit.toml").write_text(f'database = "{cluster.database()}"\n{options}')
        roles.start(*ROLES)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session:
            api = await Api.login(roles.service, session, "novakit-admin")
            image = await api.image()
            load = TimedLoad(api)
            await load.without_quotas()
            asking = [asyncio.create_task(load.run(number)) for number in range(len(ASKED))]
            await asyncio.sleep(1.0)
            begun = [await api.server(f"before{number}", image) for number in range(3)]
            await asyncio.sleep(0.5)
            cluster.signal(signal.SIGSTOP)
            try:
                await asyncio.sleep(HANGS)
            finally:
                cluster.signal(signal.SIGCONT)
            back = time.monotonic()
            async with asyncio.timeout(60):
                done = await asyncio.gather(*(_active(api, each) for each in begun))
                await _active(api, await _asked_for(api, image, back))
            await asyncio.sleep(2)
            load.stopping = True
            await asyncio.gather(*asking)
            assert not load.wrong, f"{len(load.wrong)} of {load.answers.total()}: {load.wrong[:3]}"
            assert 503 in {status for _, status in load.answers}
            assert load.longest < BOUND, f"an answer took {load.longest:.1f} s"
            late = max(load.latest.values()) - back
            assert late < RECOVERS_WITHIN, f"the last refusal came {late:.1f} s after the return"
            assert max(done) - back < RECOVERS_WITHIN, f"servers were ACTIVE {max(done) - back:.1f} s after the return"
            for server in begun:
                shown = await api.ok("GET", f"/compute/v2.1/servers/{server}/os-instance-actions")
                assert [each["action"] for each in shown["instanceActions"]] == ["create"]
            found = (await api.ok("GET", "/novakit/v1/audit"))["audit"]
            assert found["orphaned"] == [] and found["unchecked"] == [], found


async def _asked_for(api: Api, image: str, back: float) -> str:
    """Ask for a server until it is granted."""
    while True:
        try:
            return await api.server("after", image)
        except AssertionError:
            assert time.monotonic() - back < RECOVERS_WITHIN, "no server can be asked for"
            await asyncio.sleep(0.1)
