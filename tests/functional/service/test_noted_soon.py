"""What is done to a server is noted on its host soon after, long before the host's next report."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp

from novakit.agent.journal import scan
from tests.support.service import Api, Service

OPTIONS = '[agent]\nhost = "vm"\nreport_every = 3600\n'


def read(path: Path, guest: str) -> Any:
    content = path.read_bytes()
    value = scan(content).lines(content)[guest].split(b" ", 3)[3]
    return json.loads(json.loads(value)["text"])


async def test_names_tags_metadata_locks_and_power_are_noted_without_a_report(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "novakit.toml").write_text(OPTIONS)
    async with aiohttp.ClientSession() as session:
        with Service(state) as service:
            api = await Api.login(service, session)
            id = await api.server("before", await api.image())
            await api.reach(id, "ACTIVE")
            note = state / "agents" / "vm" / "guests" / "notes.journal"
            built = read(note, id)["operation"]

            async def noted(name: str, value: object) -> None:
                async with asyncio.timeout(20):
                    while read(note, id)["server"][name] != value:
                        await asyncio.sleep(0.05)

            server = f"/compute/v2.1/servers/{id}"
            await api.ok("PUT", server, {"server": {"name": "after"}})
            await noted("name", "after")
            await api.ok("PUT", f"{server}/metadata", {"metadata": {"colour": "blue"}})
            await noted("metadata", {"colour": "blue"})
            newer = {"OpenStack-API-Version": "compute 2.26"}
            await api.ok("PUT", f"{server}/tags", {"tags": ["web"]}, headers=newer)
            await noted("tags", ["web"])
            await api.ok("POST", f"{server}/action", {"lock": None})
            await noted("locked_by", "owner")
            await api.ok("POST", f"{server}/action", {"unlock": None})
            await noted("locked_by", None)
            locked = read(note, id)["operation"]
            await api.ok("POST", f"{server}/action", {"os-stop": None})
            await api.reach(id, "SHUTOFF")
            async with asyncio.timeout(20):
                while (stopped := read(note, id))["operation"] == locked:
                    await asyncio.sleep(0.05)
            assert len({built, locked, stopped["operation"]}) == 3 and stopped["ended"]
