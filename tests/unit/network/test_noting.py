"""What is remembered of hosts' notes is what would be read anew, whatever is done to the network in between."""

import random
import uuid
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from novakit import errors, world
from novakit.network.floating_ips import FloatingIpChange, NewFloatingIp
from novakit.network.hosts.noting import Noting
from novakit.network.networks import NetworkChange, NewNetwork
from novakit.network.ports import NewPort, PortChange
from novakit.network.records import WantedAddress
from novakit.network.routers import NewRouter, RouterChange, WantedGateway, WantedInterface
from novakit.network.security_group_rules import NewRule
from novakit.network.security_groups import NewSecurityGroup, SecurityGroupChange
from novakit.network.subnets import NewSubnet, SubnetChange
from novakit.store.network import rows
from novakit.store.network.security_group_rules import StoredRule
from tests.unit.network.conftest import Bench
from tests.unit.network.scenes import bound, settle

HOSTS = ("a", "b", "c")


@pytest.fixture
def bench(bench_on_each_database: Bench) -> Bench:
    return bench_on_each_database


async def anew(bench: Bench) -> Any:
    async with bench.networks.store.read() as session:
        return await Noting().read(session, HOSTS)


@attrs.define
class Walk:
    """Does one thing after another to the networks of a project."""

    bench: Bench
    chance: random.Random
    public: str
    guests: list[str] = attrs.field(factory=list)
    count: Iterator[int] = attrs.field(factory=lambda: iter(range(1, 250)))

    async def some(self, noun: str, **wanted: Any) -> Any:
        """Choose one of what is there."""
        found = await getattr(self.bench.networks, noun).find(self.bench.member, **wanted)
        if not found:
            raise errors.NotFound("there is none")
        one = self.chance.choice(found)
        return next(
            (
                getattr(one, name)
                for name in ("network", "port", "router", "group", "floating_ip")
                if hasattr(one, name)
            ),
            one,
        )

    async def some_guest(self) -> str:
        if not self.guests:
            raise errors.NotFound("there is none")
        return self.chance.choice(self.guests)

    async def network(self) -> None:
        (made,) = await self.bench.networks.networks.create(self.bench.member, [NewNetwork(name="n")])
        subnet = NewSubnet(network_id=made.network.id, cidr=f"10.{next(self.count)}.0.0/24")
        await self.bench.networks.subnets.create(self.bench.member, [subnet])

    async def change_network(self) -> None:
        name = f"other{next(self.count)}"
        own = await self.some("networks", project_id=[self.bench.member.project_id])
        await self.bench.networks.networks.update(self.bench.member, own.id, NetworkChange(name=name))

    async def drop_network(self) -> None:
        own = await self.some("networks", project_id=[self.bench.member.project_id])
        await self.bench.networks.networks.delete(self.bench.member, own.id)

    async def subnet(self) -> None:
        own = await self.some("networks", project_id=[self.bench.member.project_id])
        subnet = NewSubnet(network_id=own.id, cidr=f"10.{next(self.count)}.0.0/24")
        await self.bench.networks.subnets.create(self.bench.member, [subnet])

    async def change_subnet(self) -> None:
        change = SubnetChange(enable_dhcp=self.chance.random() < 0.5, dns_nameservers=["192.0.2.53"])
        await self.bench.networks.subnets.update(self.bench.member, (await self.some("subnets")).id, change)

    async def drop_subnet(self) -> None:
        await self.bench.networks.subnets.delete(self.bench.member, (await self.some("subnets")).id)

    async def router(self) -> None:
        gateway = WantedGateway(network_id=self.public) if self.chance.random() < 0.7 else None
        await self.bench.networks.routers.create(self.bench.member, [NewRouter(name="r", gateway=gateway)])

    async def change_router(self) -> None:
        change = RouterChange(gateway=WantedGateway(network_id=self.public) if self.chance.random() < 0.7 else None)
        await self.bench.networks.routers.update(self.bench.member, (await self.some("routers")).id, change)

    async def drop_router(self) -> None:
        await self.bench.networks.routers.delete(self.bench.member, (await self.some("routers")).id)

    async def join(self) -> None:
        subnet = await self.some("subnets", project_id=[self.bench.member.project_id])
        wanted = WantedInterface(subnet_id=subnet.id)
        await self.bench.networks.routers.add_interface(self.bench.member, (await self.some("routers")).id, wanted)

    async def part(self) -> None:
        leg = await self.some("ports", device_owner=["network:router_interface"])
        wanted = WantedInterface(port_id=leg.id)
        await self.bench.networks.routers.remove_interface(self.bench.member, leg.device_id, wanted)

    async def floating(self) -> None:
        port = await self.some("ports", server_id=self.guests)
        wanted = NewFloatingIp(floating_network_id=self.public, port_id=port.id)
        await self.bench.networks.floating_ips.create(self.bench.member, [wanted])

    async def lead(self) -> None:
        port = await self.some("ports", server_id=self.guests)
        change = FloatingIpChange(port_id=port.id if self.chance.random() < 0.6 else None)
        await self.bench.networks.floating_ips.update(self.bench.member, (await self.some("floating_ips")).id, change)

    async def drop_floating(self) -> None:
        await self.bench.networks.floating_ips.delete(self.bench.member, (await self.some("floating_ips")).id)

    async def group(self) -> None:
        await self.bench.networks.security_groups.create(self.bench.member, [NewSecurityGroup(name="g")])

    async def change_group(self) -> None:
        change = SecurityGroupChange(description=f"since {next(self.count)}")
        key = (await self.some("security_groups")).id
        await self.bench.networks.security_groups.update(self.bench.member, key, change)

    async def drop_group(self) -> None:
        await self.bench.networks.security_groups.delete(self.bench.member, (await self.some("security_groups")).id)

    async def rule(self) -> None:
        key, trusted = (await self.some("security_groups")).id, (await self.some("security_groups")).id
        wanted = NewRule(security_group_id=key, direction="ingress", remote_group_id=trusted)
        await self.bench.networks.security_group_rules.create(self.bench.member, [wanted])

    async def drop_rule(self) -> None:
        key = (await self.some("security_group_rules")).id
        await self.bench.networks.security_group_rules.delete(self.bench.member, key)

    async def guest(self) -> None:
        network = await self.some("networks", project_id=[self.bench.member.project_id])
        self.guests.append((await bound(self.bench, self.chance.choice(HOSTS), network.id)).server_id)

    async def adopt(self) -> None:
        network = await self.some("networks", project_id=[self.bench.member.project_id])
        (made,) = await self.bench.networks.ports.create(self.bench.member, [NewPort(network_id=network.id)])
        nics = await self.bench.networks.check_request(self.bench.member, [{"port": made.port.id}], ())
        key, project = str(uuid.uuid4()), self.bench.member.project_id or ""
        await self.bench.networks.allocate(
            server_id=key, project_id=project, hostname="h", requested=nics, host=self.chance.choice(HOSTS)
        )
        self.guests.append(key)

    async def move(self) -> None:
        await self.bench.networks.bind(await self.some_guest(), self.chance.choice(HOSTS))

    async def leave(self) -> None:
        await self.bench.networks.unbind(await self.some_guest())

    async def release(self) -> None:
        await self.bench.networks.release(await self.some_guest())

    async def rename_port(self) -> None:
        change = PortChange(name=f"p{next(self.count)}")
        await self.bench.networks.ports.update(self.bench.member, (await self.some("ports")).id, change)

    async def readdress(self) -> None:
        port = await self.some("ports", server_id=self.guests)
        subnet = await self.some("subnets", network_id=[port.network_id])
        change = PortChange(fixed_ips=[WantedAddress(subnet_id=subnet.id)] * self.chance.randint(1, 2))
        await self.bench.networks.ports.update(self.bench.member, port.id, change)

    async def regroup(self) -> None:
        groups = {(await self.some("security_groups")).id for _ in range(2)}
        port = await self.some("ports", server_id=self.guests)
        await self.bench.networks.ports.update(self.bench.member, port.id, PortChange(security_groups=sorted(groups)))

    async def leave_group(self) -> None:
        key = (await self.some("security_groups")).id
        await self.bench.networks.remove_security_group(self.bench.member, await self.some_guest(), key)

    async def apply(self) -> None:
        await settle(self.bench)


MOVES = [name for name, what in vars(Walk).items() if callable(what) and name[0] != "_" and not name.startswith("some")]


@pytest.mark.parametrize("seed", range(3))
async def test_after_any_step_the_notes_say_what_would_be_read_anew(bench: Any, seed: int) -> None:
    made = await bench.networks.bootstrap(
        admin_project_id=bench.admin.project_id, external_cidr="192.0.2.0/24", gateway="192.0.2.1"
    )
    walk = Walk(bench, random.Random(seed), made.network.id)
    done: set[str] = set()
    for name in ["network", "router", "join", "guest", "floating", "group", *walk.chance.choices(MOVES, k=90)]:
        step: Callable[[], Awaitable[None]] = getattr(walk, name)
        try:
            await step()
        except errors.NovakitError:
            continue
        done.add(name)
        assert await bench.networks.noted(HOSTS) == await anew(bench), name
    assert len(done) > len(MOVES) / 2


@attrs.define
class SetBack(world.SystemWorld):
    """A clock that goes wrong by an hour."""

    by: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) - self.by


async def test_a_rule_that_comes_for_another_one_is_noted_also_after_a_clock_was_set_back(bench: Any) -> None:
    clock = SetBack()
    with world.using(clock):
        await bound(bench, "a", (await bench.network()).id)
        (group,) = await bench.networks.security_groups.find(bench.member)
        wanted = NewRule(security_group_id=group.group.id, direction="ingress", protocol="tcp")
        (old,) = await bench.networks.security_group_rules.create(bench.member, [wanted])
        last = NewRule(security_group_id=group.group.id, direction="ingress", protocol="udp")
        await bench.networks.security_group_rules.create(bench.member, [last])
        before = (await bench.networks.noted(["a"]))["a"]
        clock.by = timedelta(hours=1)
        async with bench.networks.store.write() as session:
            await rows.remove(session, StoredRule, id=old.id)
            await rows.add(session, [attrs.evolve(old, **rows.fresh(project_id=old.project_id))])
        after = (await bench.networks.noted(["a"]))["a"]
    assert len(before.rules) == len(after.rules) and old.id not in {row["id"] for row in after.rules}


async def test_an_address_that_dhcp_gets_later_on_a_further_subnet_is_noted(bench: Any) -> None:
    network = await bench.network()
    await bound(bench, "a", network.id)
    await settle(bench)
    (further,) = await bench.networks.subnets.create(
        bench.member, [NewSubnet(network_id=network.id, cidr="10.7.0.0/24")]
    )
    before = (await bench.networks.noted(["a"]))["a"]
    await settle(bench)
    after = (await bench.networks.noted(["a"]))["a"]
    on_it = [[row for row in note.addresses if row["subnet_id"] == further.id] for note in (before, after)]
    assert [len(some) for some in on_it] == [0, 1]


async def test_guests_that_come_cost_two_statements_and_leave_what_stands_around_the_same_rows(bench: Any) -> None:
    network = await bench.network()
    for host in HOSTS:
        await bound(bench, host, network.id)
    await settle(bench)
    before = await bench.networks.noted(HOSTS)
    await bound(bench, "a", network.id)
    await settle(bench)
    statements = bench.networks.store.tally.statements
    after = await bench.networks.noted(HOSTS)
    assert bench.networks.store.tally.statements - statements <= 2
    assert after["b"] is before["b"] and after["c"] is before["c"], "nothing of them is worked out again"
    assert len(after["a"].ports) == len(before["a"].ports) + 1
    for kind in ("networks", "subnets", "groups", "rules", "ports"):
        kept = {id(row) for row in getattr(after["a"], kind)}
        assert {id(row) for row in getattr(before["a"], kind)} <= kept, kind
