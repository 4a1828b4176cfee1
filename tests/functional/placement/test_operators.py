"""What operators set of inventories that hosts report, through the API and past any number of reports."""

import pytest
import sqlalchemy as sa
from alembic import command

from novakit.placement import AllocationClaim, HostReport
from novakit.store import Store, migrate
from novakit.store.placement.hosts import device_id
from novakit_hookspecs.hosts import Inventory, PciDevice

HOST, SERVER = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
GPU = PciDevice(address="0000:3b:00.0", kind="a100")
DEVICE, KIND = device_id(HOST, GPU.address), "CUSTOM_PCI_A100"
STOCK = {"VCPU": Inventory(total=8, allocation_ratio=4.0), "MEMORY_MB": Inventory(total=4096, reserved=512)}


class Host:
    """Reports itself as an agent's report does: in full when something is new, else only where something is due."""

    def __init__(self, placement):
        self.placement, self.said = placement, None

    async def report(self, stock=STOCK, pci=(GPU,)):
        one = HostReport(provider_id=HOST, name="host", inventory=stock, traits=frozenset(), pci=tuple(pci))
        async with self.placement.store.write() as session:
            if one != self.said or await self.placement.stale(session, {HOST: one}):
                await self.placement.report_hosts(session, [one])
        self.said = one

    async def holds(self, provider, name):
        async with self.placement.store.read() as session:
            row = (await self.placement.inventories(session, [provider])).get(provider, {}).get(name)
        return row and tuple(row[part] for part in ("total", "reserved", "allocation_ratio", "max_unit", "capacity"))


@pytest.fixture
async def host(http):
    one = Host(http.placement)
    await one.report()
    return one


@pytest.fixture
def put(http):
    async def put(provider, name, **given):
        generation = (await http("GET", f"/resource_providers/{provider}")).body["generation"]
        body = {"resource_provider_generation": generation, **given}
        said = await http("PUT", f"/resource_providers/{provider}/inventories/{name}", body)
        assert said.status == 200, said.body
        assert given.items() <= said.body.items()

    return put


async def test_a_device_that_an_operator_reserved_stays_so_through_reports_until_it_is_taken_back(host, put):
    await put(DEVICE, KIND, total=1, reserved=1)
    for stock in (STOCK, {**STOCK, "VCPU": Inventory(total=16)}, STOCK):
        await host.report(stock)
        assert await host.holds(DEVICE, KIND) == (1, 1, 1.0, 1, 0)
    await put(DEVICE, KIND, total=1)
    await host.report()
    assert await host.holds(DEVICE, KIND) == (1, 0, 1.0, 1, 1)


async def test_a_reserved_device_that_is_away_for_a_while_is_still_reserved(host, put):
    await put(DEVICE, KIND, total=1, reserved=1)
    await host.report(pci=())
    await host.report(pci=())
    assert (await host.holds(DEVICE, KIND))[-1] == 0
    await host.report()
    assert (await host.holds(DEVICE, KIND))[-1] == 0


async def test_what_was_withdrawn_is_offered_again_and_what_an_operator_reserved_meanwhile_is_not(host, put, http):
    claim = AllocationClaim(consumer_id=SERVER, project_id="p", user_id="u", allocations={DEVICE: {KIND: 1}})
    for word in ({}, {"reserved": 1}):
        async with http.placement.store.write() as session:
            assert await http.placement.claim_many(session, [claim]) == [True]
        await host.report(pci=())
        assert (await host.holds(DEVICE, KIND))[-1] == 0
        if word:
            await put(DEVICE, KIND, total=1, **word)
        await host.report()
        async with http.placement.store.write() as session:
            await http.placement.release(session, SERVER)
        assert (await host.holds(DEVICE, KIND))[-1] == (0 if word else 1)


async def test_an_operator_cannot_bring_back_what_the_host_no_longer_has(host, put, http):
    claim = AllocationClaim(consumer_id=SERVER, project_id="p", user_id="u", allocations={DEVICE: {KIND: 1}})
    async with http.placement.store.write() as session:
        await http.placement.claim_many(session, [claim])
    await host.report(pci=())
    await put(DEVICE, KIND, total=1, reserved=0)
    await host.report(pci=())
    assert (await host.holds(DEVICE, KIND))[-1] == 0
    async with http.placement.store.write() as session:
        await http.placement.release(session, SERVER)
    await host.report(pci=())
    assert await host.holds(DEVICE, KIND) is None


async def test_an_operators_ratio_and_reservation_count_and_the_rest_follows_the_host(host, put):
    await put(HOST, "VCPU", total=8, allocation_ratio=1.0, max_unit=8)
    await put(HOST, "MEMORY_MB", total=4096, reserved=0, max_unit=1024)
    await host.report()
    assert await host.holds(HOST, "VCPU") == (8, 0, 1.0, 8, 8)
    assert await host.holds(HOST, "MEMORY_MB") == (4096, 0, 1.0, 1024, 4096)
    await host.report({"VCPU": Inventory(total=16, allocation_ratio=2.0), "MEMORY_MB": Inventory(total=8192)})
    assert await host.holds(HOST, "VCPU") == (16, 0, 1.0, 16, 16)
    assert await host.holds(HOST, "MEMORY_MB") == (8192, 0, 1.0, 1024, 8192)


async def test_what_an_operator_does_not_name_is_the_hosts_again_with_its_next_report(host, put):
    await put(HOST, "VCPU", total=8, allocation_ratio=16.0)
    await put(HOST, "MEMORY_MB", total=9999, allocation_ratio=1.5)
    await host.report()
    assert await host.holds(HOST, "MEMORY_MB") == (4096, 512, 1.5, 4096, 5376)
    await put(HOST, "VCPU", total=8)
    await host.report()
    assert await host.holds(HOST, "VCPU") == (8, 0, 4.0, 8, 32)


async def test_saying_what_the_host_says_takes_a_word_back(host, put):
    await put(HOST, "VCPU", total=8, allocation_ratio=1.0)
    await host.report()
    await put(HOST, "VCPU", total=8, allocation_ratio=4.0)
    await host.report({**STOCK, "VCPU": Inventory(total=8, allocation_ratio=2.0)})
    assert (await host.holds(HOST, "VCPU"))[2] == 2.0


async def test_what_an_operator_deleted_comes_back_as_the_host_says_with_its_next_report(host, put, http):
    await put(DEVICE, KIND, total=1, reserved=1)
    assert (await http("DELETE", f"/resource_providers/{DEVICE}/inventories/{KIND}")).status == 204
    assert (await http("DELETE", f"/resource_providers/{HOST}/inventories")).status == 204
    await host.report()
    assert await host.holds(DEVICE, KIND) == (1, 0, 1.0, 1, 1)
    assert (await host.holds(HOST, "VCPU"), await host.holds(HOST, "MEMORY_MB")) == (
        (8, 0, 4.0, 8, 32),
        (4096, 512, 1.0, 4096, 3584),
    )


async def test_an_inventory_that_was_deleted_and_made_anew_by_hand_keeps_what_was_named(host, http):
    await http("DELETE", f"/resource_providers/{DEVICE}/inventories/{KIND}")
    made = {"resource_class": KIND, "total": 1, "reserved": 1}
    assert (await http("POST", f"/resource_providers/{DEVICE}/inventories", made)).status == 201
    await host.report()
    assert await host.holds(DEVICE, KIND) == (1, 1, 1.0, 1, 0)


async def test_a_word_on_all_inventories_at_once_is_a_word_on_each(host, http):
    generation = (await http("GET", f"/resource_providers/{HOST}")).body["generation"]
    stock = {"VCPU": {"total": 8, "reserved": 2}}
    body = {"resource_provider_generation": generation, "inventories": stock}
    assert (await http("PUT", f"/resource_providers/{HOST}/inventories", body)).status == 200
    await host.report()
    assert await host.holds(HOST, "VCPU") == (8, 2, 4.0, 8, 24)
    assert await host.holds(HOST, "MEMORY_MB") == (4096, 512, 1.0, 4096, 3584)


async def test_a_report_without_news_leaves_generations_alone(host, put, http):
    await put(DEVICE, KIND, total=1, reserved=1)
    await host.report()
    before = [(await http("GET", f"/resource_providers/{id}")).body["generation"] for id in (HOST, DEVICE)]
    await host.report()
    await host.report({**STOCK, "VCPU": Inventory(total=8, allocation_ratio=4.0)})
    assert [(await http("GET", f"/resource_providers/{id}")).body["generation"] for id in (HOST, DEVICE)] == before


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/old.db"
    return request.getfixturevalue("postgres_url")


async def test_a_ledger_of_before_goes_on_and_the_program_of_before_may_go_on_writing_it(url):
    """The new columns may be left out by who does not know them."""
    opened = await Store.open(url)

    def former(connection):
        command.upgrade(migrate._settings(connection), "0003")
        _write_as_before(connection, HOST, "VCPU")

    async with opened.write() as session:
        await session.connection.run_sync(former)
    await opened.close()
    assert await migrate.migrate(url)
    opened = await Store.open(url)
    async with opened.write() as session:
        await session.connection.run_sync(lambda connection: _write_as_before(connection, SERVER, "VCPU"))
    async with opened.read() as session:
        rows = await session.all(sa.text("SELECT * FROM inventories"), of=sa.RowMapping)
    await opened.close()
    assert [(row["total"], row["reported"], row["stated"], bool(row["restated"])) for row in rows] == [
        (8, None, None, False)
    ] * 2


async def test_aggregates_that_were_kept_in_capitals_are_found(url):
    """In two spellings it was two rows, and is one aggregate."""
    opened = await Store.open(url)
    kept = "abcdef01-2345-4678-9abc-def012345678"

    def former(connection):
        command.upgrade(migrate._settings(connection), "0019")
        for provider, spellings in ((HOST, (kept.upper(), kept, kept.title())), (SERVER, (kept.upper(),))):
            _write_as_before(connection, provider, "VCPU")
            for spelling in spellings:
                row = f"VALUES ('{provider}', '{spelling}')"
                text = f"INSERT INTO resource_provider_aggregates (provider_id, aggregate_id) {row}"
                connection.execute(sa.text(text))

    async with opened.write() as session:
        await session.connection.run_sync(former)
    await opened.close()
    assert await migrate.migrate(url)
    opened = await Store.open(url)
    async with opened.read() as session:
        rows = await session.all(
            sa.text("SELECT provider_id, aggregate_id FROM resource_provider_aggregates"), of=sa.RowMapping
        )
    await opened.close()
    assert sorted((row["provider_id"], row["aggregate_id"]) for row in rows) == sorted([(HOST, kept), (SERVER, kept)])


def _write_as_before(connection, provider, name):
    at = "'2026-01-01 00:00:00'"
    connection.execute(
        sa.text(
            "INSERT INTO resource_providers (id, name, generation, root_id, changed, created_at, updated_at)"
            f" VALUES ('{provider}', '{provider}', 1, '{provider}', 1, {at}, {at})"
        )
    )
    connection.execute(
        sa.text(
            "INSERT INTO inventories (provider_id, resource_class, total, reserved, min_unit, max_unit, step_size,"
            " allocation_ratio, capacity, used, by_host, updated_at)"
            f" VALUES ('{provider}', '{name}', 8, 0, 1, 8, 1, 1.0, 8, 0, true, {at})"
        )
    )


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_a_word_on_what_was_reported_before_words_were_kept_is_kept(host, put, http):
    async with http.placement.store.write() as session:
        await session.execute(sa.text("UPDATE inventories SET reported = NULL, stated = NULL"))
    await put(DEVICE, KIND, total=1, reserved=1, allocation_ratio=1.0)
    await put(DEVICE, KIND, total=1, reserved=1, allocation_ratio=1.0)
    await host.report()
    assert await host.holds(DEVICE, KIND) == (1, 1, 1.0, 1, 0)
