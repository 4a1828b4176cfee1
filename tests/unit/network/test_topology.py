"""What a host is told to be."""

import uuid
from typing import Any

import pytest

from novakit import errors
from novakit.network.ports import NewPort, PortChange
from novakit.network.subnets import NewSubnet
from novakit_hookspecs.networks import Topology
from tests.unit.network.scenes import bound, settle


async def test_a_host_is_told_of_its_own_ports_alone(bench: Any) -> None:
    net = await bench.network()
    await bench.networks.set_gateway("gw")
    one, two = await bound(bench, "a"), await bound(bench, "b")
    seen = await bench.networks.topology("a")
    assert [port.id for port in seen.ports] == [one.id]
    assert [found.id for found in seen.networks] == [net.id]
    assert seen.networks[0].dhcp is None and seen.networks[0].leases == ()
    ingress = [rule for rule in seen.ports[0].rules if rule.direction == "ingress" and rule.ethertype == "IPv4"]
    assert {remote for rule in ingress for remote in rule.remotes or ()} == {
        f"{card.addresses[0].ip}/32" for card in (one, two)
    }
    egress = [rule for rule in seen.ports[0].rules if rule.direction == "egress" and rule.ethertype == "IPv4"]
    assert [rule.remotes for rule in egress] == [None]


async def test_what_hosts_must_be_is_read_in_five_statements_however_many_they_are(bench: Any) -> None:
    net = await bench.network()
    await bench.networks.subnets.create(bench.member, [NewSubnet(network_id=net.id, cidr="10.0.1.0/24")])
    bare = await bench.network(cidr=None, name="bare")
    await bench.networks.set_gateway("gw")
    cards = [await bound(bench, host, net.id) for host in ("a", "a", "b")]
    await bench.networks.host_up("idle")
    before = bench.networks.store.tally.statements
    seen = await bench.networks.topologies(["a", "b", "idle", "unknown"])
    assert bench.networks.store.tally.statements - before == 5
    assert [port.id for port in seen["a"].ports] == [card.id for card in cards[:2]]
    assert [[subnet.cidr for subnet in found.subnets] for found in seen["a"].networks] == [
        ["10.0.0.0/24", "10.0.1.0/24"]
    ]
    assert seen["idle"].ports == seen["idle"].networks == () and seen["idle"].revision > 0
    assert seen["unknown"] == Topology(revision=0)
    assert bare.id not in {found.id for found in seen["b"].networks}


async def test_the_gateway_serves_dhcp_to_every_port_of_the_network(bench: Any) -> None:
    await bench.network()
    await bench.networks.set_gateway("gw")
    one = await bound(bench, "a")
    first, again = await bench.networks.topology("gw"), await bench.networks.topology("gw")
    (net,) = first.networks
    assert first == again
    assert net.dhcp is not None and net.dhcp.addresses[0].ip == "10.0.0.3"
    assert [(lease.ip, lease.mac, lease.hostname) for lease in net.leases] == [("10.0.0.2", one.mac, "web")]
    assert first.ports == ()


async def test_a_forgotten_host_hands_its_routers_over_and_returns_with_a_higher_revision(bench: Any) -> None:
    await bench.network()
    card = await bound(bench, "a")
    await bench.networks.host_up("b")
    old = await bench.networks.topology("a")
    assert old.networks[0].dhcp is not None, "the first host runs DHCP"
    await bench.networks.forget_host("a")
    assert await bench.networks.topology("a") == Topology(revision=0)
    assert (await bench.networks.topology("b")).networks[0].dhcp is not None
    assert (await bench.networks.ports_of([card.server_id]))[card.server_id][0].host is None
    await bench.networks.host_up("a")
    assert (await bench.networks.topology("a")).revision >= old.revision


async def test_a_port_deleted_by_its_owner_leaves_its_host(bench: Any) -> None:
    await bench.network()
    await bench.networks.host_up("gw")
    card = await bound(bench, "a")
    await settle(bench)
    await bench.networks.ports.delete(bench.member, card.id)
    assert "a" in await bench.networks.hosts_behind()
    assert (await bench.networks.topology("a")).ports == ()


async def test_an_adopted_port_outlives_its_server_and_keeps_its_address(bench: Any) -> None:
    net = await bench.network()
    (made,) = await bench.networks.ports.create(bench.member, [NewPort(network_id=net.id, name="mine")])
    port = made.port
    cards = await bench.networks.check_request(bench.member, [{"port": port.id, "tag": "front"}])
    key = str(uuid.uuid4())
    (card,) = await bench.networks.allocate(server_id=key, project_id="p", hostname="web", requested=cards)
    assert (card.id, card.made, card.tag) == (port.id, False, "front")
    with pytest.raises(errors.Conflict):
        await bench.networks.check_request(bench.member, [{"port": port.id}])
    with pytest.raises(errors.Conflict):
        await bench.networks.ports.update(bench.member, port.id, PortChange(device_id="elsewhere"))
    await bench.networks.bind(key, "a")
    await bench.networks.release(key)
    assert (await bench.networks.topology("a")).ports == ()
    cards = await bench.networks.check_request(bench.member, [{"port": port.id}])
    (again,) = await bench.networks.allocate(server_id=key, project_id="p", hostname="web", requested=cards)
    assert again.addresses == card.addresses


async def test_a_name_that_is_no_host_name_never_reaches_the_dhcp_server(bench: Any) -> None:
    await bench.network()
    await bench.networks.set_gateway("gw")
    cards = await bench.networks.check_request(bench.member, None)
    await bench.networks.allocate(
        server_id=str(uuid.uuid4()), project_id="p", hostname="a\ndhcp-option=6,6.6.6.6", requested=cards
    )
    (lease,) = (await bench.networks.topology("gw")).networks[0].leases
    assert lease.hostname == "host-10-0-0-2"
