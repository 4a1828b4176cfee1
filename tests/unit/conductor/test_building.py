"""Choosing a host, and what is then known of the server while its guest is built."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import attrs
import orjson
import pytest

from novakit.bus import RemoteError
from novakit.calls.scheduler import Earlier, Selection
from novakit.compute import guest_metadata
from novakit.compute.states import Move, when
from novakit.conductor.parts import Parts
from novakit.conductor.steps import building
from novakit.conductor.work import Failed, Rewind, Work
from novakit.config import Config, SchedulerOptions
from novakit.context import RequestContext
from novakit.image import Images
from novakit.store.compute import strangers
from novakit_hookspecs.scheduling import Ask
from novakit_hookspecs.servers import Power
from tests.support.stores import sqlite_store

GUEST = "00000000-0000-4000-8000-000000000000"
READ = {
    "id": "s", "project_id": "p", "user_id": "u", "name": "web", "hostname": "web", "launch_index": 0,
    "availability_zone": None, "host": None, "node": None, "metadata": {}, "key_name": None, "user_data": None,
    "image_id": None, "image_properties": {}, "scheduler_hints": {}, "config_drive": True,
    "flavor": {"name": "m1.tiny", "vcpus": 1, "ram": 512, "disk": 1},
}  # fmt: skip


STRANGER = {
    "claim_id": GUEST, "name": "web", "project_id": "p", "power": "running", "why": "newer", "held": None,
    "first_seen": datetime(2030, 1, 1, tzinfo=UTC),
}  # fmt: skip


class Servers:
    """Reads a server that is on no host yet."""

    async def read(self, server_id: str) -> Mapping[str, object]:
        return {**READ, "id": server_id}


class Scheduler:
    """Chooses one host after another."""

    def __init__(self, *chosen: tuple[str, str]):
        self.chosen = list(chosen)

    async def select(self, asks: Sequence[Ask], earlier: Mapping[str, Earlier]) -> list[Selection]:
        host, zone = self.chosen.pop(0)
        told = {"server_id": asks[0].server_id, "provider_id": f"provider of {host}", "decision_id": "d"}
        return [Selection(host=host, node=f"{host}.example", availability_zone=zone, **told)]


def _work(server_id: str = "s", **memory: Any) -> Work[Any]:
    return Work(
        id="o", kind="create", moves=(), server_id=server_id, project_id="p", user_id="u", request_id="r", attempt=1,
        memory=building.Building(**memory), events=[],
    )  # fmt: skip


async def test_what_is_told_of_a_server_while_it_is_built_names_the_host_that_was_chosen_last() -> None:
    scheduler = Scheduler(("h1", "east"), ("h2", "west"))
    parts = cast(Parts, SimpleNamespace(servers=Servers(), scheduler=scheduler))
    work = _work()
    for host, zone in (("h1", "east"), ("h2", "west")):
        placed = await building.find_host(work, parts)
        assert placed == {"host": host, "node": f"{host}.example", "availability_zone": zone}
        server = await building.server_of(work, parts)
        assert (server["host"], server["node"], server["availability_zone"]) == (host, f"{host}.example", zone)
        drive = guest_metadata.config_drive(server, [])
        assert orjson.loads(drive["openstack/latest/meta_data.json"])["availability_zone"] == zone


@pytest.mark.parametrize(
    ("attempt", "reach", "refused"),
    [
        (1, strangers.EVERYWHERE, False),
        (2, strangers.EVERYWHERE, True),
        (2, strangers.LOST, False),
        (2, strangers.HERE, False),
    ],
)
async def test_what_is_taken_over_is_not_placed_again_where_a_host_has_its_guest_by_a_note_of_this_database(
    tmp_path: Path, attempt: int, reach: str, refused: bool
) -> None:
    store = await sqlite_store(tmp_path / "cloud.db")
    row = {"host": "h9", "guest": GUEST, "keeps": {"reach": reach}, **STRANGER}
    async with store.write() as session:
        await strangers.put(session, row)
    scheduler = Scheduler(("h1", "east"))
    parts = cast(Parts, SimpleNamespace(store=store, servers=Servers(), scheduler=scheduler))
    work = _work(GUEST)
    work.attempt = attempt
    if refused:
        with pytest.raises(Failed, match="newer than the database"):
            await building.find_host(work, parts)
        assert scheduler.chosen, "nothing was claimed"
    else:
        assert (await building.find_host(work, parts))["host"] == "h1"
    await store.close()


async def test_nothing_is_built_from_an_image_that_was_deactivated_since_it_was_asked_for(tmp_path: Path) -> None:
    store = await sqlite_store(tmp_path / "cloud.db")
    images = Images(store, tmp_path / "images")
    await images.open()
    content = tmp_path / "content"
    content.write_bytes(bytes(512))
    context = RequestContext(request_id="r", project_id="p", user_id="u", is_admin=True)
    image = await images.ingest(context, name="i", path=content, disk_format="raw")
    await images.set_active(context, image.id, False)
    work = _work(GUEST, host="h1")
    work.seen.ports = []
    with pytest.raises(Failed, match=f"image {image.id} is deactivated"):
        await building.build_guest(work, cast(Parts, SimpleNamespace(servers=Servers(), images=images)), image.id)
    await store.close()


def test_a_build_is_tried_on_as_many_hosts_as_the_option_says_and_on_no_more(tmp_path: Path) -> None:
    parts = cast(Parts, SimpleNamespace(config=Config(state=tmp_path, scheduler=SchedulerOptions(max_attempts=2))))
    error = RemoteError("Failed", "it cannot")
    work = _work(host="h1")
    work.moves = (Move("elsewhere", when(("building",), None), None, None),)
    again = building.elsewhere(work, parts, error)
    assert isinstance(again, Rewind) and again.step == "place"
    assert (work.memory.tries, work.memory.excluded, work.memory.left) == (2, ("h1",), "h1")
    work.memory = attrs.evolve(work.memory, host="h2")
    assert building.elsewhere(work, parts, error) is error


async def test_a_guest_is_asked_for_once_all_that_was_committed_is_on_the_disk(tmp_path: Path) -> None:
    store = await sqlite_store(tmp_path / "cloud.db")
    asked_after: list[int] = []

    class Host:
        async def build(self, operation: str, plan: object) -> object:
            asked_after.append(store.tally.flushes)
            return SimpleNamespace(power=Power.RUNNING)

    async def publish(topic: str, body: object) -> None:
        pass

    parts = cast(
        Parts,
        SimpleNamespace(
            store=store,
            servers=Servers(),
            bus=SimpleNamespace(publish=publish),
            hosts=SimpleNamespace(at=lambda host: Host()),
            notary=SimpleNamespace(write=lambda *_, **__: None),
        ),
    )
    work = _work(GUEST, host="h1")
    work.seen.ports = []
    await store.settled()
    for changes in (True, False):
        before = store.tally.flushes
        async with store.write(flushed=False) as session:
            if changes:
                await strangers.put(session, {"host": "h9", "guest": GUEST, "keeps": {}, **STRANGER})
        assert await building.build_guest(work, parts, None) is Power.RUNNING
        assert asked_after.pop() - before == int(changes)
    work.seen.commits = store.commits
    before = store.tally.flushes
    async with store.write(flushed=False) as session:
        await strangers.drop(session, "h9", [GUEST])
    await building.build_guest(work, parts, None)
    assert asked_after.pop() == before, "what was committed since the ports were need not be waited for"
    await store.close()
