"""A host whose notes are forged: what it says costs its own guests, and nothing of another host or another project.

The rogue has a guest that the database does not know, and gives back a note of it that it wrote itself.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
import sqlalchemy as sa

from novakit import world
from novakit.agent.notes import GuestNotes
from novakit.calls.host import GuestNote
from novakit.conductor.guests.adoption import AdoptionRequest
from novakit.network.interfaces import INTERFACE
from novakit.store import Store, metadata
from novakit.store import deployment as deployments
from novakit.store.compute import servers, strangers
from novakit.store.placement import usages
from tests.functional.guests.cloud import Cloud, copied, put_back, rewrite

HOSTS = ("honest", "rogue")
UNKNOWN = "99999999-0000-4000-8000-000000000001"
Forge = Callable[[dict[str, Any]], None]


def _guests(directory: Path, host: str) -> Path:
    return directory / "agents" / host / "guests"


async def _forge(at: Cloud | Path, guest: str, change: Forge) -> None:
    """Let the rogue write its note anew; the seal is what it can make up. Without a cloud its agent does not run."""
    if isinstance(at, Path):
        notes = GuestNotes(_guests(at, "rogue"))
        notes.open()
    else:
        notes = at.agents["rogue"].notes_kept

    def forged(kept: GuestNote) -> GuestNote:
        note = orjson.loads(kept.text)
        change(note)
        return attrs.evolve(kept, text=orjson.dumps(note).decode(), seal="0" * 64)

    await rewrite(notes, guest, forged)


async def _held(cloud: Cloud) -> dict[str, int]:
    """Return how many VCPUs are taken of each host."""
    async with cloud.store.read() as session:
        names = {
            row["id"]: row["name"]
            for row in await session.all(sa.select(metadata.tables["resource_providers"]), of=sa.RowMapping)
        }
        return {names[id]: used.get("VCPU", 0) for id, used in (await usages.of_providers(session)).items()}


async def _projects(cloud: Cloud) -> set[str]:
    """Name the projects in whose name something is held; here strangers alone hold anything."""
    async with cloud.store.read() as session:
        found = await session.all(sa.select(metadata.tables["consumers"]), of=sa.RowMapping)
    return {row["project_id"] for row in found}


async def _keeps(cloud: Cloud, guest: str) -> dict[str, Any]:
    async with cloud.store.read() as session:
        return {row["guest"]: row["keeps"] for row in await strangers.every(session)}[guest]


async def _invent(cloud: Cloud) -> str:
    """Give the rogue a guest that this database never had."""
    backup = await copied(cloud.store)
    guest = await cloud.create("rogue")
    await put_back(cloud.store, backup)
    return guest


async def test_a_forged_claim_takes_nothing_of_another_host_and_nothing_in_anothers_name(
    store: Store, tmp_path: Path
) -> None:
    def steal(note: dict[str, Any]) -> None:
        note["claim"] = {"honest": {"VCPU": 3}}
        note["server"]["project_id"] = "victim"

    def take(note: dict[str, Any]) -> None:
        note["claim"] = {"rogue": {"VCPU": 2}}

    async with Cloud.on(store, tmp_path, HOSTS) as cloud:
        await cloud.begin()
        guest = await _invent(cloud)
        before = await _held(cloud)
        await _forge(cloud, guest, steal)
        await cloud.report(3)
        assert guest in await cloud.strangers() and await _held(cloud) == before
        await _forge(cloud, guest, take)
        async with store.write() as session:
            await strangers.drop(session, "rogue", [guest])
        await cloud.report(3)
        assert await _held(cloud) == {**before, "rogue": 2} and await _projects(cloud) == {""}
        await cloud.agents["rogue"].driver.destroy(guest)
        await cloud.report(2)
        assert await cloud.strangers() == {} and await _held(cloud) == before


def _address(ip: str, cidr: str = "10.0.0.0/24") -> dict[str, Any]:
    return {"ip": ip, "subnet": {"id": UNKNOWN, "cidr": cidr}}


@pytest.mark.parametrize(
    "change",
    [
        lambda note: note["ports"][0].update(addresses=[_address("zzz")]),
        lambda note: note["ports"][0].update(addresses=[_address("10.0.1.1")]),
        lambda note: note["ports"][0].update(addresses=[_address("10.0.0.9", "zzz")]),
        lambda note: note["ports"][0].update(network_id="zzz"),
        lambda note: note.update(ports=note["ports"] * 200),
        lambda note: note.update(claim={"rogue": {"VCPU": -1}}),
        lambda note: note.update(claim={"rogue": {"VCPU": 1 << 62}}),
        lambda note: note.update(ended="zzz"),
        lambda note: note["server"].update(created_at="zzz"),
        lambda note: note["server"].update(project_id="p" * 300),
        lambda note: note["server"].update(flavor={"vcpus": "x"}),
        lambda note: note["server"]["flavor"].pop("name"),
        lambda note: note["server"]["flavor"].pop("id"),
        lambda note: note["server"].update(name="n" * (1 << 21)),
    ],
)
async def test_a_note_of_nonsense_is_none_and_keeps_no_other_host_from_its_guests(
    store: Store, tmp_path: Path, change: Forge
) -> None:
    async with Cloud.on(store, tmp_path, HOSTS) as cloud:
        await cloud.begin()
        backup = await copied(store)
        honest, forged = await cloud.create("honest"), await cloud.create("rogue")
        await cloud.report()
        await put_back(store, backup)
        await _forge(cloud, forged, change)
        await cloud.agents["rogue"]._report(started=False)
        await cloud.report(2)
        strange = await cloud.strangers()
        assert honest not in strange, "what the rogue says keeps no other host's guest from adoption"
        assert "no note" in strange[forged]
        async with store.read() as session:
            assert [row["id"] for row in await servers.living(session)] == [honest]


async def test_what_is_not_sealed_reaches_no_other_host(store: Store, tmp_path: Path) -> None:
    def name(note: dict[str, Any]) -> None:
        note["ports"][0].update(network_id=UNKNOWN)

    async with Cloud.on(store, tmp_path, HOSTS) as cloud:
        await cloud.begin()
        guest = await _invent(cloud)
        await _forge(cloud, guest, name)
        await cloud.report(3)
        assert (await _keeps(cloud, guest))["reach"] == "here"
        async with store.read() as session:
            _, networks = await strangers.kept(session, HOSTS)
        assert UNKNOWN in networks["rogue"] and UNKNOWN not in networks["honest"]
        async with store.write() as session:
            await session.execute(sa.update(metadata.tables["deployments"]).values(origin="directory"))
            current = await deployments.recorded(session)
        assert current is not None and current.origin == "directory"
    async with Cloud.on(store, tmp_path, HOSTS) as cloud:
        await cloud.report(2)
        async with store.read() as session:
            _, networks = await strangers.kept(session, HOSTS)
        assert UNKNOWN in networks["honest"], "a database that lost its seal cannot tell, and takes nothing down"


async def test_an_operators_word_for_a_forged_note_gives_nothing_of_other_projects(
    store: Store, tmp_path: Path
) -> None:
    async with Cloud.on(store, tmp_path, HOSTS) as cloud:
        await cloud.begin()
        guest = await _invent(cloud)
        await _forge(cloud, guest, lambda note: note["server"].update(description="forged"))
        async with store.write() as session:
            project = metadata.tables["identity_projects"]
            (row,) = await session.all(sa.select(project), of=sa.RowMapping)
            await session.execute(sa.insert(project), [{**row, "id": "q", "name": "q"}])
        await cloud.report(2)
        settled = await cloud.desk.adopt(guest, None, AdoptionRequest(project_id="q", user_id="u"))
        assert "of another project" in settled.why and guest in await cloud.strangers()
        assert (await cloud.desk.adopt(guest, None, AdoptionRequest(user_id="u"))).why == ""


@pytest.mark.parametrize("origin", ["new", "directory"])
async def test_an_operators_word_makes_no_router_for_another_project(store: Store, tmp_path: Path, origin: str) -> None:
    router = {
        "id": UNKNOWN,
        "project_id": "q",
        "name": "r",
        "description": "",
        "tags": [],
        "admin_state_up": True,
        "external_network_id": None,
        "gateway_port_id": None,
        "routes": [],
        "snat": True,
    }
    async with Cloud.on(store, tmp_path, HOSTS) as cloud:
        await cloud.begin()
        backup = await copied(store)
        guest = await cloud.create("rogue")
        await cloud.note_networks()
        await put_back(store, backup)
        async with store.write() as session:
            await session.execute(sa.update(metadata.tables["deployments"]).values(origin=origin))
    path = _guests(tmp_path, "rogue") / "networks.json"
    kept = orjson.loads(path.read_bytes())
    noted = orjson.loads(kept["text"])
    (card, *_) = (port for port in noted["ports"] if port["server_id"] == guest)
    leg = {**card, "id": UNKNOWN, "mac": "fa:16:3e:00:00:99", "device_owner": INTERFACE, "device_id": UNKNOWN}
    noted["ports"].append({**leg, "server_id": None})
    noted["routers"].append(router)
    path.write_bytes(orjson.dumps({**kept, "text": orjson.dumps(noted).decode(), "seal": "0" * 64}))
    await _forge(tmp_path, guest, lambda note: note["server"].update(description="forged"))
    async with Cloud.on(store, tmp_path, HOSTS) as cloud:
        await cloud.report(2)
        assert (await cloud.desk.adopt(guest, None, AdoptionRequest(user_id="u"))).why == ""
        async with store.read() as session:
            assert await session.all(sa.select(metadata.tables["routers"]), of=sa.RowMapping) == []


@pytest.mark.parametrize("origin", ["new", "directory"])
async def test_an_operators_word_opens_a_network_to_all_only_where_the_database_was_lost(
    store: Store, tmp_path: Path, origin: str
) -> None:
    def on_its_own(note: dict[str, Any]) -> None:
        (port,) = note["ports"]
        port["network_id"] = port["addresses"][0]["subnet"]["id"] = UNKNOWN

    async with Cloud.on(store, tmp_path, HOSTS) as cloud:
        await cloud.begin()
        guest = await _invent(cloud)
        async with store.write() as session:
            await session.execute(sa.update(metadata.tables["deployments"]).values(origin=origin))
            project = metadata.tables["identity_projects"]
            (row,) = await session.all(sa.select(project), of=sa.RowMapping)
            await session.execute(sa.insert(project), [{**row, "id": "q", "name": "q"}])
    await _forge(tmp_path, guest, on_its_own)
    told = {"id": UNKNOWN, "name": "all", "project_id": "p", "shared": True, "external": True, "segment": 77}
    path = _guests(tmp_path, "rogue") / "networks.json"
    note = {"version": "1", "text": orjson.dumps({"networks": [told]}).decode(), "seal": "0" * 64}
    path.write_bytes(orjson.dumps(note))
    async with Cloud.on(store, tmp_path, HOSTS) as cloud:
        await cloud.report(2)
        assert (await cloud.desk.adopt(guest, None, AdoptionRequest(user_id="u"))).why == ""
        async with store.read() as session:
            table = metadata.tables["networks"]
            (made,) = await session.all(sa.select(table).where(table.c.id == UNKNOWN), of=sa.RowMapping)
        assert (made["project_id"], made["external"], made["shared"]) == ("p", False, origin == "directory")


async def test_an_operators_word_gives_a_host_no_image_and_no_group_of_others(store: Store, tmp_path: Path) -> None:
    def reach(note: dict[str, Any]) -> None:
        note["server"].update(image_id=UNKNOWN, scheduler_hints={"group": UNKNOWN})

    now = world.now()
    group = {"id": UNKNOWN, "project_id": "q", "user_id": "v", "name": "g", "policy": "affinity", "created_at": now}
    image = {
        "id": UNKNOWN,
        "owner": "q",
        "name": "secret",
        "status": "active",
        "visibility": "private",
        "disk_format": "raw",
        "container_format": "bare",
        "created_at": now,
        "updated_at": now,
        "min_disk": 0,
        "min_ram": 0,
        "protected": False,
        "os_hidden": False,
        "properties": {},
        "tags": "",
    }
    async with Cloud.on(store, tmp_path, HOSTS) as cloud:
        await cloud.begin()
        guest = await _invent(cloud)
        await _forge(cloud, guest, reach)
        async with store.write() as session:
            images, groups = metadata.tables["images"], metadata.tables["server_groups"]
            await session.execute(sa.insert(images), [image])
            await session.execute(sa.insert(groups), [group])
        await cloud.report(2)
        settled = await cloud.desk.adopt(guest, None, AdoptionRequest(user_id="u"))
        assert "which its project may not see" in settled.why
        async with store.write() as session:
            await session.execute(sa.update(images).values(visibility="public"))
        assert (await cloud.desk.adopt(guest, None, AdoptionRequest(user_id="u"))).why == ""
        async with store.read() as session:
            row = await servers.server(session, guest)
            members = await session.all(sa.select(metadata.tables["server_group_members"]), of=sa.RowMapping)
        assert row is not None and row["scheduler_hints"] == {} and members == []
