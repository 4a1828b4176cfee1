"""One conductor: its engine, what it serves on the bus, and its periodic work."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import attrs
import structlog

from novakit import world
from novakit.bus import serve, topics
from novakit.bus.enrolments import Enrolments
from novakit.calls.conductor import (
    AgentReport,
    AuditReport,
    ConductorCalls,
    MetadataAnswer,
    Received,
    Remains,
    Settled,
    Unknown,
)
from novakit.calls.counts import ConductorCounts
from novakit.compute import guest_metadata
from novakit.conductor.announce import Announcer
from novakit.conductor.audit import Audit
from novakit.conductor.engine import Engine
from novakit.conductor.guests.adoption import AdoptionRequest
from novakit.conductor.guests.desk import Desk
from novakit.conductor.guests.remains import RemainsDesk
from novakit.conductor.parts import Parts
from novakit.conductor.reports import Reports
from novakit.conductor.retention import Retention
from novakit.conductor.verbs.shelve_offload import Offloading
from novakit.conductor.work import AnyWork
from novakit.monitoring.tallies import tallies_of
from novakit.plughost.offers import Listening
from novakit.store import faults, operations
from novakit.store.compute import hosts, servers
from novakit.store.network import hosts as network_hosts
from novakit_hookspecs.servers import GuestEvent

log = structlog.get_logger(__name__)

HEARTBEATS_EVERY = 2.0
"""Seconds between two writes of the signs of life that came meanwhile, those of all hosts in one statement."""
SWEEP_EVERY = 60.0
"""Seconds between two looks for what was left behind; what is found twice is removed, so within two minutes."""


@attrs.define
class Conductor:
    """One conductor."""

    parts: Parts
    engine: Engine
    observers: Sequence[Listening] = ()
    _tasks: list[asyncio.Task[None]] = attrs.field(factory=list)
    reports: Reports = attrs.field(init=False)
    retention: Retention = attrs.field(init=False)
    _announcer: Announcer = attrs.field(init=False)
    _offloading: Offloading = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.reports = Reports(self.parts)
        self._offloading = Offloading(self.parts)
        self.retention = Retention(self.parts.store, self.parts.config.retention)
        self._announcer = Announcer(self.parts.store, self.observers)
        self.engine.note = self._note

    async def start(self, *, alone: bool) -> None:
        """Begin to serve and to work; `alone` says that no other conductor shares the store."""
        bus = self.parts.bus
        if self.parts.config.conductor.shelved_offload_after > 0:
            await self._offloading.look()  # before anything of this process is written by a clock that may be set
        serve(bus, ConductorCalls, lambda sender: Served(self, sender), explain=faults.as_reply)
        topics.OPERATIONS_NEW.listen(bus, self._new_work)
        topics.NETWORKS_CHANGED.listen(bus, self._networks_changed)
        topics.SERVERS_CHANGED.listen(bus, self._servers_changed)
        self._announcer.start()
        self._tasks = [
            world.spawn(self.engine.run(alone=alone), name="conductor/engine"),
            world.spawn(_every(self.parts.config.retention.every, self.retention.purge), name="conductor/retention"),
            world.spawn(_every(SWEEP_EVERY, self.retention.bound), name="conductor/bounds"),
            world.spawn(_every(HEARTBEATS_EVERY, self.reports.write_heartbeats), name="conductor/heartbeats"),
            world.spawn(_every(SWEEP_EVERY, self.sweep), name="conductor/sweep"),
        ]

    async def stop(self, within: float) -> None:
        """Let what runs finish for `within` seconds; the rest is picked up at the next start."""
        await self.engine.stop(within)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.reports.network_notes.close()
        await self.reports.renewal.close()
        await self._announcer.stop()

    def _new_work(self, news: topics.NewWork) -> None:
        self.engine.interrupt(set(news.cancelled))
        self.engine.wake()

    def _servers_changed(self, news: topics.ServersChanged) -> None:
        self.reports.renewal.changed(news.servers)

    def _note(self, work: AnyWork, state: str) -> None:
        self._announcer.note(work, state)
        # What notes its own end is noted already, and what is noted with the next report of it is what was claimed.
        if state in ("done", "failed") and work.beside.noted_end is None:
            self.reports.renewal.changed([work.server_id])

    def _networks_changed(self, news: topics.NetworksChanged) -> None:
        self.parts.wiring.poke(news.hosts)

    async def sweep(self) -> None:
        """Free what belongs to servers that are gone, and push topologies that hosts have not taken."""
        async with self.parts.store.read() as session:
            alive = {row["id"] for row in await servers.living(session)}
            busy = {row["server_id"] for row in await operations.unfinished(session)}
            claimed = set(await self.parts.placement.consumers(session))
            up = {row["name"] for row in await hosts.every(session) if self.parts.liveness.is_up(row)}
        owners = set((await self.parts.networks.owners()).values())
        async with self.parts.store.read() as session:
            gone = {row["id"] for row in await servers.some(session, (claimed | owners) - alive) if row["deleted_at"]}
        for server_id in gone - busy:
            log.warning("freeing what a deleted server left", server=server_id)
            await self.parts.networks.release(server_id)
            async with self.parts.store.write() as session:
                await self.parts.placement.release(session, server_id)
        for host in await asyncio.to_thread(Enrolments(self.parts.config.state).revoked_hosts):
            await self.reports.forget(host)
        if await self._offloading.begin_due():
            self.engine.wake()
        await self.parts.store.reserve()
        self.parts.wiring.poke(set(await self.parts.networks.hosts_behind()) & up)


@attrs.frozen
class Served(ConductorCalls):
    """The conductor as one participant of the bus reaches it."""

    conductor: Conductor
    sender: str
    """The participant's identity, which the bus vouches for."""

    @property
    def _host(self) -> str:
        """The compute host that the sender is; only agents may call what asks for it."""
        return self.sender.partition(":")[2]

    async def report_host(self, report: AgentReport) -> Received:
        return await self.conductor.reports.host(self._host, report)

    async def heartbeat(self) -> None:
        self.conductor.reports.heartbeat(self._host)

    async def guest_event(self, event: GuestEvent) -> None:
        await self.conductor.reports.guest_event(self._host, event)

    async def metadata(self, network_id: str, ip: str, path: str) -> MetadataAnswer | None:
        parts = self.conductor.parts
        port = await parts.networks.metadata_port(network_id, ip)
        if port is None or not port.server_id:
            return None
        async with parts.store.read() as session:
            server = await servers.server(session, port.server_id)
            serving = await network_hosts.host(session, self._host)
        if server is None or not (self._host == server["host"] or (serving and serving.gateway)):
            return None
        ports = (await parts.networks.ports_of([server["id"]])).get(server["id"], [])
        body = guest_metadata.answer(path, server, ports)
        return None if body is None else MetadataAnswer(body=body)

    async def ticket_key(self) -> str:
        return self.conductor.parts.tickets.host_key(self._host)

    async def audit(self) -> AuditReport:
        return await Audit(self.conductor.parts.store, self.conductor.parts.images, self.conductor.parts.hosts).run()

    async def strangers(self) -> Unknown:
        return await Desk(self.conductor.parts).listed()

    async def adopt_guest(
        self, guest: str, host: str | None, project: str | None, user: str, request: str, ports: bool
    ) -> Settled:
        asked = AdoptionRequest(project_id=project, user_id=user, request_id=request, with_ports=ports)
        return await Desk(self.conductor.parts).adopt(guest, host, asked)

    async def remove_guest(self, guest: str, host: str | None, request: str) -> Settled:
        return await Desk(self.conductor.parts).remove(guest, host)

    async def remains(self) -> Remains:
        return await RemainsDesk(self.conductor.parts).listed()

    async def remove_remains(self, id: str, host: str | None, request: str) -> Settled:
        settled = await RemainsDesk(self.conductor.parts).remove(id, host)
        self.conductor.engine.wake()
        return settled

    async def counts(self) -> ConductorCounts:
        plugins = {id(one.plugin): one.plugin for one in self.conductor.observers}
        return attrs.evolve(self.conductor.engine.measures(), plugins=tuple(tallies_of(plugins.values())))


async def _every(seconds: float, work: Callable[[], Awaitable[object]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Exception as error:
            log.error("periodic work failed", work=work.__name__.strip("_"), exc_info=error)
