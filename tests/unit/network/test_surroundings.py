"""What tells whether anything around guests changed."""

from typing import Any

from novakit.network.routers import NewRouter, RouterChange, WantedInterface
from novakit.network.security_group_rules import NewRule
from novakit.network.subnets import NewSubnet
from novakit.store.network import surroundings
from tests.unit.network.scenes import bound, settle


async def mark(bench: Any) -> surroundings.Mark:
    async with bench.networks.store.read() as session:
        return await surroundings.mark(session)


async def test_guests_that_come_and_go_change_nothing_around_others(bench: Any) -> None:
    await bench.network()
    await bound(bench, "a")
    await settle(bench)
    before = await mark(bench)
    card = await bound(bench, "b")
    await settle(bench)
    assert await mark(bench) == before
    await bench.networks.release(card.server_id)
    assert await mark(bench) == before


async def test_whatever_is_made_changed_or_deleted_around_guests_is_told(bench: Any) -> None:
    network = await bench.network()
    networks, seen = bench.networks, [await mark(bench)]
    subnets = await networks.subnets.find(bench.member, network_id=[network.id])

    async def differs(what: str) -> None:
        seen.append(await mark(bench))
        assert seen[-1] not in seen[:-1], what

    (made,) = await networks.routers.create(bench.member, [NewRouter(name="r")])
    router = made.router.id
    await differs("a router is made")
    await networks.routers.update(bench.member, router, RouterChange(name="other"))
    await differs("a router has another name")
    leg = WantedInterface(subnet_id=subnets[0].id)
    await networks.routers.add_interface(bench.member, router, leg)
    await differs("a router is on a network")
    await networks.subnets.create(bench.member, [NewSubnet(network_id=network.id, cidr="10.0.1.0/24")])
    await differs("a network has one more subnet")
    await networks.routers.remove_interface(bench.member, router, leg)
    await differs("a router has left a network")
    await networks.routers.delete(bench.member, router)
    await differs("a router is deleted")
    (group,) = await networks.security_groups.find(bench.member)
    rule = NewRule(security_group_id=group.group.id, direction="ingress", protocol="tcp")
    await networks.security_group_rules.create(bench.member, [rule])
    await differs("a group has one more rule")
