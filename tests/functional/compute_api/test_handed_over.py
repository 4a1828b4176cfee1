"""What a create hands to the engine of its process is what the database has, and the lease is of its transaction."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa

from novakit.bus import MemoryBus, topics
from novakit.conductor.leases import Leases
from novakit.conductor.requests import Handover
from novakit.conductor.verbs.create import CREATE
from novakit.conductor.work import HandedOver, Seen
from novakit.store import Store, operations
from novakit.store.compute import servers
from novakit.store.compute.servers import ServerRow
from novakit.store.operations import OperationRow
from tests.functional.compute_api.conftest import Api
from tests.functional.compute_api.test_keypairs import KEY
from tests.support.stores import store_on


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened = await store_on(request.param, request, tmp_path / "x.db")
    yield opened
    await opened.close()


@attrs.define
class Desk:
    """An engine's leases, with what was begun, and whether other engines were told of work."""

    leases: Leases
    begun: list[tuple[operations.OperationRow, HandedOver | None]]
    told: list[object] = attrs.field(factory=list)


@pytest.fixture
async def desk(store: Store, compute: Any) -> Desk:
    begun: list[tuple[operations.OperationRow, HandedOver | None]] = []
    leases = Leases(store, "me", 3, lambda row, handed: begun.append((row, handed)), is_open=True)
    bus = MemoryBus()
    compute.creation.handover = Handover(store, bus.join("api"), leases)
    desk = Desk(leases, begun)
    topics.OPERATIONS_NEW.listen(bus.join("conductor"), desk.told.append)
    return desk


async def _rows(store: Store) -> tuple[list[OperationRow], list[ServerRow]]:
    async with store.read() as session:
        asked = await session.all(
            sa.select(operations.operations).order_by(operations.operations.c.number), of=OperationRow
        )
        return asked, await servers.some(session, [row["server_id"] for row in asked])


async def test_what_is_handed_over_is_what_is_read_of_it(
    api: Api, store: Store, desk: Desk, projects: None, image_id: str, flavor_id: str
) -> None:
    await api("POST", "/v2.1/os-keypairs", {"keypair": {"name": "k", "public_key": KEY}})
    plain = {"name": "web", "imageRef": image_id, "flavorRef": flavor_id, "networks": "none"}
    more: dict[str, object] = {
        "name": "wéb",
        "description": "",
        "metadata": {"a": "ü", "b": ""},
        "tags": ["x", "y"],
        "key_name": "k",
        "user_data": "aGk=",
        "config_drive": True,
        "accessIPv4": "10.0.0.1",
        "accessIPv6": "fd00::1",
        "OS-DCF:diskConfig": "AUTO",
    }
    hints = {"query": '["=", "$host", "a"]', "different_host": ["a84ceff5-0f22-4e1b-8b45-000000000000"]}
    for body in ({"server": plain}, {"server": {**plain, **more}, "os:scheduler_hints": hints}):
        answer = await api("POST", "/v2.1/servers", body, version="2.90")
        assert answer.status == 202, answer.body
    asked, made = await _rows(store)
    assert [row["kind"] for row, _ in desk.begun] == ["create", "create"] and desk.told == []
    assert [{**row, "number": each["number"]} for (row, _), each in zip(desk.begun, asked, strict=True)] == asked
    for asked_for, handed in desk.begun:
        assert handed is not None and handed.seen.server is not None
        server = handed.seen.server
        assert handed.seen == Seen(server=server) and handed.memory == CREATE.work(asked_for).memory
        (row,) = [row for row in made if row["id"] == server["id"]]
        read = {name: value for name, value in row.items() if name != "number"}
        assert server == read
        assert {name: type(value) for name, value in server.items()} == {
            name: type(value) for name, value in read.items()
        }
    assert {row["name"] for row in made} == {"web", "wéb"}


async def test_what_there_is_no_room_for_is_told_of_and_waits_for_no_younger_one(
    api: Api, store: Store, desk: Desk, projects: None, image_id: str, flavor_id: str
) -> None:
    asked = {"imageRef": image_id, "flavorRef": flavor_id, "networks": "none"}
    body = {"server": {"name": "web", **asked, "min_count": 5, "max_count": 5}}
    assert (await api("POST", "/v2.1/servers", body, version="2.100")).status == 202
    rows, _ = await _rows(store)
    assert [row["id"] for row, _ in desk.begun] == [row["id"] for row in rows[:3]]
    assert [row["owner"] for row in rows] == ["me"] * 3 + [None] * 2 and len(desk.told) == 1
    desk.leases.held.clear()
    desk.leases.limit = 2
    assert [row["id"] for row in await desk.leases.take()] == [row["id"] for row in rows[3:]]
    desk.leases.held.clear()
    desk.leases.limit = 9
    # Of what was taken every place was used, so that something older may wait still.
    assert (await api("POST", "/v2.1/servers", {"server": {"name": "younger", **asked}}, version="2.100")).status == 202
    assert len(desk.begun) == 3 and len(desk.told) == 2
    assert len(await desk.leases.take()) == 1
    assert (await api("POST", "/v2.1/servers", {"server": {"name": "last", **asked}}, version="2.100")).status == 202
    assert len(desk.begun) == 4 and len(desk.told) == 2


async def test_a_transaction_that_fails_keeps_no_place(
    api: Api,
    store: Store,
    desk: Desk,
    projects: None,
    image_id: str,
    flavor_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add = operations.add

    async def fail(*said: Any) -> None:
        await add(*said)
        raise OSError("no more")

    monkeypatch.setattr(operations, "add", fail)
    asked = {"name": "web", "imageRef": image_id, "flavorRef": flavor_id, "networks": "none"}
    assert (await api("POST", "/v2.1/servers", {"server": asked}, version="2.100")).status == 500
    monkeypatch.undo()
    assert desk.begun == [] and desk.leases.held == set()
    assert (await api("POST", "/v2.1/servers", {"server": asked}, version="2.100")).status == 202
    await asyncio.sleep(0)
    assert len(desk.begun) == 1 and len(await _rows(store)) == 2
