"""A client that hangs up while its request is being committed: what was written is told of like any other."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from novakit.api.compute.domain import Compute
from novakit.bus import topics
from novakit.conductor.verbs.create import Creation
from novakit.identity import Identity
from novakit.identity.service import Scope
from novakit.identity.values import UserValues
from novakit.image import Images
from novakit.image.records import NewImage
from novakit.placement import Placement
from novakit.store import Store
from novakit.store.sqlite import HeldConnection
from tests.functional.compute_api.conftest import authenticate

HangUp = Callable[..., Awaitable[None]]


@pytest.fixture
def hang_up(monkeypatch: pytest.MonkeyPatch) -> HangUp:
    """Do something, and cancel whoever does it while its first commit is under way, or a later one.

    The thread makes the commit, so that whoever is cancelled waits for it; with `here` the loop does, if it may.
    """
    commit = HeldConnection.commit

    async def do(work: Awaitable[object], *, after: int = 0, here: bool = False) -> None:
        commits = 0

        async def asked() -> None:
            await work

        async def cut(kept: HeldConnection, rows: int, *, is_flushing: bool) -> object:
            nonlocal commits
            if asyncio.current_task() is task:
                commits += 1
                if commits > after:
                    task.cancel()
            return await commit(kept, rows, is_flushing=is_flushing or not here)

        task = asyncio.ensure_future(asked())
        monkeypatch.setattr(HeldConnection, "commit", cut)
        await asyncio.wait([task])
        monkeypatch.setattr(HeldConnection, "commit", commit)
        assert task.cancelled()

    return do


@pytest.fixture
def heard(compute: Compute) -> list[str]:
    """The names of the topics that are told from now on."""
    told: list[str] = []
    for topic in (topics.AGGREGATES_CHANGED, topics.HOSTS_CHANGED, topics.GROUPS_CHANGED, topics.SERVERS_CHANGED):
        _note(compute, topic, told)
    _note(compute, topics.OPERATIONS_NEW, told)
    return told


def _note(compute: Compute, topic: topics.Topic[Any], told: list[str]) -> None:
    def note(_: object) -> None:
        told.append(topic.name)

    topic.listen(compute.requests.bus, note)


async def _settled(told: list[str]) -> list[str]:
    async with asyncio.timeout(10):
        while not told:
            await asyncio.sleep(0.001)
    taken = [*told]
    told.clear()
    return taken


async def test_others_hear_of_hosts_aggregates_groups_and_servers(
    compute: Compute, host: str, boot: Any, become: Any, heard: list[str], projects: None, hang_up: HangUp
) -> None:
    admin = await authenticate("admin", "req-1")
    ann = await authenticate("ann", "req-1")
    group = await compute.server_groups.create(ann, "g", policy="affinity", rules={})
    server = await boot()
    await become(server, vm_state="active", task_state=None)
    heard.clear()
    for work, topic in (
        (compute.hosts.decide(host, enabled=False), topics.HOSTS_CHANGED),
        (compute.aggregates.create("racks", None), topics.AGGREGATES_CHANGED),
        (compute.server_groups.change(ann, group.row["id"], name="other"), topics.GROUPS_CHANGED),
        (compute.servers.update(ann, server, name="other"), topics.SERVERS_CHANGED),
        (compute.servers.edit(admin, server, "tags", lambda tags: ["a"]), topics.SERVERS_CHANGED),
    ):
        await hang_up(work)
        assert await _settled(heard) == [topic.name]


async def test_the_conductor_hears_of_a_server_whose_maker_hung_up(
    api: Any, compute: Compute, image_id: str, flavor_id: str, heard: list[str], projects: None, monkeypatch: Any
) -> None:
    write, asked = Creation._write_new, {"name": "web", "imageRef": image_id, "flavorRef": flavor_id}

    async def cut(*said: Any) -> Any:
        task.cancel()
        return await write(*said)

    monkeypatch.setattr(Creation, "_write_new", cut)
    request = api("POST", "/v2.1/servers", {"server": {**asked, "networks": "none"}}, version="2.100")
    create = Creation.create

    async def kept(*said: Any) -> Any:
        nonlocal task
        task = asyncio.current_task()
        return await create(*said)

    task: Any = None
    monkeypatch.setattr(Creation, "create", kept)
    await asyncio.gather(request, return_exceptions=True)
    assert await _settled(heard) == [topics.OPERATIONS_NEW.name]


@pytest.mark.parametrize("here", [True, False])
async def test_schedulers_hear_of_a_change_of_the_ledger(store: Store, here: bool, hang_up: HangUp) -> None:
    told: list[str] = []
    placement = Placement(store, on_change=lambda: told.append("changed"))
    for name in ("CUSTOM_OTHER", "CUSTOM_ANOTHER"):  # the first commits are the thread's, wherever the next are made
        await placement.resource_classes.create(name)
    told.clear()
    await hang_up(placement.resource_classes.create("CUSTOM_THING"), here=here)
    assert told == ["changed"]


@pytest.fixture
async def people(store: Store, tmp_path: Path) -> AsyncIterator[Identity]:
    """The identity service with its first users."""
    identity = Identity(store, tmp_path / "keys", {})
    await identity.bootstrap(admin_password="a secret", demo_password="a secret")
    yield identity


@pytest.mark.parametrize("what", ["disable", "delete", "unassign", "revoke"])
async def test_a_token_that_was_good_is_believed_no_more(people: Identity, what: str, hang_up: HangUp) -> None:
    scope = Scope(project_name="demo", domain="default")
    token, grant = await people.login(user_name="demo", user_domain="default", password="a secret", scope=scope)
    await people.authenticate(token, "req-1")
    user, project = grant.user["id"], grant.project
    assert project is not None
    work: dict[str, Callable[[], Awaitable[object]]] = {
        "disable": lambda: people.directory.update(user, UserValues(enabled=False)),
        "delete": lambda: people.directory.delete("users", user),
        "unassign": lambda: people.directory.unassign(user, project.id, grant.roles[0]["id"]),
        "revoke": lambda: people.revoke(token),
    }
    await hang_up(work[what]())
    assert token not in people._known


async def test_an_image_whose_sender_hung_up_has_its_file_or_is_not_active(
    store: Store, tmp_path: Path, hang_up: HangUp
) -> None:
    images = Images(store, tmp_path / "images")
    await images.open()
    ann = await authenticate("ann", "req-1")
    new = NewImage(name="i", disk_format="raw", container_format="bare")
    image = str((await images.create(ann, new))["id"])

    async def content() -> AsyncIterator[bytes]:
        yield b"0" * 65536

    await hang_up(images.upload(ann, image, content()), after=1)
    found = await images.get(ann, image)
    (file,) = images.directory.iterdir()
    assert found.status == "active" and file.stat().st_size == 65536
    await hang_up(images.delete(ann, image))
    assert not [*images.directory.iterdir()]
