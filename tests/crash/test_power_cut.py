"""What was answered with success survives a power cut at the moment of the answer."""

import hashlib
import sqlite3
import uuid
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from novakit.agent.notes import GuestNotes
from tests.crash.power_cut import Recorder
from tests.support.service import Api, Service

CONTENT = bytes(range(256)) * 4096


class Client:
    """Asks, and remembers of each answer what the disk must hold when it leaves: a question in SQL, and its answer."""

    def __init__(self, api: Api):
        self.api = api
        self.promised: dict[str, tuple[str, Any]] = {}

    async def ask(self, method: str, path: str, body: Any, question: str, answer: Any = 1) -> Any:
        headers = {"X-Auth-Token": self.api.token}
        sent: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body}
        if isinstance(body, bytes):
            headers["Content-Type"] = "application/octet-stream"
        async with self.api.session.request(method, self.api.url + path, headers=headers, **sent) as got:
            assert got.status < 300, await got.text()
            document = await got.json() if got.content_type == "application/json" else None
            self.promised[got.headers["x-openstack-request-id"]] = question, answer
        return document


def count(table: str, **values: str) -> str:
    """Make the question how many rows there are with these values."""
    wanted = " AND ".join(f"{name} = '{value}'" for name, value in values.items())
    return f"SELECT count(*) FROM {table} WHERE {wanted}"


async def use(client: Client) -> str:
    """Make, fill and remove one of each kind; give the id of the image that stays."""
    key = "/compute/v2.1/os-keypairs"
    await client.ask("POST", key, {"keypair": {"name": "k"}}, count("keypairs", name="k"))
    await client.ask("DELETE", f"{key}/k", None, count("keypairs", name="k"), 0)
    new = await client.ask("POST", "/network/v2.0/networks", {"network": {"name": "n"}}, count("networks", name="n"))
    network = new["network"]["id"]
    subnet = {"network_id": network, "cidr": "10.9.0.0/24", "ip_version": 4}
    await client.ask("POST", "/network/v2.0/subnets", {"subnet": subnet}, count("subnets", network_id=network))
    image = str(uuid.uuid4())
    new = {"id": image, "name": "i", "disk_format": "raw", "container_format": "bare"}
    await client.ask("POST", "/image/v2/images", new, count("images", id=image, status="queued"))
    digest = hashlib.sha256(CONTENT).hexdigest()
    place = f"/image/v2/images/{image}/file"
    await client.ask("PUT", place, CONTENT, count("images", id=image, status="active", sha256=digest))
    new = {"name": "s", "imageRef": image, "flavorRef": "1", "networks": [{"uuid": network}]}
    made = await client.ask("POST", "/compute/v2.1/servers", {"server": new}, count("servers", name="s"))
    server = made["server"]["id"]
    await client.api.reach(server, "ACTIVE")
    asked = count("operations", server_id=server, kind="delete")
    await client.ask("DELETE", f"/compute/v2.1/servers/{server}", None, asked)
    await client.api.gone(server)
    await client.ask("DELETE", f"/network/v2.0/networks/{network}", None, count("networks", id=network), 0)
    return image


@pytest.mark.slow
async def test_what_was_answered_with_success_survives_a_power_cut_at_the_answer(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    recorder = Recorder.build(tmp_path, state)
    async with aiohttp.ClientSession() as session:
        with Service(state, "--simulate", "1", environment=recorder.environment()) as service:
            client = Client(await Api.login(service, session))
            image = await use(client)
        assert len(client.promised) == 9
        disk = tmp_path
        for number, (request, (question, expected)) in enumerate(client.promised.items()):
            disk = recorder.disk_at(request, tmp_path / f"disk{number}")
            found = sqlite3.connect(disk / "novakit.db").execute(question).fetchone()[0]
            assert found == expected, f"after a power cut at the answer, {question} gives {found}, not {expected}"
            for name, size in sqlite3.connect(disk / "novakit.db").execute("SELECT file_name, size FROM images"):
                assert name is None or ((disk / "images" / name).read_bytes() == CONTENT and size == len(CONTENT))
        # The last of these disks is a cloud that starts, lets the same people in, and has the same image.
        with Service(disk, "--simulate", "1") as again:
            client.api = await Api.login(again, session)
            shown = await client.api.ok("GET", f"/image/v2/images/{image}")
            assert shown["status"] == "active"


@pytest.mark.slow
async def test_every_guest_that_was_shown_has_its_note_after_a_power_cut(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    recorder = Recorder.build(tmp_path, state)
    async with aiohttp.ClientSession() as session:
        with Service(state, "--simulate", "1", environment=recorder.environment()) as service:
            client = Client(await Api.login(service, session))
            image, network = await client.api.image(), await client.api.network()
            shown: dict[str, set[str]] = {}
            servers: set[str] = set()
            for number in range(4):
                server = await client.api.server(f"s{number}", image, networks=[{"uuid": network}])
                await client.api.reach(server, "ACTIVE")
                servers.add(server)
                await client.ask("GET", f"/compute/v2.1/servers/{server}", None, "")
                shown[list(client.promised)[-1]] = {*servers}
            first = min(servers)
            await client.api.ok("DELETE", f"/compute/v2.1/servers/{first}")
            await client.api.gone(first)
            again = await client.api.server("again", image, networks=[{"uuid": network}])
            await client.api.reach(again, "ACTIVE")
            await client.ask("GET", f"/compute/v2.1/servers/{again}", None, "")
            shown[list(client.promised)[-1]] = {*servers, again} - {first}
    for number, (request, guests) in enumerate(shown.items()):
        disk = recorder.disk_at(request, tmp_path / f"disk{number}")
        (directory,) = disk.glob("agents/*/guests")
        notes = GuestNotes(directory)
        notes.open()
        assert all(notes.version(guest) for guest in guests), "the note of its end, which has a version, is there"
        assert {guest for guest, _ in notes.beside([])} == guests
