"""What a host is told to be, and when."""

import uuid
from typing import Any

import pytest

from novakit import errors
from novakit.network.ports import NewPort, PortChange
from novakit.network.security_group_rules import NewRule
from novakit.network.security_groups import NewSecurityGroup
from novakit_hookspecs.networks import Applied, Rule, Topology, Vif


async def bound(bench: Any, host: str) -> Any:
    cards = await bench.networks.check_request(bench.member, None, ())
    key = str(uuid.uuid4())
    await bench.networks.allocate(server_id=key, project_id=bench.member.project_id, hostname="web", requested=cards)
    return (await bench.networks.bind(key, host))[0]


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


async def test_exactly_the_hosts_that_must_see_a_change_are_behind(bench: Any) -> None:
    await bench.network()
    for host in ("gw", "a", "b", "idle"):
        await bench.networks.host_up(host)
    await bench.networks.set_gateway("gw")
    await settle(bench)
    card = await bound(bench, "a")
    assert await bench.networks.hosts_behind() == ["a", "gw"]
    await settle(bench)
    await bench.networks.bind(card.server_id, "b")
    assert await bench.networks.hosts_behind() == ["a", "b"]
    await settle(bench)
    await bound(bench, "a")
    assert await bench.networks.hosts_behind() == ["a", "b", "gw"], "b trusts the members of the default group"
    await settle(bench)
    await bench.networks.bind(card.server_id, "b")
    assert await bench.networks.hosts_behind() == [], "binding again changes nothing"
    await bench.networks.release(card.server_id)
    assert await bench.networks.hosts_behind() == ["a", "b", "gw"]
    assert bench.told[-1] == {"a", "b", "gw"}


async def settle(bench: Any) -> None:
    for host in await bench.networks.hosts_behind():
        seen = await bench.networks.topology(host)
        vifs = {port.id: Vif(device="tap0", mtu=1450) for port in seen.ports}
        await bench.networks.record_applied(host, Applied(revision=seen.revision, vifs=vifs))
    assert await bench.networks.hosts_behind() == []


async def test_the_state_of_a_port_is_what_its_host_made_of_it(bench: Any) -> None:
    await bench.network()
    card = await bound(bench, "a")
    assert card.status == "BUILD"
    seen = await bench.networks.topology("a")
    await bench.networks.record_applied("a", Applied(revision=seen.revision, faults={card.id: "no tap left"}))
    (card,) = (await bench.networks.ports_of([card.server_id]))[card.server_id]
    assert (card.status, card.fault) == ("DOWN", "no tap left")
    vifs = {card.id: Vif(device="tap0", mtu=1450)}
    await bench.networks.record_applied("a", Applied(revision=seen.revision, vifs=vifs))
    (card,) = (await bench.networks.ports_of([card.server_id]))[card.server_id]
    assert (card.status, card.fault) == ("ACTIVE", None)


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


async def test_a_rule_reaches_the_hosts_that_use_it_and_no_other(bench: Any) -> None:
    await bench.network()
    (web,) = await bench.networks.security_groups.create(bench.member, [NewSecurityGroup(name="web")])
    for host in ("gw", "a", "b"):
        await bench.networks.host_up(host)
    await bench.networks.set_gateway("gw")
    card, _ = await bound(bench, "a"), await bound(bench, "b")
    await bench.networks.add_security_group(bench.member, card.server_id, "web")
    await settle(bench)
    rule = NewRule(security_group_id=web.group.id, direction="ingress", protocol="tcp", port_min=22, port_max=22)
    (made,) = await bench.networks.security_group_rules.create(bench.member, [rule])
    assert await bench.networks.hosts_behind() == ["a"]
    (port,) = (await bench.networks.topology("a")).ports
    assert Rule(direction="ingress", ethertype="IPv4", protocol=6, port_min=22, port_max=22) in port.rules
    await settle(bench)
    await bench.networks.security_group_rules.delete(bench.member, made.id)
    assert await bench.networks.hosts_behind() == ["a"]
    await bench.networks.remove_security_group(bench.member, card.server_id, "web")
    with pytest.raises(errors.NotFound):
        await bench.networks.remove_security_group(bench.member, card.server_id, "web")


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
