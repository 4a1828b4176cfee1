"""What is recorded of what hosts made of their topologies."""

import asyncio
import tracemalloc
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from novakit.network.floating_ips import NewFloatingIp
from novakit.network.hosts.applied import SERVICE_PORTS
from novakit.network.ports import PortChange
from novakit.network.routers import NewRouter, WantedGateway, WantedInterface
from novakit.store.network.topologies.applied import UNSETTLED
from novakit_hookspecs.networks import Applied, Vif
from tests.unit.network.scenes import bound, settle


async def test_the_state_of_a_port_is_what_its_host_made_of_it(bench: Any) -> None:
    await bench.network()
    card = await bound(bench, "a")
    assert card.status == "BUILD"
    seen = (await bench.networks.build(["a"])).topologies["a"]
    await bench.networks.record_applied("a", Applied(revision=seen.revision, faults={card.id: "no tap left"}))
    (card,) = (await bench.networks.ports_of([card.server_id]))[card.server_id]
    assert (card.status, card.fault) == ("DOWN", "no tap left")
    vifs = {card.id: Vif(device="tap0", mtu=1450)}
    await bench.networks.record_applied("a", Applied(revision=seen.revision, vifs=vifs))
    (card,) = (await bench.networks.ports_of([card.server_id]))[card.server_id]
    assert (card.status, card.fault) == ("ACTIVE", None)
    await bench.networks.record_applied("a", Applied(revision=seen.revision, faults={card.id: "the tap is gone"}))
    (card,) = (await bench.networks.ports_of([card.server_id]))[card.server_id]
    assert (card.status, card.fault) == ("DOWN", "the tap is gone")


async def test_a_port_that_is_switched_off_is_down_once_its_host_knows(bench: Any) -> None:
    await bench.network()
    card = await bound(bench, "a")
    vifs = {card.id: Vif(device="tap0", mtu=1450)}
    await bench.networks.record_applied("a", Applied(revision=1, vifs=vifs))
    for up, status in ((False, "DOWN"), (True, "ACTIVE")):
        await bench.networks.ports.update(bench.member, card.id, PortChange(admin_state_up=up))
        await bench.networks.record_applied("a", Applied(revision=1, vifs=vifs))
        (card,) = (await bench.networks.ports_of([card.server_id]))[card.server_id]
        assert (card.status, card.fault) == (status, None)


async def test_a_host_without_ports_has_its_revision_recorded_and_an_unknown_one_nothing(bench: Any) -> None:
    await bench.networks.host_up("a")
    seen = (await bench.networks.build(["a"])).topologies["a"]
    assert await bench.networks.hosts_behind() == ["a"]
    await bench.networks.record_applied("unknown", Applied(revision=7))
    await bench.networks.record_applied("a", Applied(revision=seen.revision))
    assert await bench.networks.hosts_behind() == []


async def test_what_hosts_have_is_recorded_of_each_by_itself(bench_on_each_database: Any) -> None:
    bench = bench_on_each_database
    await bench.network()
    # Names that stand in JSON, of which nothing is a number or a path.
    names = ("a", "7", 'quo"ted', "b\\c", "$.a", "h\u00f6st")
    ports = {name: await bound(bench, name) for name in names}
    await bench.networks.set_gateway("a")
    seen = (await bench.networks.build(names)).topologies
    for name, port in ports.items():
        vifs = {port.id: Vif(device="tap0", mtu=1450)}
        await bench.networks.record_applied(name, Applied(revision=seen[name].revision, vifs=vifs))
    assert await bench.networks.hosts_behind() == []
    servers = [port.server_id for port in ports.values()]
    assert {card.status for (card,) in (await bench.networks.ports_of(servers)).values()} == {"ACTIVE"}


async def test_of_the_ports_of_other_hosts_nothing_is_recorded(bench_on_each_database: Any) -> None:
    bench = bench_on_each_database
    await bench.network()
    one, other = await bound(bench, "a"), await bound(bench, "b")
    vifs = {port.id: Vif(device="tap0", mtu=1450) for port in (one, other)}
    await bench.networks.record_applied("a", Applied(revision=1, vifs=vifs))
    found = await bench.networks.ports_of([one.server_id, other.server_id])
    assert [found[port.server_id][0].status for port in (one, other)] == ["ACTIVE", "BUILD"]


async def test_a_host_that_has_more_than_it_says_keeps_that(bench_on_each_database: Any) -> None:
    bench = bench_on_each_database
    await bench.networks.host_up("a")
    seen = (await bench.networks.build(["a"])).topologies["a"]
    await bench.networks.record_applied("a", Applied(revision=seen.revision))
    await bench.networks.record_applied("a", Applied(revision=seen.revision - 1))
    assert await bench.networks.hosts_behind() == []


async def test_what_a_host_made_of_an_older_topology_is_not_taken_for_new(bench_on_each_database: Any) -> None:
    bench = bench_on_each_database
    await bench.network()
    card = await bound(bench, "a")
    revision = (await bench.networks.build(["a"])).topologies["a"].revision
    await bench.networks.record_applied("a", Applied(revision=revision, faults={card.id: "the tap is gone"}))
    vifs = {card.id: Vif(device="tap0", mtu=1450)}
    for late, state in ((revision - 1, ("DOWN", "the tap is gone")), (revision, ("ACTIVE", None))):
        await bench.networks.record_applied("a", Applied(revision=late, vifs=vifs))
        (card,) = (await bench.networks.ports_of([card.server_id]))[card.server_id]
        assert (card.status, card.fault) == state


async def test_what_is_recorded_late_says_nothing_of_what_its_host_has_yet_to_be_told(
    bench_on_each_database: Any,
) -> None:
    bench, networks = bench_on_each_database, bench_on_each_database.networks
    public = await networks.bootstrap(
        admin_project_id=bench.admin.project_id, external_cidr="192.0.2.0/24", gateway="192.0.2.1"
    )
    net = await bench.network()
    (subnet,) = await networks.subnets.find(bench.member, network_id=[net.id])
    gateway = WantedGateway(network_id=public.network.id)
    (router,) = await networks.routers.create(bench.member, [NewRouter(gateway=gateway)])
    await networks.routers.add_interface(bench.member, router.router.id, WantedInterface(subnet_id=subnet.id))
    card = await bound(bench, "a", net.id)
    await networks.set_gateway("a")
    await settle(bench)

    async def statuses() -> set[str]:
        (floating,) = await networks.floating_ips.find(bench.member)
        (port,) = (await networks.ports_of([card.server_id]))[card.server_id]
        return {floating.floating_ip.status, port.status}

    seen = (await networks.build(["a"])).topologies["a"]
    vifs = {card.id: Vif(device="tap0", mtu=1450)}
    leading = NewFloatingIp(floating_network_id=public.network.id, port_id=card.id)
    await networks.floating_ips.create(bench.member, [leading])
    await networks.unbind(card.server_id)
    await networks.bind(card.server_id, "a")
    await networks.record_late({"a": Applied(revision=seen.revision, vifs=vifs)})
    assert await statuses() == {"DOWN", "BUILD"}
    assert await networks.hosts_behind() == ["a"]
    seen = (await networks.build(["a"])).topologies["a"]
    await networks.record_late({"a": Applied(revision=seen.revision, vifs=vifs)})
    assert await statuses() == {"ACTIVE"}
    assert await networks.hosts_behind() == []


async def test_what_is_recorded_at_once_says_all_beside_what_is_recorded_late(bench_on_each_database: Any) -> None:
    bench, networks = bench_on_each_database, bench_on_each_database.networks
    await bench.network()
    cards = {host: await bound(bench, host) for host in ("a", "b")}
    seen = (await networks.build([*cards])).topologies
    for host in cards:
        await bound(bench, host)
    made = {
        host: Applied(revision=seen[host].revision, vifs={card.id: Vif(device="tap0", mtu=1450)})
        for host, card in cards.items()
    }
    await asyncio.gather(networks.record_late(made), networks.record_applied("a", made["a"]))
    found = await networks.ports_of([card.server_id for card in cards.values()])
    assert [found[card.server_id][0].status for card in cards.values()] == ["ACTIVE", "BUILD"]


async def test_what_hosts_have_is_recorded_in_one_statement_and_new_states_in_one_more(bench: Any) -> None:
    await bench.network()
    await bench.networks.set_gateway("gw")
    card = await bound(bench, "a")
    vifs = {card.id: Vif(device="tap0", mtu=1450)}
    seen = (await bench.networks.build(["a", "gw"])).topologies

    async def takes(host: str, vifs: Any) -> int:
        before = bench.networks.store.tally.statements
        await bench.networks.record_applied(host, Applied(revision=seen[host].revision, vifs=vifs))
        return int(bench.networks.store.tally.statements - before)

    assert await takes("a", vifs) == 2
    assert await takes("a", vifs) == 1
    assert await takes("gw", {}) == 2, "the port of DHCP was not there before"
    assert await takes("gw", {}) == 1


async def test_what_is_not_well_around_guests_is_found_without_a_look_at_all_their_ports(bench: Any) -> None:
    asked = UNSETTLED.params(owners=SERVICE_PORTS)
    text = asked.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    async with bench.networks.store.read() as session:
        plan = [row[3] for row in await session.rows(sa.text(f"EXPLAIN QUERY PLAN {text}"))]
    assert any("ports USING INDEX" in line for line in plan) and not any("SCAN ports" in line for line in plan), plan


async def test_what_hosts_say_of_faults_is_not_kept_in_memory(bench_on_each_database: Any) -> None:
    bench = bench_on_each_database
    await bench.network()
    ports = [await bound(bench, "a") for _ in range(3)]
    tracemalloc.start()
    try:
        for number in range(150):
            faults = {ports[number % 3].id: f"{number} {'x' * 30_000}"}
            await bench.networks.record_applied("a", Applied(revision=1, faults=faults))
            if number == 20:
                before, _ = tracemalloc.get_traced_memory()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 2_000_000, "130 answers of hosts, of up to 90,000 characters each"
