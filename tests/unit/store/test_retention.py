"""What is old is forgotten, what something refers to never is, and the file gets smaller."""

from collections.abc import AsyncIterator, Mapping
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
from novakit.store import Store, deployment, operations, retention
from novakit.store.compute.left_guests import left_guests
from novakit.store.compute.servers import servers
from novakit.store.compute.strangers import strangers
from novakit.store.identity.directory import revocations
from novakit.store.images import deleted_images
from novakit.store.login_attempts import login_attempts
from novakit.store.network.networks import networks
from novakit.store.network.ports import ports
from novakit.store.placement.tables import allocations, consumers, providers
from novakit.store.scheduler import decisions as decision_rows
from novakit.store.scheduler.decisions import decisions
from novakit.store.schema import metadata
from tests.support.rows import FLAVOR
from tests.support.stores import store_on

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
    opened = await store_on(request.param, request, tmp_path / "x.db")
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
    return str(await put(store, servers, id=world.new_id(), number=1, deleted_at=deleted, flavor=FLAVOR, **values))


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
    assert {name: number for name, number in gone.items() if number} == {"servers": 1}
    assert await left(store, servers) == {recent, alive}
    assert await left(store, operations.operations) == {done[recent], done[alive]}
    async with store.read() as session:
        known = await deployment.recorded(session)
    # Ids of that time are no longer known to be unused, so a guest of a purged server is a stranger and stays.
    assert known is not None and known.forgotten_before == ago(400)


async def test_a_deleted_server_stays_while_something_refers_to_it(store: Store) -> None:
    free = await server(store, ago(40), host="back")
    busy, claims, wired = await server(store, ago(40)), await server(store, ago(40)), await server(store, ago(40))
    strange, waiting = await server(store, ago(40)), await server(store, ago(40), host="away")
    await put(store, left_guests, host="earlier", server_id=waiting)
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
    await put(store, deleted_images, id=world.new_id(), deleted_at=ago(3000))
    ages = [name for name in attrs.fields_dict(RetentionOptions) if name.endswith("_days")]
    forever = RetentionOptions(**dict.fromkeys(ages, -1.0))
    assert sum((await Retention(store, forever).purge()).values()) == 0
    assert sum((await Retention(store, OPTIONS).purge()).values()) == 3


async def test_the_id_of_a_deleted_image_stays_taken_for_its_age_and_while_a_server_names_it(store: Store) -> None:
    named, old, recent = world.new_id(), world.new_id(), world.new_id()
    for each, age in ((named, 400), (old, 366), (recent, 364)):
        await put(store, deleted_images, id=each, deleted_at=ago(age))
    await server(store, None, image_id=named)
    assert (await Retention(store, OPTIONS).purge())["deleted_images"] == 1
    assert await left(store, deleted_images) == {named, recent} and old


async def test_a_revocation_outlives_its_token_by_a_day(store: Store) -> None:
    for audit_id, age in (("over", 1.1), ("skewed", 0.9), ("valid", -0.1)):
        await put(store, revocations, audit_id=audit_id, expires_at=ago(age))
    assert (await Retention(store, OPTIONS).purge())["revocations"] == 1
    async with store.read() as session:
        assert set(await session.scalars(sa.select(revocations.c.audit_id))) == {"skewed", "valid"}


async def test_counts_of_wrong_passwords_go_when_they_say_nothing_any_more(store: Store) -> None:
    minute = 1 / 1440
    for who, last, right in (
        ("stale", 16 * minute, None),
        ("fresh", 14 * minute, None),
        ("known", 29, 29),
        ("forgotten", 31, 31),
    ):
        row = {"who": who, "wrong": 1, "last_at": NOW - timedelta(days=last)}
        await put(store, login_attempts, **row, right_at=None if right is None else ago(right))
    assert (await Retention(store, OPTIONS).purge())["login_attempts"] == 2
    async with store.read() as session:
        assert set(await session.scalars(sa.select(login_attempts.c.who))) == {"fresh", "known"}


async def test_of_what_one_project_deleted_the_oldest_goes_at_once_beyond_its_bound(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MOST_DELETED", 3)
    busy = [
        await server(store, ago(1 - number / 100), terminated_at=ago(1), project_id="busy", created_at=ago(2))
        for number in range(8)
    ]
    unsure = await server(store, ago(1.5), project_id="busy")
    wired, alive = (
        await server(store, ago(1.4), terminated_at=ago(1.4), project_id="busy"),
        await server(store, None, project_id="busy"),
    )
    network = await put(store, networks, id=world.new_id())
    await put(store, ports, id=world.new_id(), network_id=network, server_id=wired)
    calm = {await server(store, ago(9), terminated_at=ago(9), project_id="calm") for _ in range(3)}
    done = {each: await operation(store, each, ago(0.5)) for each in (busy[0], busy[7])}
    assert (await Retention(store, OPTIONS).bound())["servers"] == 6
    assert await left(store, servers) == {*busy[6:], unsure, wired, alive} | calm
    assert await left(store, operations.operations) == {done[busy[7]]}
    async with store.read() as session:
        known = await deployment.recorded(session)
    assert known is not None and known.forgotten_before == ago(2)
    assert sum((await Retention(store, OPTIONS).bound()).values()) == 0


async def test_ids_that_only_their_project_knew_are_freed_beyond_its_bound_and_no_others(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MOST_IDS", 2)
    shut = [
        await put(store, deleted_images, id=world.new_id(), deleted_at=ago(5 - number), owner="busy")
        for number in range(5)
    ]
    kept = {
        await put(store, deleted_images, id=world.new_id(), deleted_at=ago(9), owner=owner, was_open=was_open)
        for owner, was_open in (("busy", True), ("busy", True), ("busy", True), ("calm", False), (None, False))
    }
    await server(store, None, image_id=shut[0])
    assert (await Retention(store, OPTIONS).bound())["deleted_images"] == 3
    assert await left(store, deleted_images) == {shut[0], shut[4], *kept}


async def test_nobody_pushes_the_decisions_about_others_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision_rows, "MOST_OF_PROJECT", 4)

    async def decided(project: str) -> str:
        values = {"server_id": world.new_id(), "at": ago(1), "record": {}, "project_id": project}
        return str(await put(store, decisions, id=world.new_id(), **values))

    calm, busy = [await decided("calm")], [await decided("busy") for _ in range(9)]
    assert (await Retention(store, OPTIONS).bound())["decisions"] == 5
    assert await left(store, decisions) == {*calm, *busy[5:]}


OPERATORS = "grows by what operators do alone"
OWNED = "goes with the row that it belongs to"
LIMITED = "held by a quota"
REPORTED = "one row for what hosts have and report"
SHRINKS: Mapping[str, str] = {
    "aggregates": OPERATORS,
    "aggregate_hosts": OWNED,
    "allocations": OWNED,
    "consumers": OWNED,
    "decisions": "decisions",
    "deleted_images": "deleted_images",
    "deleted_resource_providers": OPERATORS,
    "deployments": "one row",
    "flavor_access": OPERATORS,
    "flavors": OPERATORS,
    "floating_ips": LIMITED,
    "host_metrics": REPORTED,
    "host_plugins": REPORTED,
    "hosts": REPORTED,
    "identity_assignments": OPERATORS,
    "identity_domains": OPERATORS,
    "identity_endpoints": OPERATORS,
    "identity_implied_roles": OPERATORS,
    "identity_projects": OPERATORS,
    "identity_regions": OPERATORS,
    "identity_revocations": "revocations",
    "identity_roles": OPERATORS,
    "identity_services": OPERATORS,
    "identity_users": OPERATORS,
    "image_members": LIMITED,
    "image_quotas": OPERATORS,
    "images": LIMITED,
    "inventories": OPERATORS,
    "keypairs": LIMITED,
    "left_guests": "goes when its host confirms, or is revoked",
    "login_attempts": "login_attempts",
    "network_counters": "one row for each kind of number",
    "network_hosts": REPORTED,
    "network_quotas": OPERATORS,
    "networks": LIMITED,
    "numa_claims": OWNED,
    "operations": "operations",
    "port_addresses": OWNED,
    "port_security_groups": OWNED,
    "ports": LIMITED,
    "quota_limits": OPERATORS,
    "refused_hosts": REPORTED,
    "resource_classes": OPERATORS,
    "resource_provider_aggregates": OPERATORS,
    "resource_provider_traits": OPERATORS,
    "resource_providers": OPERATORS,
    "routers": LIMITED,
    "security_group_rules": LIMITED,
    "security_groups": LIMITED,
    "server_group_members": LIMITED,
    "server_groups": LIMITED,
    "servers": "servers",
    "strangers": REPORTED,
    "subnets": LIMITED,
    "traits": OPERATORS,
}
"""Of each table, what keeps it from growing for ever: the name of what purges it, or why nothing must.

Members of server groups that were deleted go with the servers; what a group and a server may have is limited.
"""


async def test_every_table_is_kept_from_growing_for_ever(store: Store) -> None:
    assert set(SHRINKS) == set(metadata.tables), "say of a new table what keeps it small"
    reasons = {OPERATORS, OWNED, LIMITED, REPORTED, "one row", "one row for each kind of number"}
    reasons.add("goes when its host confirms, or is revoked")
    assert set(SHRINKS.values()) - reasons == set(await Retention(store, OPTIONS).purge())


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
