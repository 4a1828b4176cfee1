"""A host is believed for itself: every call of `ConductorCalls`, about what is its own, another host's, and nobody's.

The cases are made of the contract: a call that is new fails here until it is said how it could lie.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa

from novakit import world
from novakit.bus import READS, MemoryBus, Targets, serve
from novakit.bus.contract import client, methods_of
from novakit.bus.tickets import Tickets
from novakit.calls.conductor import AgentReport, ConductorCalls
from novakit.calls.host import HostCalls
from novakit.conductor import establishing
from novakit.conductor.engine import Engine
from novakit.conductor.guests.note import Notary
from novakit.conductor.parts import Parts
from novakit.conductor.service import Conductor, Served
from novakit.conductor.verbs import VERBS
from novakit.conductor.wiring import Wiring
from novakit.config import Config
from novakit.context import SERVICE
from novakit.identity import Identity
from novakit.image import Images
from novakit.network import Networks, Requested
from novakit.network.networks import NewNetwork
from novakit.network.subnets import NewSubnet
from novakit.placement import Placement
from novakit.store import Store, tables  # noqa: F401
from novakit.store.compute import servers
from novakit.store.schema import metadata
from novakit_hookspecs.hosts import HostFacts, Inventory
from novakit_hookspecs.servers import Guest, GuestEvent, Power
from tests.support.rows import FLAVOR
from tests.support.stores import sqlite_store
from tests.support.targets import serve_some

HOSTS = ("mine", "theirs")
PROJECT = "a" * 32
ABOUT = ("own", "foreign", "absent", "deleted")


@attrs.define
class Cloud:
    """Two hosts with a server each, and the calls of the first."""

    parts: Parts
    conductor: Conductor
    calls: ConductorCalls
    network: str
    about: dict[str, str] = attrs.field(factory=dict)
    """Ids of servers: its own one, the other host's, one that never was, and one that is deleted."""
    addresses: dict[str, str] = attrs.field(factory=dict)

    async def rows(self) -> dict[str, dict[Any, Mapping[str, Any]]]:
        """Give everything in the database."""
        found = {}
        async with self.parts.store.read() as session:
            for table in metadata.sorted_tables:
                rows = [dict(row) for row in await session.all(sa.select(table), of=sa.RowMapping)]
                keys = [column.name for column in table.primary_key]
                found[table.name] = {tuple(row[key] for key in keys): row for row in rows}
        return found


def _facts(host: str) -> HostFacts:
    inventory = {"VCPU": Inventory(total=4), "MEMORY_MB": Inventory(total=4096), "DISK_GB": Inventory(total=40)}
    return HostFacts(hypervisor_type="simulated", hypervisor_version=1, hypervisor_hostname=host, inventory=inventory)


def _server(id: str, host: str | None, *, deleted: bool = False) -> dict[str, Any]:
    now = world.now()
    return {
        "id": id,
        "project_id": PROJECT,
        "user_id": "u",
        "name": "s",
        "hostname": "s",
        "vm_state": "deleted" if deleted else "active",
        "power_state": 1,
        "host": host,
        "flavor": FLAVOR,
        "vcpus": 1,
        "memory_mb": 64,
        "reservation_id": "r",
        "created_at": now,
        "updated_at": now,
        "deleted_at": now if deleted else None,
    }


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Cloud]:
    store = await sqlite_store(tmp_path / "cloud.db")
    config = Config(state=tmp_path)
    bus = MemoryBus()
    networks = Networks(store)
    conductor_bus = bus.join("conductor")
    parts = Parts(
        config=config,
        store=store,
        bus=conductor_bus,
        identity=Identity(store, tmp_path / "keys", {}),
        images=Images(store, tmp_path / "images"),
        tickets=Tickets(b"secret"),
        networks=networks,
        placement=Placement(store),
        wiring=Wiring(networks, Targets(HostCalls, conductor_bus, config)),
        notary=Notary(await establishing.establish(store, tmp_path)),
    )
    conductor = Conductor(parts, Engine(parts, VERBS, limit=1, patience=1))
    serve(conductor_bus, ConductorCalls, lambda sender: Served(conductor, sender))

    async def nothing(servers: tuple[str, ...]) -> tuple[()]:
        return ()

    async def destroy(server: str) -> None:
        destroyed.append(server)

    destroyed: list[str] = []
    about = dict(zip(ABOUT, ("0" * 8 + f"-0000-4000-8000-{n:012}" for n in range(len(ABOUT))), strict=True))
    async with store.write() as session:
        on = {"own": "mine", "foreign": "theirs", "deleted": "mine"}
        await servers.add(session, [_server(about[one], host, deleted=one == "deleted") for one, host in on.items()])
    context = attrs.evolve(SERVICE, project_id=PROJECT)
    (made,) = await networks.networks.create(context, [NewNetwork(name="n")])
    await networks.subnets.create(context, [NewSubnet(network_id=made.network.id, cidr="10.0.0.0/24")])
    cloud = Cloud(parts, conductor, client(ConductorCalls, bus.join("agent:mine"), config), made.network.id, about)
    for host in HOSTS:
        serve_some(bus.join(f"agent:{host}"), HostCalls, host, notes=nothing, destroy=destroy)
        await client(ConductorCalls, bus.join(f"agent:{host}"), config).report_host(
            AgentReport(facts=_facts(host), started=False)
        )
        await networks.host_up(host)
    for one, host in (("own", "mine"), ("foreign", "theirs")):
        wish = [Requested(network_id=made.network.id)]
        (card,) = await networks.allocate(server_id=about[one], project_id=PROJECT, hostname="s", requested=wish)
        await networks.bind(about[one], host)
        cloud.addresses[one] = card.addresses[0].ip
    await networks.set_gateway("theirs")
    yield cloud
    assert set(destroyed) <= {about["deleted"], about["foreign"]}, "on itself alone, and its own server never"
    await store.close()


Ask = Callable[[Cloud, str], Any]


def _report(cloud: Cloud, about: str, power: Power | None, **fields: Any) -> Any:
    guests = (Guest(id=cloud.about[about], power=power),) if power else ()
    notes = {cloud.about[about]: "0" * 64}
    report = AgentReport(facts=_facts("mine"), guests=guests, notes=notes, started=True, **fields)
    return cloud.calls.report_host(report)


LIES: Mapping[str, tuple[Ask, ...]] = {
    "report_host": (
        lambda cloud, about: _report(cloud, about, Power.SHUTDOWN),
        lambda cloud, about: _report(cloud, about, Power.RUNNING),
        lambda cloud, about: _report(cloud, about, None),
        lambda cloud, about: _report(cloud, about, Power.RUNNING, deployment=cloud.about["absent"]),
        lambda cloud, about: _report(cloud, about, Power.CRASHED, building=(cloud.about["foreign"],)),
    ),
    "heartbeat": (lambda cloud, about: cloud.calls.heartbeat(),),
    "guest_event": tuple(
        lambda cloud, about, power=power: cloud.calls.guest_event(GuestEvent(guest=cloud.about[about], power=power))
        for power in Power
    ),
    "metadata": (
        lambda cloud, about: cloud.calls.metadata(
            cloud.network, cloud.addresses.get(about, "10.0.0.99"), "/openstack/latest/meta_data.json"
        ),
    ),
    "ticket_key": (lambda cloud, about: cloud.calls.ticket_key(),),
}
"""How a host could speak about a server, by call."""


def _by_agents() -> set[str]:
    return {name for name, method in methods_of(ConductorCalls).items() if "agent" in method.declared.by}


def test_every_call_of_a_host_is_tried() -> None:
    assert LIES.keys() == _by_agents()


@pytest.mark.parametrize(("name", "about"), list(product(sorted(LIES), ABOUT)))
async def test_a_host_changes_nothing_that_is_not_its_own(cloud: Cloud, name: str, about: str) -> None:
    before = await cloud.rows()
    answer = None
    for lie in LIES[name]:
        for _ in range(3):  # what is strange is acted on when it is told twice in a row
            answer = await lie(cloud, about)
            await asyncio.sleep(0)
    after = await cloud.rows()
    changed = {
        (table, key)
        for table in after
        for key in before[table].keys() | after[table].keys()
        if before[table].get(key) != after[table].get(key)
    }
    strange = {(table, key) for table, key in changed if not _is_own(cloud, table, before, after, key)}
    assert not strange, {
        (table, key): (before[table].get(key), after[table].get(key)) for table, key in sorted(strange, key=str)
    }
    if name == "metadata":
        assert (answer is not None) == (about == "own"), "a guest of another host asks there"
    if name == "ticket_key":
        assert answer == cloud.parts.tickets.host_key("mine") != cloud.parts.tickets.host_key("theirs")


@pytest.mark.parametrize("name", sorted(LIES))
async def test_a_call_of_a_host_that_is_declared_to_read_writes_nothing_at_once_or_later(
    cloud: Cloud, name: str
) -> None:
    before = await cloud.rows()
    for tell in LIES[name]:
        await tell(cloud, "own")
    await cloud.conductor.reports.write_heartbeats()
    if methods_of(ConductorCalls)[name].declared.repeat_by == READS:
        assert await cloud.rows() == before
    elif name == "heartbeat":
        after = await cloud.rows()
        assert {table for table in after if after[table] != before[table]} == {"hosts"}


def _is_own(cloud: Cloud, table: str, before: Any, after: Any, key: Any) -> bool:
    """Say whether a row is the host's that spoke."""
    was, now = before[table].get(key), after[table].get(key)
    provider = next(row["provider_id"] for row in before["hosts"].values() if row["name"] == "mine")

    def owned(row: Mapping[str, Any]) -> bool:
        match table:
            case "hosts":
                return bool(row["name"] == "mine")
            case "servers" | "host_metrics" | "network_hosts" | "strangers" | "refused_hosts" | "left_guests":
                return bool(row["host"] == "mine")
            case "resource_providers":
                return bool(row["id"] == provider)
            case "inventories" | "resource_provider_traits":
                return provider in row.values()
            case "allocations":
                return bool(row["provider_id"] == provider) and row["consumer_id"] not in cloud.about.values()
            case "consumers":
                return row["id"] not in cloud.about.values()
            case "counters" | "scheduler_changes" | "changes":
                return True
        return False

    return all(owned(row) for row in (was, now) if row is not None)


async def test_the_check_sees_what_a_host_that_is_believed_too_much_would_change(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("novakit.conductor.service.Served._host", "theirs")
    with pytest.raises(AssertionError, match="servers"):
        await test_a_host_changes_nothing_that_is_not_its_own(cloud, "guest_event", "foreign")
