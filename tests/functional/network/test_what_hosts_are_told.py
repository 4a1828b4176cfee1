"""Whatever happens to networks: who remembers what hosts were told reads the same as who reads for the first time."""

import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import attrs
import pytest

from novakit.context import RequestContext
from novakit.errors import NovakitError
from novakit.network import Networks
from novakit.network.floating_ips import FloatingIpChange, NewFloatingIp
from novakit.network.networks import NetworkChange, NewNetwork
from novakit.network.ports import NewPort, PortChange
from novakit.network.records import AddressPair, Hop, PortInfo, WantedAddress, WantedGateway
from novakit.network.routers import NewRouter, RouterChange, WantedInterface
from novakit.network.security_group_rules import NewRule
from novakit.network.security_groups import NewSecurityGroup
from novakit.network.subnets import NewSubnet, SubnetChange
from novakit.store import Store
from tests.support.stores import open_store, sqlite_store

HOSTS = ("a", "b", "c", "d")
ADMIN = RequestContext(request_id="r", user_id="u", project_id="p", roles=frozenset({"admin", "member"}))


@attrs.define
class Scene:
    """A database, two processes that remember what hosts were told, and all that was made."""

    store: Store
    chance: random.Random
    remembering: list[Networks] = attrs.field(init=False)
    made: dict[str, list[str]] = attrs.field(factory=dict)
    done: set[str] = attrs.field(factory=set)
    short: int = 0
    """Readings of members alone."""

    def __attrs_post_init__(self) -> None:
        self.remembering = [Networks(self.store), Networks(self.store)]

    @property
    def networks(self) -> Networks:
        return self.chance.choice(self.remembering)

    def some(self, kind: str) -> str:
        """Choose one of a kind; another kind of error is that there is none."""
        if not self.made.get(kind):
            raise NovakitError(f"no {kind}")
        return self.chance.choice(self.made[kind])

    def keep(self, kind: str, id: str) -> None:
        self.made.setdefault(kind, []).append(id)

    def drop(self, kind: str, id: str) -> None:
        self.made[kind].remove(id)

    async def port(self) -> PortInfo:
        """Choose one of a server."""
        key = self.some("server")
        found = (await self.networks.ports_of([key])).get(key)
        if not found:
            raise NovakitError("no port")
        return self.chance.choice(found)

    def maybe(self) -> bool:
        return self.chance.random() < 0.5

    def host(self) -> str:
        return self.chance.choice(HOSTS)

    # What may happen

    async def add_network(self) -> None:
        external = "external" not in self.made or self.chance.random() < 0.2
        (made,) = await self.networks.networks.create(ADMIN, [NewNetwork(name="n", external=external)])
        self.keep("network", made.network.id)
        if external:
            self.keep("external", made.network.id)
        await self.add_subnet(made.network.id)

    async def add_subnet(self, network: str | None = None) -> None:
        cidr = f"10.{self.chance.randrange(250)}.0.0/24"
        asked = NewSubnet(network_id=network or self.some("network"), cidr=cidr, enable_dhcp=self.chance.random() < 0.8)
        (made,) = await self.networks.subnets.create(ADMIN, [asked])
        self.keep("subnet", made.id)

    async def change_network(self) -> None:
        change = (
            NetworkChange(admin_state_up=self.maybe())
            if self.maybe()
            else NetworkChange(mtu=1300 + self.chance.randrange(9))
        )
        await self.networks.networks.update(ADMIN, self.some("network"), change)

    async def change_subnet(self) -> None:
        change = self.chance.choice(
            (
                SubnetChange(enable_dhcp=self.maybe()),
                SubnetChange(dns_nameservers=(f"192.0.2.{self.chance.randrange(9)}",)),
                SubnetChange(host_routes=(Hop(destination="10.255.0.0/16", nexthop="10.0.0.9"),)),
                SubnetChange(gateway_ip=None),
            )
        )
        await self.networks.subnets.update(ADMIN, self.some("subnet"), change)

    async def remove_subnet(self) -> None:
        key = self.some("subnet")
        await self.networks.subnets.delete(ADMIN, key)
        self.drop("subnet", key)

    async def add_server(self) -> None:
        networks, key = self.networks, str(uuid.UUID(int=self.chance.getrandbits(128), version=4))
        asked = [{"uuid": self.some("network")} for _ in range(self.chance.choice((1, 1, 2)))]
        cards = await networks.check_request(ADMIN, asked)
        await networks.allocate(server_id=key, project_id="p", hostname="web", requested=cards)
        self.keep("server", key)
        if self.chance.random() < 0.9:
            await networks.bind(key, self.host())

    async def add_server_with_a_port_that_is_bound(self) -> None:
        networks, key = self.networks, str(uuid.UUID(int=self.chance.getrandbits(128), version=4))
        host = self.host()
        (made,) = await networks.ports.create(ADMIN, [NewPort(network_id=self.some("network"), host=host)])
        await self.compare()
        cards = await networks.check_request(ADMIN, [{"port": made.port.id}])
        await networks.allocate(server_id=key, project_id="p", hostname="web", requested=cards)
        self.keep("server", key)
        await self.compare()
        await networks.bind(key, host)

    async def move_server(self) -> None:
        key = self.some("server")
        if self.maybe():
            await self.networks.unbind(key)
        await self.networks.bind(key, self.host())

    async def remove_server(self) -> None:
        key = self.some("server")
        await self.networks.release(key)
        self.drop("server", key)

    async def change_port(self) -> None:
        port = await self.port()
        groups = tuple({self.some("group") for _ in range(self.chance.randrange(3))}) if self.made.get("group") else ()
        address = WantedAddress(
            ip_address=f"{port.addresses[0].ip.rpartition('.')[0]}.{self.chance.randrange(99, 200)}"
        )
        change = self.chance.choice(
            (
                PortChange(admin_state_up=self.maybe()),
                PortChange(allowed_pairs=(AddressPair(ip_address=f"10.9.{self.chance.randrange(9)}.0/24"),)),
                PortChange(security_groups=groups),
                PortChange(security_groups=(), allowed_pairs=(), port_security=False),
                PortChange(port_security=True, security_groups=groups),
                PortChange(fixed_ips=(address,)),
                PortChange(hostname=f"name-{self.chance.randrange(9)}"),
            )
        )
        await self.networks.ports.update(ADMIN, port.id, change)

    async def remove_port(self) -> None:
        await self.networks.ports.delete(ADMIN, (await self.port()).id)

    async def add_group(self) -> None:
        (made,) = await self.networks.security_groups.create(ADMIN, [NewSecurityGroup(name="g")])
        self.keep("group", made.group.id)

    async def remove_group(self) -> None:
        key = self.some("group")
        await self.networks.security_groups.delete(ADMIN, key)
        self.drop("group", key)

    async def join_group(self) -> None:
        await self.networks.add_security_group(ADMIN, self.some("server"), self.some("group"))

    async def leave_group(self) -> None:
        await self.networks.remove_security_group(ADMIN, self.some("server"), self.some("group"))

    async def add_rule(self) -> None:
        whom = {"remote_group_id": self.some("group")} if self.maybe() else {"remote_ip_prefix": "10.0.0.0/8"}
        number = self.chance.randrange(1, 99)
        asked = NewRule(
            security_group_id=self.some("group"),
            direction=self.chance.choice(("ingress", "egress")),
            ethertype="IPv6" if "remote_group_id" in whom and self.maybe() else "IPv4",
            protocol="tcp",
            port_min=number,
            port_max=99,
            **whom,
        )
        (made,) = await self.networks.security_group_rules.create(ADMIN, [asked])
        self.keep("rule", made.id)

    async def remove_rule(self) -> None:
        key = self.some("rule")
        self.drop("rule", key)
        await self.networks.security_group_rules.delete(ADMIN, key)

    async def add_router(self) -> None:
        (made,) = await self.networks.routers.create(ADMIN, [NewRouter(name="r")])
        self.keep("router", made.router.id)
        await self.join_router(made.router.id)

    async def join_router(self, router: str | None = None) -> None:
        router, subnet = router or self.some("router"), self.some("subnet")
        await self.networks.routers.add_interface(ADMIN, router, WantedInterface(subnet_id=subnet))
        self.keep("leg", f"{router} {subnet}")

    async def part_router(self) -> None:
        leg = self.some("leg")
        self.drop("leg", leg)
        router, subnet = leg.split()
        await self.networks.routers.remove_interface(ADMIN, router, WantedInterface(subnet_id=subnet))

    async def change_router(self) -> None:
        change = self.chance.choice(
            (
                RouterChange(admin_state_up=self.maybe()),
                RouterChange(gateway=WantedGateway(network_id=self.some("external"), enable_snat=self.maybe())),
                RouterChange(gateway=WantedGateway(network_id=self.some("external"))),
                RouterChange(gateway=None),
            )
        )
        await self.networks.routers.update(ADMIN, self.some("router"), change)

    async def remove_router(self) -> None:
        key = self.some("router")
        await self.networks.routers.delete(ADMIN, key)
        self.drop("router", key)

    async def add_floating_ip(self) -> None:
        (made,) = await self.networks.floating_ips.create(
            ADMIN, [NewFloatingIp(floating_network_id=self.some("external"))]
        )
        self.keep("floating", made.floating_ip.id)

    async def lead_floating_ip(self) -> None:
        port = (await self.port()).id if self.maybe() else None
        await self.networks.floating_ips.update(ADMIN, self.some("floating"), FloatingIpChange(port_id=port))

    async def remove_floating_ip(self) -> None:
        key = self.some("floating")
        self.drop("floating", key)
        await self.networks.floating_ips.delete(ADMIN, key)

    async def move_gateway(self) -> None:
        await self.networks.set_gateway(self.host())

    async def forget_host(self) -> None:
        host = self.host()
        await self.networks.forget_host(host)
        if self.maybe():
            await self.compare()
        await self.networks.host_up(host)

    async def overtake(self) -> None:
        host = self.host()
        revision = (await self.networks.build([host])).topologies[host].revision
        await self.networks.overtake(host, revision + self.chance.randrange(3))

    async def compare(self) -> None:
        """Compare what is read with and without a memory, of some hosts by one process or the other."""
        hosts = self.chance.sample(HOSTS, self.chance.randrange(1, 5))
        expected = (await Networks(self.store).build(hosts)).topologies
        reading = self.networks
        whole = [one.read for host in hosts if (one := reading._told.get(host))]
        assert (await reading.build(hosts)).topologies == expected
        self.short += [one.read for host in hosts if (one := reading._told.get(host))] == whole
        for topology in expected.values():
            named = {rule.remote_group for port in topology.ports for rule in port.rules} - {None}
            assert named == {group.id for group in topology.groups}


STEPS: tuple[tuple[Callable[[Scene], Awaitable[None]], int], ...] = (
    (Scene.add_network, 1),
    (Scene.add_subnet, 2),
    (Scene.change_network, 2),
    (Scene.change_subnet, 2),
    (Scene.remove_subnet, 1),
    (Scene.add_server, 12),
    (Scene.add_server_with_a_port_that_is_bound, 2),
    (Scene.move_server, 4),
    (Scene.remove_server, 4),
    (Scene.change_port, 10),
    (Scene.remove_port, 1),
    (Scene.add_group, 2),
    (Scene.remove_group, 1),
    (Scene.join_group, 6),
    (Scene.leave_group, 6),
    (Scene.add_rule, 6),
    (Scene.remove_rule, 2),
    (Scene.add_router, 2),
    (Scene.join_router, 2),
    (Scene.part_router, 2),
    (Scene.change_router, 4),
    (Scene.remove_router, 1),
    (Scene.add_floating_ip, 3),
    (Scene.lead_floating_ip, 6),
    (Scene.remove_floating_ip, 1),
    (Scene.move_gateway, 1),
    (Scene.forget_host, 1),
    (Scene.overtake, 1),
)


async def _play(store: Store, seed: int, steps: int) -> Scene:
    scene = Scene(store, random.Random(seed))
    for host in HOSTS:
        await scene.networks.host_up(host)
    await scene.add_network()
    for _ in range(3):
        await scene.add_group()
    choices, weights = [step for step, _ in STEPS], [weight for _, weight in STEPS]
    for _ in range(steps):
        step = scene.chance.choices(choices, weights)[0]
        with suppress(NovakitError):
            await step(scene)
            scene.done.add(step.__name__)
        await scene.compare()
    return scene


@pytest.fixture
async def on_sqlite(tmp_path: Path) -> AsyncIterator[Store]:
    store = await sqlite_store(tmp_path / "x.db")
    yield store
    await store.close()


@pytest.fixture
async def on_postgres(postgres_with_tables: str) -> AsyncIterator[Store]:
    store = await open_store(postgres_with_tables)
    yield store
    await store.close()


@pytest.mark.parametrize("seed", range(6))
async def test_who_remembers_reads_what_others_read(on_sqlite: Store, seed: int) -> None:
    scene = await _play(on_sqlite, seed, 250)
    assert scene.short > 10, "of some hosts only the members were other ones"
    assert len(scene.done) > len(STEPS) - 5, scene.done


async def test_who_remembers_reads_what_others_read_from_postgresql(on_postgres: Store) -> None:
    scene = await _play(on_postgres, 100, 150)
    assert scene.short > 5
