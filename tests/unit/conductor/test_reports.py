"""What hosts report of themselves."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa

from novakit import world
from novakit.bus import MemoryBus, Targets, Unreachable
from novakit.bus.tickets import Tickets
from novakit.calls.conductor import AgentReport
from novakit.calls.host import GuestNote, HostCalls
from novakit.conductor import establishing
from novakit.conductor.guests.note import Notary
from novakit.conductor.parts import Parts
from novakit.conductor.reports import MAX_METRICS, Reports, measurements
from novakit.conductor.wiring import Wiring
from novakit.config import Config
from novakit.identity import Identity
from novakit.image import Images
from novakit.network import Networks
from novakit.placement import Placement
from novakit.store import Store, tables  # noqa: F401
from novakit.store.compute import hosts, servers
from novakit.store.network import hosts as network_hosts
from novakit.store.placement import inventories, resource_providers
from novakit.store.placement import traits as placement_traits
from novakit.store.placement.hosts import device_id
from novakit.store.scheduler import host_metrics
from novakit_hookspecs.hosts import HostFacts, Inventory, PciDevice
from novakit_hookspecs.servers import Guest, Power
from tests.support.rows import FLAVOR
from tests.support.stores import open_store, sqlite_store
from tests.support.targets import serve_some


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    store = await sqlite_store(tmp_path / "cloud.db")
    yield await _parts(store, tmp_path)
    await store.close()


@pytest.fixture
async def parts_on_postgresql(postgres_with_tables: str, tmp_path: Path) -> AsyncIterator[Parts]:
    store = await open_store(postgres_with_tables)
    yield await _parts(store, tmp_path)
    await store.close()


async def _parts(store: Store, tmp_path: Path) -> Parts:
    config = Config(state=tmp_path)
    bus, networks = MemoryBus().join("conductor"), Networks(store)
    return Parts(
        config=config,
        store=store,
        bus=bus,
        identity=Identity(store, tmp_path / "keys", {}),
        images=Images(store, tmp_path / "images"),
        tickets=Tickets(b"secret"),
        networks=networks,
        placement=Placement(store),
        wiring=Wiring(networks, Targets(HostCalls, bus, config)),
        notary=Notary(await establishing.establish(store, tmp_path)),
    )


def _report(host: str, vcpus: int, *pci: PciDevice, **fields: Any) -> AgentReport:
    facts = HostFacts(
        hypervisor_type="simulated",
        hypervisor_version=1,
        hypervisor_hostname=host,
        inventory={"VCPU": Inventory(total=vcpus)},
        pci=pci,
    )
    return AgentReport(**{"facts": facts, "started": False, **fields})


async def _tell(reports: Reports, *told: AgentReport) -> list[Any]:
    """Take reports at the same time, each of the host that its facts name."""
    each = (reports.host(one.facts.hypervisor_hostname, one) for one in told)
    return await asyncio.gather(*each, return_exceptions=True)


async def test_a_host_whose_report_cannot_be_written_keeps_no_other_from_reporting(parts: Parts) -> None:
    reports = Reports(parts)
    beyond_any_integer = 1 << 80
    messages = [_report("a", 4), _report("rogue", beyond_any_integer), _report("b", 4)]
    outcomes = await _tell(reports, *messages)
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [False, True, False]
    async with parts.store.read() as session:
        assert {row["name"] for row in await hosts.every(session)} == {"a", "b"}


def _server(id: str, host: str | None, *, deleted: bool = False) -> dict[str, Any]:
    return {
        "id": id,
        "project_id": "p",
        "user_id": "u",
        "name": id,
        "hostname": id,
        "vm_state": "deleted" if deleted else "active",
        "host": host,
        "flavor": FLAVOR,
        "vcpus": 1,
        "memory_mb": 1,
        "reservation_id": "r",
        "created_at": world.now(),
        "updated_at": world.now(),
        "deleted_at": world.now() if deleted else None,
    }


async def test_only_the_guest_of_a_deleted_server_is_removed_and_when_two_reports_in_a_row_tell_of_it(
    parts: Parts,
) -> None:
    removed: list[str] = []
    deleted, deleted_too, never_seen, elsewhere, nowhere = (world.new_id() for _ in range(5))

    async def destroy(server: str) -> None:
        removed.append(server)

    bus = MemoryBus()

    async def notes(servers: tuple[str, ...]) -> tuple[GuestNote, ...]:
        return ()

    serve_some(bus.join("agent:a"), HostCalls, "a", destroy=destroy, notes=notes)
    reports = Reports(attrs.evolve(parts, bus=bus.join("conductor")))
    async with parts.store.write() as session:
        gone = [_server(deleted, "a", deleted=True), _server(deleted_too, None, deleted=True)]
        await servers.add(session, [*gone, _server(elsewhere, "b"), _server(nowhere, None)])

    async def tell(*guests: str) -> list[str]:
        running = tuple(Guest(id=guest, power=Power.RUNNING) for guest in guests)
        await reports.host("a", _report("a", 4, guests=running))
        return removed

    others = (never_seen, elsewhere, nowhere)
    assert await tell(deleted, deleted_too, *others) == []
    assert await tell(deleted_too, *others) == [deleted_too]
    assert await tell(deleted, *others) == [deleted_too], "it was away in between"
    assert await tell(deleted, *others) == [deleted_too, deleted]


async def test_a_report_with_strangers_is_not_taken_before_their_notes_are_read(parts: Parts) -> None:
    bus = MemoryBus()
    reports = Reports(attrs.evolve(parts, bus=bus.join("conductor")))
    told = attrs.evolve(_report("a", 4, guests=(Guest(id=world.new_id(), power=Power.RUNNING),)), started=True)
    with pytest.raises(Unreachable):
        await reports.host("a", told)
    async with parts.store.read() as session:
        assert await network_hosts.every(session) == [], "no topology is pushed that would unplug the stranger"


async def test_what_somebody_took_from_a_hosts_provider_is_there_again_after_its_next_report(parts: Parts) -> None:
    reports = Reports(parts)
    report = _report("a", 4)
    facts = attrs.evolve(report.facts, traits=frozenset({"HW_CPU_X86_AVX2", "COMPUTE_NODE"}))
    report = attrs.evolve(report, facts=facts)
    await reports.host("a", report)
    async with parts.store.read() as session:
        (row,) = await hosts.every(session)
    id = row["provider_id"]

    async def state() -> tuple[set[str], set[str], int]:
        async with parts.store.read() as session:
            traits = await parts.placement.traits(session, [id])
            stock = await parts.placement.inventories(session, [id])
            generation = (await resource_providers.provider(session, id))["generation"]
        return set(traits[id]), set(stock.get(id, {})), generation

    whole = await state()
    await reports.host("a", report)
    assert await state() == whole, "a report without news writes nothing"
    async with parts.store.write() as session:
        await placement_traits.ensure(session, "CUSTOM_MINE")
        await placement_traits.replace(session, id, {"COMPUTE_NODE", "CUSTOM_MINE"})
        await inventories.replace(session, id, {})
    await reports.host("a", report)
    restored = await state()
    async with parts.store.write() as session:
        mine = inventories.StatedInventory(total=4, allocation_ratio=2.0, said=frozenset({"allocation_ratio"}))
        await inventories.update(session, id, "VCPU", mine)
        await placement_traits.replace(session, id, {"COMPUTE_NODE", "CUSTOM_MINE"})
    await reports.host("a", report)
    async with parts.store.read() as session:
        stock = await parts.placement.inventories(session, [id])
    assert stock[id]["VCPU"]["allocation_ratio"] == 2.0, "what is there stays as an operator set it"
    restored = await state()
    assert restored[:2] == ({"HW_CPU_X86_AVX2", "COMPUTE_NODE", "CUSTOM_MINE"}, {"VCPU"})
    await reports.host("a", report)
    assert await state() == restored


async def test_a_device_that_went_while_it_was_held_goes_from_the_ledger_once_it_is_free(parts: Parts) -> None:
    reports, server = Reports(parts), "22222222-2222-2222-2222-222222222222"
    device = PciDevice(address="0000:3b:00.0", kind="a100")
    await reports.host("a", _report("a", 4, device))
    async with parts.store.write() as session:
        (row,) = await hosts.every(session)
        provider = device_id(row["provider_id"], device.address)
        held = {provider: {device.resource_class: 1}}
        assert await parts.placement.claim(session, server, project_id="p", user_id="u", allocations=held)

    async def stock() -> set[str]:
        async with parts.store.read() as session:
            return set(await parts.placement.inventories(session))

    await reports.host("a", _report("a", 4))
    await reports.host("a", _report("a", 4))
    assert await stock() == {row["provider_id"], provider}
    async with parts.store.write() as session:
        await parts.placement.release(session, server)
    await reports.host("a", _report("a", 4))
    assert await stock() == {row["provider_id"]}


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ({"cpu.percent": 7, "power-usage.watts": 1.5}, {"cpu_percent": 7.0, "power_usage_watts": 1.5}),
        ({"a": float("nan"), "b": float("inf"), "c": float("-inf"), "d": 10**400, "e": -1e300, "f": -1.0}, {"f": -1.0}),
        ({"a": "1", "b": None, "c": True, "d": [1], "e": {"f": 1}}, {}),
        (
            {"": 1, "*": 1, "A": 1, "9a": 1, "a b": 1, "a;drop": 1, "a\x00": 1, "ä": 1, "a" * 57: 1, "_a": 1, 7: 1},
            {},
        ),
        ({"a" * 56: 1, "cpu.x": 1, "cpu_x": 2, "a\n": 1}, {"a" * 56: 1.0, "cpu_x": 2.0}),
        (None, {}),
        ([["cpu.percent", 1]], {}),
        ("cpu.percent", {}),
    ],
)
def test_of_measurements_only_finite_numbers_under_names_of_columns_are_kept(told: Any, kept: dict[str, float]) -> None:
    assert measurements(told) == kept


async def test_a_host_that_measures_ten_thousand_things_is_cut_and_still_reports(parts: Parts) -> None:
    flood = {f"made_up_{number}": number for number in range(10_000)}
    assert len(measurements(flood)) == MAX_METRICS
    reports = Reports(parts)
    messages = [
        _report("flood", 4, metrics=flood),
        _report("odd", 4, metrics={"b": "x"}),
        _report("a", 4, metrics={"b": 1}),
    ]
    assert not [each for each in await _tell(reports, *messages) if isinstance(each, Exception)]
    async with parts.store.read() as session:
        kept = {row["host"]: row["metrics"] for row in await host_metrics.since(session, 0)}
        told = {row["name"]: row for row in await hosts.every(session)}
    assert {host: len(found) for host, found in kept.items()} == {"flood": MAX_METRICS, "a": 1}
    assert set(told) == {"flood", "odd", "a"}
    assert not any("metrics" in row["facts"] for row in told.values()), "facts change only when the host does"


async def _while_the_first_is_written(parts: Parts, names: Sequence[str], work: Awaitable[object]) -> None:
    """Write hosts in the order of their names, and let `work` begin when only the first of them is written."""
    async with parts.store.write() as session:
        await hosts.seen(session, names[:1], world.now())
        other = asyncio.create_task(asyncio.wait_for(work, 30))
        async with parts.store.read() as look:
            while not await look.scalar(sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                await asyncio.sleep(0.01)
        await hosts.seen(session, names[1:], world.now())
    await other


@pytest.mark.parametrize("order", [1, -1])
async def test_what_several_hosts_say_at_once_is_written_in_one_order_so_that_nobody_fails_for_another(
    parts_on_postgresql: Parts, order: int
) -> None:
    parts = parts_on_postgresql
    reports, names = Reports(parts), [f"host-{letter}" for letter in "abcdefgh"]
    for name in names:
        await _tell(reports, _report(name, 4))
    for name in names[::order]:
        reports.heartbeat(name)
    await _while_the_first_is_written(parts, names, reports.write_heartbeats())
    answers = _tell(reports, *(_report(name, 8) for name in names[::order]))
    await _while_the_first_is_written(parts, names, answers)
    async with parts.store.read() as session:
        told = await hosts.some(session, names)
    assert {row["facts"]["inventory"]["VCPU"]["total"] for row in told} == {8}


async def test_signs_of_life_that_could_not_be_written_are_written_with_the_next(parts: Parts) -> None:
    reports = Reports(parts)
    await _tell(reports, _report("a", 4))
    async with parts.store.write() as session:
        before = (await hosts.signs(session))[0]["last_seen"]
        await session.execute(sa.text("ALTER TABLE hosts RENAME TO away"))
    reports.heartbeat("a")
    with pytest.raises(sa.exc.OperationalError, match="no such table"):
        await reports.write_heartbeats()
    async with parts.store.write() as session:
        await session.execute(sa.text("ALTER TABLE away RENAME TO hosts"))
    await reports.write_heartbeats()
    async with parts.store.read() as session:
        assert (await hosts.signs(session))[0]["last_seen"] > before


async def _called(parts: Parts) -> dict[str, str]:
    async with parts.store.read() as session:
        return {row["name"]: row["facts"]["hypervisor_hostname"] for row in await hosts.every(session)}


async def test_no_host_has_its_hypervisor_called_as_another_host_or_another_hosts_hypervisor(parts: Parts) -> None:
    """Servers are forced to hypervisors by name: what is meant for one would go to another."""
    await _names_that_others_have(parts)


async def test_that_holds_on_postgresql_too(parts_on_postgresql: Parts) -> None:
    await _names_that_others_have(parts_on_postgresql)


async def _names_that_others_have(parts: Parts) -> None:
    reports = Reports(parts)
    await reports.host("honest", _report("honest.example.org", 4))
    await reports.host("rogue", _report("honest", 4))
    assert await _called(parts) == {"honest": "honest.example.org", "rogue": "rogue"}
    await reports.host("rogue", _report("honest.example.org", 4))
    await reports.host("honest", _report("honest.example.org", 4))
    assert await _called(parts) == {"honest": "honest.example.org", "rogue": "rogue"}
    await reports.host("rogue", _report("newcomer", 4))
    await reports.host("newcomer", _report("newcomer", 4))
    await reports.host("rogue", _report("newcomer", 4))
    assert await _called(parts) == {"honest": "honest.example.org", "rogue": "rogue", "newcomer": "newcomer"}
    await reports.host("newcomer", _report("its own", 4))
    assert (await _called(parts))["newcomer"] == "its own", "one that nobody has"
    await reports.host("honest", _report("its own", 4))
    await reports.host("newcomer", _report("its own", 4))
    assert (await _called(parts))["honest"] == "honest", "who came first has no right to what another one has"
    assert (await _called(parts))["newcomer"] == "its own"
