"""PostgreSQL goes away under load and comes back: everybody is told so in JSON, nothing is lost, all roles recover."""

import asyncio
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest

from tests.functional.roles.processes import ROLES, Roles
from tests.support.postgres import cluster_of_its_own
from tests.support.service import Api

AWAY = 4.0
"""Seconds without a database."""
RECOVERS_WITHIN = 10.0

ASKED: tuple[tuple[str, str, Any], ...] = (
    ("GET", "/compute/v2.1/servers/detail", None),
    ("GET", "/compute/v2.1/flavors", None),
    ("POST", "/compute/v2.1/os-keypairs", lambda number: {"keypair": {"name": f"k{number}"}}),
    ("GET", "/network/v2.0/networks", None),
    ("POST", "/network/v2.0/networks", lambda number: {"network": {"name": f"n{number}"}}),
    ("GET", "/image/v2/images", None),
    ("POST", "/image/v2/images", lambda number: {"name": f"i{number}"}),
    ("GET", "/placement/resource_providers", None),
    ("POST", "/placement/resource_providers", lambda number: {"name": f"p{number}"}),
    ("GET", "/placement/allocation_candidates?resources=VCPU:1", None),
    ("GET", "/identity/v3/projects", None),
    ("POST", "/identity/v3/projects", lambda number: {"project": {"name": f"p{number}"}}),
    ("GET", "/novakit/v1/server-groups", None),
    ("GET", "/novakit/v1/audit", None),
    ("GET", "/volume/v3/{project}/volumes", None),
)


@attrs.define
class Load:
    """Asks every service without a pause, and keeps what it was answered."""

    api: Api
    answers: Counter[tuple[str, int]] = attrs.field(factory=Counter)
    wrong: list[str] = attrs.field(factory=list)
    latest: dict[str, float] = attrs.field(factory=dict)
    """When a question got something else than success last, by method and path."""
    stopping: bool = False

    async def without_quotas(self) -> None:
        """Let the project make as much as it can: how many rounds are asked depends on the machine."""
        project = self.api.project_id
        for path, body in (
            (f"/compute/v2.1/os-quota-sets/{project}", {"quota_set": {"key_pairs": -1}}),
            (f"/network/v2.0/quotas/{project}", {"quota": {"network": -1}}),
            (f"/novakit/v1/image-quotas/{project}", {"image_quota": {"images": -1}}),
        ):
            await self.api.ok("PUT", path, body)

    async def run(self, number: int) -> None:
        while not self.stopping:
            for method, path, body in ASKED:
                number += 1000
                await self._ask(method, path.format(project=self.api.project_id), body and body(number))

    async def _ask(self, method: str, path: str, body: Any) -> None:
        headers = {"X-Auth-Token": self.api.token, "OpenStack-API-Version": "placement 1.39"}
        async with self.api.session.request(method, self.api.url + path, json=body, headers=headers) as got:
            text = await got.text()
            self.answers[path, got.status] += 1
            if got.status >= 300:
                self.latest[f"{method} {path}"] = time.monotonic()
            if got.status >= 300 and not _is_clear(got, text):
                self.wrong.append(f"{method} {path}: {got.status} {dict(got.headers)} {text[:200]}")


def _is_clear(got: aiohttp.ClientResponse, text: str) -> bool:
    if got.status != 503 or got.content_type != "application/json" or not got.headers.get("Retry-After", "").isdigit():
        return False
    return "database" in json.dumps(json.loads(text))


async def _active(api: Api, server: str) -> float:
    """Wait until a server is ACTIVE, whatever is answered meanwhile; give the moment."""
    while True:
        status, shown = await api.call("GET", f"/compute/v2.1/servers/{server}")
        if status == 200 and shown["server"]["status"] == "ACTIVE":
            return time.monotonic()
        assert status in (200, 503) and (status != 200 or shown["server"]["status"] != "ERROR"), shown.get(
            "server", shown
        ).get("fault")
        await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_without_its_database_every_service_says_so_and_all_is_well_once_it_is_back(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with cluster_of_its_own() as cluster, Roles(state) as roles:
        options = '[agent]\nhost = "vm"\n[drivers.simulated]\ncreate_seconds = 1.0\n'
        (state / "novakit.toml").write_text(f'database = "{cluster.database()}"\n{options}')
        roles.start(*ROLES)
        async with aiohttp.ClientSession() as session:
            api = await Api.login(roles.service, session, "novakit-admin")
            image = await api.image()
            load = Load(api)
            await load.without_quotas()
            asking = [asyncio.create_task(load.run(number)) for number in range(4)]
            await asyncio.sleep(1.0)
            begun = [await api.server(f"before{number}", image) for number in range(3)]
            await asyncio.sleep(0.5)  # they are being built, and what came of it will be written to no database
            await asyncio.to_thread(cluster.stop)
            await asyncio.sleep(AWAY)
            await asyncio.to_thread(cluster.resume)
            back = time.monotonic()
            async with asyncio.timeout(60):
                done = await asyncio.gather(*(_active(api, each) for each in begun))
                while True:
                    try:
                        done.append(await _active(api, await api.server("after", image)))
                        break
                    except AssertionError:
                        assert time.monotonic() - back < RECOVERS_WITHIN, "no server can be asked for"
                        await asyncio.sleep(0.1)
            load.stopping = True
            await asyncio.gather(*asking)
            assert not load.wrong, f"{len(load.wrong)} of {load.answers.total()}: {load.wrong[:3]}"
            refused = {path for path, status in load.answers if status == 503}
            assert refused == {path.format(project=api.project_id) for _, path, _ in ASKED}
            assert max(load.latest.values()) - back < RECOVERS_WITHIN
            assert max(done) - back < RECOVERS_WITHIN, f"servers were ACTIVE {max(done) - back:.1f} s after the return"
