"""Which hosts must see a change."""

from typing import Any

import pytest

from novakit import errors
from novakit.network.security_group_rules import NewRule
from novakit.network.security_groups import NewSecurityGroup
from novakit.store.network import hosts
from novakit.store.network.touched import Touched, touch
from novakit_hookspecs.networks import Rule
from tests.unit.network.scenes import bound, settle


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
    (port,) = (await bench.networks.build(["a"])).topologies["a"].ports
    assert Rule(direction="ingress", ethertype="IPv4", protocol=6, port_min=22, port_max=22) in port.rules
    await settle(bench)
    await bench.networks.security_group_rules.delete(bench.member, made.id)
    assert await bench.networks.hosts_behind() == ["a"]
    await bench.networks.remove_security_group(bench.member, card.server_id, "web")
    with pytest.raises(errors.NotFound):
        await bench.networks.remove_security_group(bench.member, card.server_id, "web")


async def test_hosts_that_must_see_other_members_alone_keep_their_shape_and_others_get_one_that_none_had(
    bench: Any,
) -> None:
    async def shapes() -> dict[str, str]:
        async with bench.networks.store.read() as session:
            return {row.host: row.shape for row in await hosts.every(session)}

    net = await bench.network()
    for host in ("gw", "a", "b"):
        await bench.networks.host_up(host)
    await bench.networks.set_gateway("gw")
    await bound(bench, "a", net.id)
    first = await shapes()
    assert len({*first.values()}) == len(first)
    (group,) = {rule.remote_group for rule in (await bench.networks.build(["a"])).topologies["a"].ports[0].rules} - {
        None
    }
    for touched, reshaped in (
        (Touched(members={group}), set()),
        (Touched(members={group}, hosts={"b"}), {"b"}),
        (Touched(members={group}, groups={group}), {"a"}),
        (Touched(members={group}, networks={net.id}), {"a"}),
        (Touched(members={group}, gateway=True), {"gw"}),
        (Touched(hosts={"new"}), {"new"}),
    ):
        before = await shapes()
        async with bench.networks.store.write() as session:
            raised = await touch(session, touched)
        assert raised == reshaped | ({"a"} if touched.members else set())
        after = await shapes()
        assert {host for host, shape in after.items() if before.get(host) != shape} == reshaped
        assert all(after[host] not in before.values() for host in reshaped)
