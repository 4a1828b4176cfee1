"""What a project leaves behind by making and deleting all day is small, and bounded while the service runs."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa

from novakit.store import Store, operations
from novakit.store.compute.servers import servers
from tests.support.service import Api, Service

HEAVY: dict[str, Any] = {
    "user_data": base64.b64encode(bytes(45_000)).decode(),
    "metadata": {f"k{number}": "m" * 255 for number in range(100)},
    "tags": [f"t{number}" + "x" * 50 for number in range(50)],
}
SMALL = 3000
"""Letters of all that a deleted server's row may hold, its flavor included."""


async def _deleted(url: str, ids: set[str]) -> list[Any]:
    store = await Store.open(url)
    async with store.read() as session:
        rows = await session.all(
            sa.select(servers).where(servers.c.id.in_(ids), servers.c.deleted_at.is_not(None)), of=sa.RowMapping
        )
    await store.close()
    return rows


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_a_deleted_server_keeps_nothing_large_and_can_be_asked_for(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    url = f"sqlite+aiosqlite:///{state}/novakit.db"
    if database == "postgresql":
        url = request.getfixturevalue("postgres_url")
        (state / "novakit.toml").write_text(f'database = "{url}"\n')
    with Service(state, "--simulate", "1") as service:
        async with aiohttp.ClientSession() as session:
            api = await Api.login(service, session)
            image = await api.image(big="p" * 250)
            made = {await api.server(f"s{number}", image, **HEAVY) for number in range(3)}
            for each in made:
                shown = await api.reach(each, "ACTIVE")
                assert shown["metadata"] == HEAVY["metadata"] and len(shown["tags"]) == 50
            await asyncio.gather(*(api.ok("DELETE", f"/compute/v2.1/servers/{each}") for each in made))
            await api.gone(*made)
            admin = await Api.login(service, session, "novakit-admin")
            found = (await admin.ok("GET", "/compute/v2.1/servers/detail?deleted=1&all_tenants=1"))["servers"]
            assert {each["id"] for each in found} == made
            for each in found:
                assert (each["status"], each["metadata"], each["tags"]) == ("DELETED", {}, [])
                assert each["image"]["id"] == image and each["flavor"]["vcpus"] == 1
                assert each["OS-SRV-USG:terminated_at"] is not None
                path = f"/compute/v2.1/servers/{each['id']}/os-instance-actions"
                actions = (await api.ok("GET", path))["instanceActions"]
                assert [action["action"] for action in actions] == ["delete", "create"]
            rows = await _deleted(url, made)
        assert service.stop() == 0
    assert len(rows) == 3 and max(len(str(dict(row))) for row in rows) < SMALL


async def test_whoever_locks_a_living_server_all_day_adds_no_more_than_so_many_actions(tmp_path: Path) -> None:
    with Service(tmp_path / "state", "--simulate", "1") as service:
        async with aiohttp.ClientSession() as session:
            api = await Api.login(service, session)
            server = await api.server("busy", await api.image())
            await api.reach(server, "ACTIVE")
            path = f"/compute/v2.1/servers/{server}"

            # An administrator's, each of which is written: of his own the owner changes nothing about a lock again.
            admin = await Api.login(service, session, "novakit-admin")

            async def lock(_: int) -> None:
                await admin.ok("POST", f"{path}/action", {"lock": {"locked_reason": "z" * 255}})

            async def count() -> int:
                return len((await api.ok("GET", f"{path}/os-instance-actions"))["instanceActions"])

            for start in range(0, operations.MOST_OF_SERVER + 60, 20):
                await asyncio.gather(*map(lock, range(start, start + 20)))
            kept = await count()
            # Those kept, how it was made, and the last, which had not ended when the older ones were counted.
            assert operations.MOST_OF_SERVER <= kept <= operations.MOST_OF_SERVER + 25
            await admin.ok("POST", f"{path}/action", {"unlock": None})
            await api.ok("DELETE", path)
            await api.gone(server)
            assert await count() <= operations.MOST_OF_DELETED + 25
        assert service.stop() == 0
