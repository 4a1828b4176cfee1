"""What a host is told to be."""

import uuid
from typing import Any

import attrs
import pytest
import sqlalchemy as sa

from novakit import errors
from novakit.network import Networks
from novakit.network.hosts import remembered, topology
from novakit.network.networks import NetworkChange
from novakit.network.ports import NewPort, PortChange
from novakit.network.records import AddressPair, WantedAddress
from novakit.network.security_groups import NewSecurityGroup
from novakit.network.subnets import NewSubnet
from novakit.store.network import rows
from novakit.store.network.hosts import network_hosts
from novakit.store.network.networks import StoredNetwork
from novakit.store.network.topologies.around import Around, around
from novakit_hookspecs.networks import Topology
from tests.unit.network.scenes import bound, settle


async def test_a_host_is_told_of_its_own_ports_alone(bench: Any) -> None:
    net = await bench.network()
    await bench.networks.set_gateway("gw")
    one, two = await bound(bench, "a"), await bound(bench, "b")
    seen = (await bench.networks.build(["a"])).topologies["a"]
    assert [port.id for port in seen.ports] == [one.id]
    assert [found.id for found in seen.networks] == [net.id]
    assert seen.networks[0].dhcp is None and seen.networks[0].leases == ()
    ingress = [rule for rule in seen.ports[0].rules if rule.direction == "ingress" and rule.ethertype == "IPv4"]
    (group,) = seen.groups
    assert [(rule.remotes, rule.remote_group) for rule in ingress] == [((), group.id)]
    assert set(group.members) == {f"{card.addresses[0].ip}/32" for card in (one, two)}
    egress = [rule for rule in seen.ports[0].rules if rule.direction == "egress" and rule.ethertype == "IPv4"]
    assert [rule.remotes for rule in egress] == [None]


async def test_what_hosts_must_be_is_read_in_two_statements_however_many_they_are(bench: Any) -> None:
    net = await bench.network()
    await bench.networks.subnets.create(bench.member, [NewSubnet(network_id=net.id, cidr="10.0.1.0/24")])
    bare = await bench.network(cidr=None, name="bare")
    await bench.networks.set_gateway("gw")
    cards = [await bound(bench, host, net.id) for host in ("a", "a", "b")]
    await bench.networks.host_up("idle")
    before = bench.networks.store.tally.statements
    seen = (await bench.networks.build(["a", "b", "idle", "unknown"])).topologies
    assert bench.networks.store.tally.statements - before == 2
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
    first = (await bench.networks.build(["gw"])).topologies["gw"]
    before = bench.networks.store.tally.statements
    again = (await Networks(bench.networks.store).build(["gw"])).topologies["gw"]
    assert bench.networks.store.tally.statements - before == 2
    (net,) = first.networks
    assert first == again
    assert net.dhcp is not None and net.dhcp.addresses[0].ip == "10.0.0.3"
    assert [(lease.ip, lease.mac, lease.hostname) for lease in net.leases] == [("10.0.0.2", one.mac, "web")]
    assert first.ports == ()


async def test_a_forgotten_host_hands_its_routers_over_and_returns_with_a_higher_revision(bench: Any) -> None:
    await bench.network()
    card = await bound(bench, "a")
    await bench.networks.host_up("b")
    old = (await bench.networks.build(["a"])).topologies["a"]
    assert old.networks[0].dhcp is not None, "the first host runs DHCP"
    await bench.networks.forget_host("a")
    assert (await bench.networks.build(["a"])).topologies["a"] == Topology(revision=0)
    assert (await bench.networks.build(["b"])).topologies["b"].networks[0].dhcp is not None
    assert (await bench.networks.ports_of([card.server_id]))[card.server_id][0].host is None
    await bench.networks.host_up("a")
    assert (await bench.networks.build(["a"])).topologies["a"].revision >= old.revision


async def test_a_port_deleted_by_its_owner_leaves_its_host(bench: Any) -> None:
    await bench.network()
    await bench.networks.host_up("gw")
    card = await bound(bench, "a")
    await settle(bench)
    await bench.networks.ports.delete(bench.member, card.id)
    assert "a" in await bench.networks.hosts_behind()
    assert (await bench.networks.build(["a"])).topologies["a"].ports == ()


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
    assert (await bench.networks.build(["a"])).topologies["a"].ports == ()
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
    (lease,) = (await bench.networks.build(["gw"])).topologies["gw"].networks[0].leases
    assert lease.hostname == "host-10-0-0-2"


async def test_what_did_not_change_is_the_same_object_again_and_what_did_is_another(bench: Any) -> None:
    net = await bench.network()
    await bench.networks.set_gateway("gw")
    cards = [await bound(bench, "a", net.id) for _ in range(2)]
    first, served = (
        (await bench.networks.build(["a"])).topologies["a"],
        (await bench.networks.build(["gw"])).topologies["gw"].networks[0],
    )
    again = (await bench.networks.build(["a"])).topologies["a"]
    assert [*map(id, again.ports)] == [*map(id, first.ports)]
    assert again.networks[0] is first.networks[0]
    assert (await bench.networks.build(["gw"])).topologies["gw"].networks[0] is served
    await bench.networks.ports.update(bench.member, cards[0].id, PortChange(admin_state_up=False))
    changed = (await bench.networks.build(["a"])).topologies["a"]
    assert not changed.ports[0].admin_up and changed.ports[1] is first.ports[1]
    await bound(bench, "b", net.id)
    leases = (await bench.networks.build(["gw"])).topologies["gw"].networks[0].leases
    assert [*map(id, leases[:2])] == [*map(id, served.leases)] and len(leases) == 3


async def test_where_members_come_and_go_they_alone_are_read_and_all_else_is_the_very_same(bench: Any) -> None:
    net, other = await bench.network(), Networks(bench.networks.store)
    await bench.networks.set_gateway("gw")
    for host in ("a", "b"):
        await bound(bench, host, net.id)
    first = (await bench.networks.build(["a", "b", "gw"])).topologies
    (card,) = [await bound(bench, "c", net.id)]
    before = bench.networks.store.tally.statements
    more = (await bench.networks.build(["a", "b"])).topologies
    assert bench.networks.store.tally.statements - before == 2
    for host in ("a", "b"):
        assert more[host].revision > first[host].revision
        for name in ("networks", "ports", "routers"):
            assert getattr(more[host], name) is getattr(first[host], name)
        assert len(more[host].groups[0].members) == len(first[host].groups[0].members) + 1
    assert more["a"].groups[0] is more["b"].groups[0]
    await other.release(card.server_id)
    less = (await bench.networks.build(["a", "b"])).topologies
    assert {host: one.groups for host, one in less.items()} == {host: first[host].groups for host in ("a", "b")}
    again = (await bench.networks.build(["a", "b"])).topologies
    assert all(again[host].groups[0] is less[host].groups[0] for host in ("a", "b"))


async def test_what_a_process_that_knows_no_shapes_changes_is_read_at_once_and_after_a_member_more(bench: Any) -> None:
    net = await bench.network()
    await bench.networks.set_gateway("gw")
    await bound(bench, "a", net.id)
    await bench.networks.build(["a"])
    for mtu, is_joined in ((1300, False), (1301, True)):
        async with bench.networks.store.write() as session:
            await rows.change(session, StoredNetwork, net.id, mtu=mtu)
            await session.execute(sa.update(network_hosts).values(wanted=network_hosts.c.wanted + 1))
        if is_joined:
            await bound(bench, "b", net.id)
        assert (await bench.networks.build(["a"])).topologies["a"].networks[0].mtu == mtu
        assert (await bench.networks.build(["a"])).topologies["a"].networks[0].mtu == mtu


async def test_after_a_while_a_host_is_read_whole_whatever_its_shape_says(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = await bench.network()
    await bench.networks.set_gateway("gw")
    await bound(bench, "a", net.id)
    first = (await bench.networks.build(["a"])).topologies["a"]
    async with bench.networks.store.write() as session:
        await rows.change(session, StoredNetwork, net.id, mtu=1300)
    assert (await bench.networks.build(["a"])).topologies["a"].networks is first.networks, "nobody said so"
    monkeypatch.setattr(remembered, "OLD", -1.0)
    later = (await bench.networks.build(["a"])).topologies["a"]
    assert later.networks[0].mtu == 1300
    assert later.ports[0] is first.ports[0], "what is the same stays the same object"


async def test_whatever_changes_by_whomever_is_read_as_if_for_the_first_time(bench: Any) -> None:
    net, other = await bench.network(), Networks(bench.networks.store)
    cards = [await bound(bench, "a", net.id) for _ in range(2)]
    await bench.networks.build(["a"])
    (group,) = await bench.networks.security_groups.create(bench.member, [NewSecurityGroup(name="g")])
    pairs = (AddressPair(ip_address="10.9.0.0/16"),)
    for change in (
        PortChange(admin_state_up=False),
        PortChange(allowed_pairs=pairs),
        PortChange(security_groups=(group.group.id,)),
        PortChange(fixed_ips=(WantedAddress(ip_address="10.0.0.77"),)),
        PortChange(security_groups=(), allowed_pairs=()),
        PortChange(port_security=False),
    ):
        await other.ports.update(bench.admin, cards[0].id, change)
        assert (await bench.networks.build(["a"])).topologies["a"] == (
            await Networks(bench.networks.store).build(["a"])
        ).topologies["a"], change
    for changed in (NetworkChange(admin_state_up=False), NetworkChange(mtu=1400)):
        await other.networks.update(bench.admin, net.id, changed)
        assert (await bench.networks.build(["a"])).topologies["a"] == (
            await Networks(bench.networks.store).build(["a"])
        ).topologies["a"], changed
    await other.unbind(cards[1].server_id)
    await other.bind(cards[0].server_id, "b")
    await other.bind(cards[1].server_id, "a")
    assert (await bench.networks.build(["a"])).topologies["a"] == (
        await Networks(bench.networks.store).build(["a"])
    ).topologies["a"]


async def test_a_port_has_the_rules_of_all_its_groups_and_every_address_once(bench: Any) -> None:
    net = await bench.network()
    await bench.networks.subnets.create(bench.member, [NewSubnet(network_id=net.id, cidr="10.0.1.0/24")])
    made = await bench.networks.security_groups.create(
        bench.member, [NewSecurityGroup(name="g"), NewSecurityGroup(name="h")]
    )
    card = await bound(bench, "a", net.id)
    fixed = (WantedAddress(ip_address="10.0.0.9"), WantedAddress(ip_address="10.0.1.9"))
    groups = tuple(one.group.id for one in made)
    await bench.networks.ports.update(bench.member, card.id, PortChange(fixed_ips=fixed, security_groups=groups))
    (port,) = (await bench.networks.build(["a"])).topologies["a"].ports
    assert [address.ip for address in port.addresses] == ["10.0.0.9", "10.0.1.9"]
    assert len(port.rules) == 2, "both groups let out IPv4 and IPv6, and each is said once"


async def test_a_port_whose_network_is_deleted_while_topologies_are_read_is_left_out(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.network()
    await bound(bench, "a")

    async def after_the_network(*asked: Any, **more: Any) -> Around:
        return attrs.evolve(await around(*asked, **more), networks=(), subnets=())

    monkeypatch.setattr(topology, "around", after_the_network)
    told = (await bench.networks.build(["a"])).topologies["a"]
    assert told.ports == told.networks == ()
