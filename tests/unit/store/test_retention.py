"""What is old is forgotten, what something refers to never is, and the file gets smaller."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa

from novakit import world
from novakit.conductor.retention import Retention
from novakit.config import RetentionOptions
from novakit.store import UTC as UTC_COLUMN
from novakit.store import Store, deployment, operations
from novakit.store.compute.hosts import hosts
from novakit.store.compute.servers import servers
from novakit.store.compute.strangers import strangers
from novakit.store.migrate import migrate
from novakit.store.network.networks import networks
from novakit.store.network.ports import ports
from novakit.store.placement.tables import allocations, consumers, providers
from novakit.store.scheduler.decisions import decisions

NOW = datetime(2030, 6, 1, tzinfo=UTC)
OPTIONS = RetentionOptions(deleted_servers_days=30, operations_days=90, decisions_days=14)


@attrs.define
class Clock(world.SystemWorld):
    def now(self) -> datetime:
        return NOW


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    sqlite = f"sqlite+aiosqlite:///{tmp_path}/x.db"
    url = sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    await migrate(url)
    opened = await Store.open(url)
    with world.using(Clock()):
        async with opened.write() as session:
            await deployment.begin(session, world.new_id(), "new")
        yield opened
    await opened.close()


async def put(store: Store, table: sa.Table, **values: Any) -> Any:
    """Insert one row, with something in every column that must have something."""
    samples: dict[type, Any] = {str: "x", int: 0, bool: False, datetime: ago(400), dict: {}, float: 0.0}
    row = {}
    for column in table.c:
        if column.name in values or column.nullable or column.default is not None or column.autoincrement is True:
            continue
        kind = dict if isinstance(column.type, sa.JSON) else column.type.python_type
        kind = datetime if isinstance(column.type, UTC_COLUMN) else kind
        row[column.name] = world.new_id() if column.name == "id" else samples[kind]
    async with store.write() as session:
        await session.execute(sa.insert(table), [{**row, **values}])
    return values.get("id", row.get("id"))


async def server(store: Store, deleted: datetime | None, **values: Any) -> str:
    return str(await put(store, servers, id=world.new_id(), number=1, deleted_at=deleted, flavor={}, **values))


async def operation(store: Store, server_id: str, ended: datetime | None, kind: str = "create") -> str:
    id = world.new_id()
    row = {"id": id, "kind": kind, "server_id": server_id, "project_id": "p", "user_id": "u", "request_id": "r"}
    async with store.write() as session:
        await operations.add(session, [{**row, "finished_at": ended}])
    return id


async def left(store: Store, table: sa.Table) -> set[str]:
    async with store.read() as session:
        return set(await session.scalars(sa.select(table.c.id)))


async def test_a_server_that_was_deleted_long_ago_goes_with_all_that_was_done_to_it(store: Store) -> None:
    old, recent, alive = await server(store, ago(31)), await server(store, ago(29)), await server(store, None)
    done = {each: await operation(store, each, ago(28)) for each in (old, recent, alive)}
    gone = await Retention(store, OPTIONS).purge()
    assert gone == {"servers": 1, "operations": 0, "decisions": 0}
    assert await left(store, servers) == {recent, alive}
    assert await left(store, operations.operations) == {done[recent], done[alive]}
    async with store.read() as session:
        known = await deployment.show(session)
    # Ids of that time are no longer known to be unused, so a guest of a purged server is a stranger and stays.
    assert known is not None and known.forgotten_before == ago(400)


async def test_a_deleted_server_stays_while_something_refers_to_it(store: Store) -> None:
    await put(store, hosts, name="back", number=1, last_seen=ago(1), facts={}, provider_id=world.new_id())
    await put(store, hosts, name="away", number=2, last_seen=ago(60), facts={}, provider_id=world.new_id())
    free = await server(store, ago(40), host="back")
    busy, claims, wired = await server(store, ago(40)), await server(store, ago(40)), await server(store, ago(40))
    strange, waiting = await server(store, ago(40)), await server(store, ago(40), host="away")
    await operation(store, busy, None)
    provider = world.new_id()
    await put(store, providers, id=provider, root_id=provider, name="p")
    await put(store, consumers, id=claims)
    await put(store, allocations, consumer_id=claims, provider_id=provider)
    network = await put(store, networks, id=world.new_id())
    await put(store, ports, id=world.new_id(), network_id=network, server_id=wired)
    await put(store, strangers, guest=strange, claim_id=world.new_id(), keeps=[])
    assert (await Retention(store, OPTIONS).purge())["servers"] == 1
    assert await left(store, servers) == {busy, claims, wired, strange, waiting} and free


async def test_of_a_server_that_lives_the_latest_operation_of_each_kind_stays(store: Store) -> None:
    alive = await server(store, None)
    create = await operation(store, alive, ago(300))
    first, second = await operation(store, alive, ago(200), "stop"), await operation(store, alive, ago(100), "stop")
    last, under_way = await operation(store, alive, ago(80), "stop"), await operation(store, alive, None, "start")
    assert (await Retention(store, OPTIONS).purge())["operations"] == 2
    assert await left(store, operations.operations) == {create, last, under_way} and first != second


async def test_what_is_kept_for_ever_is(store: Store) -> None:
    await server(store, ago(3000))
    await put(store, decisions, id=world.new_id(), server_id=world.new_id(), at=ago(3000), record={})
    forever = RetentionOptions(deleted_servers_days=-1, operations_days=-1, decisions_days=-1)
    assert sum((await Retention(store, forever).purge()).values()) == 0
    assert sum((await Retention(store, OPTIONS).purge()).values()) == 2


@pytest.mark.parametrize("older", [False, True])
async def test_the_file_gets_smaller_also_where_it_was_made_before_it_could(tmp_path: Path, older: bool) -> None:
    path = tmp_path / "x.db"
    store = await Store.open(f"sqlite+aiosqlite:///{path}")
    if older:
        async with store.write() as session:
            await session.execute(sa.text("PRAGMA user_version"))
        await store.close()
        path.unlink()
        import sqlite3

        made = sqlite3.connect(path)
        made.execute("CREATE TABLE notes (content TEXT)")
        made.close()
        store = await Store.open(f"sqlite+aiosqlite:///{path}")
    async with store.write() as session:
        await session.execute(sa.text("CREATE TABLE IF NOT EXISTS notes (content TEXT)"))
        for _ in range(100):
            await session.execute(sa.text("INSERT INTO notes VALUES (:content)"), {"content": "x" * 100_000})
    await store.reclaim()
    large = path.stat().st_size
    async with store.write() as session:
        await session.execute(sa.text("DELETE FROM notes"))
    returned = await store.reclaim()
    assert large > 9_000_000 and path.stat().st_size < 200_000 and returned > 9_000_000
    await store.close()
