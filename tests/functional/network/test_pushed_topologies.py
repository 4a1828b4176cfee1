"""Whatever happens to networks, agents, conductors and answers: what a driver is given is what its host must be."""

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest

from novakit.agent.agent import Agent
from novakit.agent.wires import Wires
from novakit.bus import Bus, BusError, MemoryBus, Targets, Unreachable, serve
from novakit.bus.enrolments import Enrolments
from novakit.bus.hub import LocalHub
from novakit.calls.host import HostCalls
from novakit.conductor.wiring import Wiring
from novakit.config import AgentOptions, Config
from novakit.context import RequestContext
from novakit.network import Networks
from novakit.network.networks import NetworkChange, NewNetwork
from novakit.network.ports import PortChange
from novakit.network.records import AddressPair
from novakit.network.routers import NewRouter, WantedInterface
from novakit.network.security_group_rules import NewRule
from novakit.network.subnets import NewSubnet
from novakit.plughost import PluginChoice, PluginHost, build
from novakit.store import Store
from novakit_hookspecs.hosts import HostContext
from novakit_hookspecs.networks import Applied, NetworkDriver, Topology
from tests.support.credentials import joining
from tests.support.stores import sqlite_store

HOSTS = ("a", "b")
ADMIN = RequestContext(request_id="r", user_id="u", project_id="p", roles=frozenset({"admin", "member"}))
PLUGINS = PluginHost.load(PluginChoice.read({}, driver="simulated", network="simulated", scheduler=None), ["agent"])


@attrs.define
class Watched:
    """The simulated driver, and what it was given last."""

    driver: NetworkDriver
    given: Topology | None = None

    async def apply(self, topology: Topology) -> Applied:
        self.given = topology
        return await self.driver.apply(topology)


@attrs.define
class Lossy:
    """The bus as a conductor has it that loses calls and answers."""

    bus: Bus
    chance: random.Random
    lost: float = 0.0
    methods: Counter[str] = attrs.field(factory=Counter)

    async def call(
        self, target: str, method: str, body: Mapping[str, object] | None = None, *, within: float = 30
    ) -> object:
        if self.chance.random() < self.lost / 2:
            raise Unreachable("the call is lost")
        answer = await self.bus.call(target, method, body, within=within)
        if self.chance.random() < self.lost:
            raise Unreachable("the answer is lost")
        self.methods[method] += answer is not None
        return answer


@attrs.define
class Scene:
    """Hosts, and conductors that share a database."""

    store: Store
    directory: Path
    mine: Bus
    buses: dict[str, Bus]
    chance: random.Random
    losses: Lossy = attrs.field(init=False)
    conductors: list[Wiring] = attrs.field(factory=list)
    drivers: dict[str, Watched] = attrs.field(factory=dict)
    servers: list[str] = attrs.field(factory=list)
    rules: list[str] = attrs.field(factory=list)
    nets: list[str] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.losses = Lossy(self.mine, self.chance)
        self.conductors = [self.conductor(), self.conductor()]
        for host in HOSTS:
            self.start_agent(host)

    def conductor(self) -> Wiring:
        """Start a conductor, which remembers nothing."""
        bus: Any = self.losses
        return Wiring(Networks(self.store), Targets(HostCalls, bus, Config(state=self.directory)))

    def start_agent(self, host: str) -> None:
        """Start the agent of a host, in the place of the one before."""
        home = self.directory / host
        home.mkdir(exist_ok=True)
        offer, nothing = PLUGINS.network("simulated"), Any
        self.drivers[host] = Watched(build(offer, None, HostContext(host=host, state_dir=str(home))))
        parts: Any = dict.fromkeys(
            ("spec", "driver", "driver_plugin", "images", "snapshots", "notes_kept", "membership", "conductor"), nothing
        )
        agent = Agent(
            host=host,
            network=self.drivers[host],  # type: ignore[arg-type]
            network_plugin=offer.plugin,
            wires=Wires(home / "topology.json"),
            bus=self.buses[host],
            measuring=nothing,  # type: ignore[arg-type]
            options=AgentOptions(),
            **parts,
        )
        serve(self.buses[host], HostCalls, lambda _: agent, host)

    @property
    def networks(self) -> Networks:
        """Return the network service as some process has it."""
        return self.chance.choice(self.conductors).networks

    async def network(self) -> None:
        """Make a network with a subnet."""
        cidr = f"10.0.{len(self.nets)}.0/24"
        (made,) = await self.networks.networks.create(ADMIN, [NewNetwork(name="n")])
        (subnet,) = await self.networks.subnets.create(ADMIN, [NewSubnet(network_id=made.network.id, cidr=cidr)])
        self.nets.append(made.network.id)
        (router,) = await self.networks.routers.create(ADMIN, [NewRouter(name="r")])
        await self.networks.routers.add_interface(ADMIN, router.router.id, WantedInterface(subnet_id=subnet.id))

    async def change(self) -> None:
        """Change one thing, or lose what somebody has in memory."""
        what = self.chance.choice(
            (self.add, self.add, self.add, self.move, self.remove, self.update, self.update, self.rule, self.around)
        )
        await what()
        if self.chance.random() < 0.06:
            self.start_agent(self.chance.choice(HOSTS))
        if self.chance.random() < 0.06:
            self.conductors[self.chance.randrange(2)] = self.conductor()

    async def add(self) -> None:
        networks, key = self.networks, str(uuid.UUID(int=self.chance.getrandbits(128), version=4))
        cards = await networks.check_request(ADMIN, [{"uuid": self.chance.choice(self.nets)}])
        await networks.allocate(server_id=key, project_id="p", hostname="web", requested=cards)
        await networks.bind(key, self.chance.choice(HOSTS))
        self.servers.append(key)

    async def move(self) -> None:
        if self.servers:
            key = self.chance.choice(self.servers)
            await self.networks.unbind(key)
            await self.networks.bind(key, self.chance.choice(HOSTS))

    async def remove(self) -> None:
        if self.servers:
            key = self.servers.pop(self.chance.randrange(len(self.servers)))
            await self.networks.release(key)

    async def update(self) -> None:
        if self.servers:
            key = self.chance.choice(self.servers)
            (port,) = (await self.networks.ports_of([key]))[key]
            change = self.chance.choice(
                (
                    PortChange(admin_state_up=self.chance.random() < 0.5),
                    PortChange(allowed_pairs=(AddressPair(ip_address=f"10.9.{self.chance.randrange(9)}.0/24"),)),
                    PortChange(security_groups=(), allowed_pairs=()),
                    PortChange(security_groups=None),
                    PortChange(hostname=f"name-{self.chance.randrange(99)}"),
                )
            )
            await self.networks.ports.update(ADMIN, port.id, change)

    async def rule(self) -> None:
        networks = self.networks
        if self.rules and self.chance.random() < 0.5:
            await networks.security_group_rules.delete(ADMIN, self.rules.pop())
            return
        group = (await networks.security_groups_of(self.chance.choice(self.servers)))[0] if self.servers else []
        if group:
            number = len(self.rules) + 1
            asked = NewRule(
                security_group_id=group[0].group.id, direction="ingress", protocol="tcp", port_min=number, port_max=99
            )
            (made,) = await networks.security_group_rules.create(ADMIN, [asked])
            self.rules.append(made.id)

    async def around(self) -> None:
        if self.chance.random() < 0.2:
            await self.networks.set_gateway(self.chance.choice(HOSTS))
        else:
            change = NetworkChange(mtu=1300 + self.chance.randrange(100))
            await self.networks.networks.update(ADMIN, self.chance.choice(self.nets), change)

    async def push(self) -> None:
        """Have some conductor push to some host; nobody hears of it when that fails."""
        with suppress(BusError):
            await self.chance.choice(self.conductors).ensure(self.chance.choice(HOSTS))


@pytest.fixture(params=["memory", "local"])
async def scene(request: pytest.FixtureRequest, tmp_path: Path, seed: int) -> AsyncIterator[Scene]:
    store, bus = await sqlite_store(tmp_path / "x.db"), MemoryBus()
    buses: dict[str, Bus] = {}
    hub, opened = None, []
    if request.param == "local":
        hub = LocalHub(bus, tmp_path / "bus.sock", Enrolments(tmp_path))
        await hub.start()
    for host in HOSTS:
        if hub is None:
            buses[host] = bus.join(f"agent:{host}")
        else:
            one = joining(tmp_path, f"agent:{host}")
            await one.open()
            await one.connected()
            opened.append(one)
            buses[host] = one
    yield Scene(store, tmp_path, bus.join("conductor"), buses, random.Random(seed))
    for one in opened:
        await one.close()
    if hub is not None:
        await hub.stop()
    await store.close()


@pytest.mark.parametrize("seed", range(4))
async def test_a_driver_is_given_what_its_host_must_be_whatever_happens(scene: Scene) -> None:
    for host in HOSTS:
        await scene.networks.host_up(host)
    for _ in range(2):
        await scene.network()
    for step in range(60):
        scene.losses.lost = 0.25
        for _ in range(scene.chance.randrange(1, 4)):
            await scene.change()
            await scene.push()
        scene.losses.lost = 0.0
        for host in HOSTS:
            await _reached(scene.chance.choice(scene.conductors), host)
            wanted = (await Networks(scene.store).build([host])).topologies[host]
            assert scene.drivers[host].given == wanted, f"step {step}"
            bound = await Networks(scene.store).ports_of(scene.servers)
            states = {port.status for some in bound.values() for port in some if port.host == host and port.status}
            assert states <= {"ACTIVE", "DOWN"}, "the host has wired all of its ports, and it is recorded"
        assert not await scene.networks.hosts_behind()
    assert scene.losses.methods["change_network"] > 30, scene.losses.methods
    assert scene.losses.methods["apply_network"] > 10, scene.losses.methods


async def _reached(wiring: Wiring, host: str) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await wiring.ensure(host)
                return
            except Unreachable:  # an agent that has just been started is not known to the hub yet
                await asyncio.sleep(0.01)
