"""Simulated hosts with real agents, a real conductor, and a store that can be lost, mixed up or set back.

Servers are made as the verbs make them, a transaction for each step, without scheduler and engine in between; so one
cloud costs no process and a test can have hundreds.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from novakit import world
from novakit.agent.agent import Agent
from novakit.agent.images import ImageCache
from novakit.agent.measure import Measuring
from novakit.agent.membership import Membership
from novakit.agent.notes import GuestNotes
from novakit.agent.snapshots import SnapshotFiles
from novakit.agent.wires import Wires
from novakit.bus import MemoryBus, Targets, client, serve
from novakit.bus.tickets import Tickets
from novakit.calls.conductor import AuditReport, ConductorCalls
from novakit.calls.host import BuildPlan, GuestNote, HostCalls, NicPlan
from novakit.conductor import establishing
from novakit.conductor.audit import Audit
from novakit.conductor.engine import Engine
from novakit.conductor.guests.claims import claim_of
from novakit.conductor.guests.desk import Desk
from novakit.conductor.guests.note import Notary, read
from novakit.conductor.parts import Parts
from novakit.conductor.service import Conductor, Served
from novakit.conductor.wiring import Wiring
from novakit.config import AgentOptions, ConductorOptions, Config
from novakit.context import RequestContext
from novakit.identity import Identity
from novakit.image import Images
from novakit.network import Networks, Requested
from novakit.placement import Placement
from novakit.plughost import PluginChoice, PluginHost, build
from novakit.store import Store, metadata, operations, tables  # noqa: F401
from novakit.store.compute import hosts, servers, strangers
from novakit_hookspecs.hosts import HostContext
from novakit_hookspecs.servers import GuestPlan

ADMIN = RequestContext(
    request_id="req-test", user_id="u", project_id="p", roles=frozenset({"admin"}), user_domain_id="default"
)
FLAVOR = {"id": "1", "name": "tiny", "vcpus": 1, "ram": 512, "disk": 1, "ephemeral": 0, "swap": 0, "extra_specs": {}}
PLUGINS = PluginHost.load(PluginChoice.read({}, driver="simulated", network="simulated", scheduler=None), ["agent"])
Content = Mapping[str, Sequence[Mapping[str, Any]]]
"""All rows, by table."""


async def rewrite(notes: GuestNotes, guest: str, change: Callable[[GuestNote], GuestNote]) -> None:
    """Change the note that a host keeps of a guest, as somebody who owns the host may."""
    (note,) = await notes.some([guest])
    await notes.keep(change(note))


class Cloud:
    """One control plane on one store, with hosts whose state outlives both."""

    def __init__(self, store: Store, directory: Path, parts: Parts, config: Config, bus: MemoryBus):
        self.store, self.directory, self.parts, self.config, self.bus = store, directory, parts, config, bus
        self.conductor = Conductor(parts, Engine(parts, {}))
        self.agents: dict[str, Agent] = {}
        self.desk = Desk(parts)
        parts.networks.on_change = parts.wiring.poke
        self.network = ""

    @classmethod
    @asynccontextmanager
    async def on(cls, store: Store, directory: Path, names: Sequence[str]) -> AsyncIterator["Cloud"]:
        """Start a control plane on whatever the store holds, and the hosts of this directory."""
        # Hosts report when a test says so.
        agent, conductor = AgentOptions(report_every=3600, heartbeat_every=3600), ConductorOptions(host_down_after=3600)
        config = Config(state=directory, agent=agent, conductor=conductor)
        identity = await establishing.establish(store, directory)
        bus = MemoryBus(identity.id)
        mine, networks = bus.join("conductor"), Networks(store)
        images = Images(store, directory / "images")
        parts = Parts(
            config=config,
            store=store,
            bus=mine,
            identity=Identity(store, directory / "keys", {}),
            images=images,
            tickets=Tickets(identity.secret),
            networks=networks,
            placement=Placement(store),
            wiring=Wiring(networks, Targets(HostCalls, mine, config), kept_by(store)),
            notary=Notary(identity),
        )
        cloud = cls(store, directory, parts, config, bus)
        await images.open()
        serve(mine, ConductorCalls, lambda sender: Served(cloud.conductor, sender))
        try:
            for name in names:
                await cloud.start_host(name)
            yield cloud
        finally:
            for name in list(cloud.agents):
                await cloud.stop_host(name)
            await cloud.conductor.reports.network_notes.close()
            await cloud.conductor.reports.renewal.close()
            await mine.close()

    async def start_host(self, name: str) -> None:
        """Start the agent of a host, and wait until it has reported and its network is as it is to be."""
        home = self.directory / "agents" / name
        for part in ("virt", "network"):
            await asyncio.to_thread((home / part).mkdir, parents=True, exist_ok=True)
        driver, network = PLUGINS.driver("simulated"), PLUGINS.network("simulated")
        bus = self.bus.join(f"agent:{name}")
        agent = Agent(
            host=name,
            spec=driver.spec,
            driver=build(driver, None, HostContext(host=name, state_dir=str(home / "virt"))),
            driver_plugin=driver.plugin,
            network=build(network, None, HostContext(host=name, state_dir=str(home / "network"))),
            network_plugin=network.plugin,
            binding=network.spec.binding,
            images=ImageCache(home / "images"),
            snapshots=SnapshotFiles(home / "snapshots"),
            notes_kept=GuestNotes(home / "guests"),
            wires=Wires(home / "topology.json"),
            membership=Membership(name, home),
            bus=bus,
            conductor=client(ConductorCalls, bus, self.config),
            measuring=Measuring.of(()),
            options=self.config.agent,
            serve_metadata=False,
        )
        self.agents[name] = agent
        await agent.start()
        agent.begin()
        async with asyncio.timeout(20):
            await agent.reported.wait()
        if not agent.membership.refusal:
            await self.parts.wiring.ensure(name)

    async def stop_host(self, name: str) -> None:
        """Stop the agent of a host; its guests run on."""
        await self.agents.pop(name).stop()

    async def report(self, times: int = 1) -> None:
        """Have every host report, and note what was behind, as it does a moment later."""
        for _ in range(times):
            for agent in self.agents.values():
                await agent._report(started=False)
            await self.conductor.reports.renewal.write()

    async def note_networks(self) -> None:
        """Have hosts note the networks around their guests, as they do a moment after a change."""
        notes = self.conductor.reports.network_notes
        notes.changed(self.agents)
        await notes.write()

    async def noted(self, id: str) -> None:
        """Wait until the host of a server notes it as it is, without a report."""
        async with asyncio.timeout(20):
            while True:
                async with self.store.read() as session:
                    row = await servers.server(session, id)
                assert row is not None
                (note,) = await self.parts.hosts.at(row["host"]).notes((id,))
                if note.version == self.parts.notary.version(row):
                    return
                await asyncio.sleep(0.02)

    async def guests(self, host: str) -> set[str]:
        """Name the guests on a host."""
        return {each.id for each in await self.agents[host].driver.guests()}

    async def wired(self, host: str) -> set[str]:
        """Name the ports that are wired on a host."""
        held = await self.agents[host].network.holdings()  # type: ignore[attr-defined]
        return {each.owner for each in held if each.kind == "tap"}

    async def begin(self, project: str = "p") -> None:
        """Make the project, a user and a network of a new cloud."""
        rows = {
            "identity_domains": [{"id": "default", "name": "Default", "enabled": True, "description": ""}],
            "identity_projects": [
                {
                    "id": project,
                    "name": project,
                    "domain_id": "default",
                    "parent_id": "default",
                    "enabled": True,
                    "tags": [],
                }
            ],
            "identity_users": [{"id": "u", "name": "u", "domain_id": "default", "tokens_valid_from": world.now()}],
        }
        async with self.store.write() as session:
            for name, some in rows.items():
                await session.execute(sa.insert(metadata.tables[name]), [{"description": "", **row} for row in some])
        from novakit.network import networks, subnets

        async def make(session: Any, touched: Any) -> str:
            made = (await networks.create(session, touched, ADMIN, networks.NewNetwork(name="n"))).network
            wanted = subnets.NewSubnet(network_id=made.id, cidr="10.9.0.0/24", name="s")
            await subnets.create(session, touched, ADMIN, wanted)
            return made.id

        self.network = await self.parts.networks.write(make)

    async def create(self, host: str, name: str = "s") -> str:
        """Make a server on a host, as the verb does it; return its id."""
        id, now = world.new_id(), world.now()
        row = {
            "id": id,
            "project_id": "p",
            "user_id": "u",
            "name": name,
            "hostname": name,
            "flavor": FLAVOR,
            "vcpus": 1,
            "memory_mb": 512,
            "metadata": {"k": "v"},
            "tags": ["t"],
            "key_name": "key",
            "image_properties": {},
            "scheduler_hints": {},
            "reservation_id": "r-1",
            "config_drive": False,
            "vm_state": "building",
            "host": host,
            "node": host,
            "created_at": now,
            "updated_at": now,
        }
        async with self.store.write() as session:
            await servers.add(session, [row])
        ports = await self._wire(id, host, [Requested(network_id=self.network)])
        await self._build(id, host, ports)
        return id

    async def _wire(self, id: str, host: str, wanted: Sequence[Requested]) -> Any:
        networks = self.parts.networks
        await networks.allocate(server_id=id, project_id="p", hostname="s", requested=wanted)
        ports = await networks.bind(id, host)
        await self.parts.wiring.ensure(host)
        return ports

    async def _build(self, id: str, host: str, ports: Any) -> None:
        operation = world.new_id()
        async with self.store.read() as session:
            row = await servers.server(session, id)
            known = await hosts.host(session, host)
        assert row is not None and known is not None
        note = self.parts.notary.write(host, operation, row, ports)
        wanted = await claim_of(session, read(note), known["provider_id"])
        async with self.store.write() as session:
            assert await self.parts.placement.claim(session, id, project_id="p", user_id="u", allocations=wanted)
        plan = BuildPlan(
            guest=GuestPlan(id=id, name=row["name"], hostname=row["hostname"], vcpus=1, memory_mb=512, root_gb=1),
            nics=tuple(NicPlan(port_id=port.id, mac=port.mac) for port in ports),
            note=note,
        )
        await self.parts.hosts.at(host).build(operation, plan)
        await self._finish(
            id, operation, "create", host=host, vm_state="active", power_state=1, launched_at=world.now()
        )

    async def _finish(self, id: str, operation: str, kind: str, **columns: Any) -> None:
        now = world.now()
        done = {"id": operation, "kind": kind, "server_id": id, "project_id": "p", "user_id": "u"}
        async with self.store.write() as session:
            ended = {"state": "done", "finished_at": now, "events": [], "request_id": "req"}
            await operations.add(session, [{**done, **ended}])
            await servers.change(session, id, **columns)

    async def delete(self, id: str, host: str) -> None:
        """Delete a server; a host whose agent is stopped keeps its guest."""
        if host in self.agents:
            await self.parts.hosts.at(host).destroy(id)
        await self.parts.networks.release(id)
        await self._unwire(host)
        async with self.store.write() as session:
            await self.parts.placement.release(session, id)
        await self._finish(id, world.new_id(), "delete", vm_state="deleted", deleted_at=world.now())

    async def _unwire(self, host: str) -> None:
        if host in self.agents:
            await self.parts.wiring.ensure(host)

    async def leave(self, id: str, host: str) -> None:
        """Take a server off its host, as shelving does; a host whose agent is stopped keeps its guest."""
        if host in self.agents:
            await self.parts.hosts.at(host).destroy(id)
        await self.parts.networks.unbind(id)
        await self._unwire(host)
        async with self.store.write() as session:
            await self.parts.placement.release(session, id)
        columns = {"host": None, "node": None, "vm_state": "shelved_offloaded"}
        await self._finish(id, world.new_id(), "shelveOffload", **columns)

    async def come_back(self, id: str, host: str) -> None:
        """Build a server that has left, as unshelving does."""
        async with self.store.write() as session:
            await servers.change(session, id, host=host, node=host)
        ports = await self.parts.networks.bind(id, host)
        await self.parts.wiring.ensure(host)
        await self._build(id, host, ports)

    async def strangers(self) -> dict[str, str]:
        """Say of each stranger why it is one."""
        async with self.store.read() as session:
            return {row["guest"]: row["why"] for row in await strangers.every(session)}

    async def audit(self) -> AuditReport:
        """Compare once."""
        return await Audit(self.store, self.parts.images, self.parts.hosts, pauses=()).run()


def kept_by(store: Store) -> Any:
    """Say what of networks belongs to strangers, as `Control` does."""
    from novakit.conductor.guests.strangers import kept

    async def ask(names: Sequence[str]) -> Any:
        return await kept(store, names)

    return ask


async def copied(store: Store) -> Content:
    """Copy every row."""
    async with store.read() as session:
        return {
            table.name: [dict(row) for row in await session.all(sa.select(table), of=sa.RowMapping)]
            for table in _tables()
        }


async def put_back(store: Store, content: Content) -> None:
    """Make the store what it was when it was copied; empty content is a new database."""
    async with store.write() as session:
        for table in reversed(_tables()):
            await session.execute(sa.delete(table))
        for table in _tables():
            if rows := content.get(table.name):
                await session.execute(sa.insert(table), list(rows))


def _tables() -> list[sa.Table]:
    return list(metadata.sorted_tables)
