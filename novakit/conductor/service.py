"""One conductor: its engine, what it serves on the bus, and its periodic work."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import structlog

from novakit import world
from novakit.bus import Message
from novakit.compute import metadata
from novakit.conductor.announce import Announcer
from novakit.conductor.audit import Audit
from novakit.conductor.engine import Engine
from novakit.conductor.parts import Parts
from novakit.conductor.reports import Reports, host_of
from novakit.conductor.verbs.create import Create
from novakit.conductor.verbs.delete import Delete
from novakit.conductor.verbs.power import PowerChange
from novakit.conductor.verbs.shelve import Shelve, Unshelve, offload_due
from novakit.conductor.work import Verb
from novakit.monitoring.tallies import tallies_of
from novakit.plughost.offers import Listening
from novakit.store import operations
from novakit.store.compute import hosts, servers
from novakit.store.network import hosts as network_hosts

log = structlog.get_logger(__name__)

HEARTBEATS_EVERY = 2.0
SWEEP_EVERY = 60.0


def verbs(parts: Parts) -> dict[str, Verb]:
    """Give every operation there is, by kind."""
    create, delete = Create(parts), Delete(parts)
    every = [create.verb(), delete.verb(), *PowerChange(parts).verbs()]
    every += [*Shelve(parts, delete).verbs(), Unshelve(parts, create, delete).verb()]
    return {verb.kind: verb for verb in every}


@attrs.define
class Conductor:
    """One conductor."""

    parts: Parts
    engine: Engine
    observers: Sequence[Listening] = ()
    _tasks: list[asyncio.Task[None]] = attrs.field(factory=list)
    _reports: Reports = attrs.field(init=False)
    _announcer: Announcer = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._reports = Reports(self.parts)
        self._announcer = Announcer(self.parts.store, self.observers)
        self.engine.note = self._announcer.note

    async def start(self, *, alone: bool) -> None:
        """Begin to serve and to work; `alone` says that no other conductor shares the store."""
        bus = self.parts.bus
        bus.serve(
            "conductor",
            {
                "report_host": self._reports.host,
                "heartbeat": self._reports.heartbeat,
                "guest_event": self._reports.guest_event,
                "metadata": self._metadata,
                "audit": self._audit,
                "counts": self._counts,
            },
        )
        bus.listen("operations.new", self._new_work)
        bus.listen("networks.changed", self._networks_changed)
        self._announcer.start()
        self._tasks = [
            world.spawn(self.engine.run(alone=alone), name="conductor/engine"),
            world.spawn(_every(HEARTBEATS_EVERY, self._reports.write_heartbeats), name="conductor/heartbeats"),
            world.spawn(_every(SWEEP_EVERY, self.sweep), name="conductor/sweep"),
        ]

    async def stop(self, within: float) -> None:
        """Let what runs finish for `within` seconds; the rest is picked up at the next start."""
        await self.engine.stop(within)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._announcer.stop()

    async def _new_work(self, message: Message) -> None:
        self.engine.interrupt(set(message.body.get("cancelled", ())))
        self.engine.wake()

    async def _networks_changed(self, message: Message) -> None:
        self.parts.wiring.poke(message.body["hosts"])

    async def _metadata(self, message: Message) -> Any:
        """Answer a guest's question about itself, asked through the host that serves its network."""
        host, body = host_of(message), message.body
        port = await self.parts.networks.metadata_port(body["network_id"], body["ip"])
        if port is None or not port.server_id:
            return None
        async with self.parts.store.read() as session:
            server = await servers.show(session, port.server_id)
            serving = await network_hosts.show(session, host)
        if server is None or not (host == server["host"] or (serving and serving["gateway"])):
            return None
        ports = (await self.parts.networks.ports_of([server["id"]])).get(server["id"], [])
        answer = metadata.answer(body["path"], server, ports)
        return None if answer is None else {"body": answer.decode("latin-1")}

    async def _counts(self, message: Message) -> Any:
        """Give what was counted since the start, and the calls into the observers of this process."""
        if message.sender != "api":
            raise PermissionError(f"{message.sender} may not read what the conductor counts")
        plugins = {id(one.plugin): one.plugin for one in self.observers}
        return {"counts": {**self.engine.measures(), "plugins": tallies_of(plugins.values())}}

    async def _audit(self, message: Message) -> Any:
        """Compare the store with the hosts; only an API asks for it, on behalf of an operator."""
        if message.sender != "api":
            raise PermissionError(f"{message.sender} may not ask for an audit")
        return attrs.asdict(await Audit(self.parts.store, self.parts.bus).run())

    async def sweep(self) -> None:
        """Free what belongs to servers that are gone, and push topologies that hosts have not taken."""
        async with self.parts.store.read() as session:
            alive = {row["id"] for row in await servers.living(session)}
            busy = {row["server_id"] for row in await operations.unfinished(session)}
            claimed = set(await self.parts.placement.consumers(session))
            up = {row["name"] for row in await hosts.every(session) if self._is_up(row["last_seen"])}
        owners = set((await self.parts.networks.owners()).values())
        async with self.parts.store.read() as session:
            gone = {row["id"] for row in await servers.some(session, (claimed | owners) - alive) if row["deleted_at"]}
        for server_id in gone - busy:
            log.warning("freeing what a deleted server left", server=server_id)
            await self.parts.networks.release(server_id)
            async with self.parts.store.write() as session:
                await self.parts.placement.release(session, server_id)
        if await offload_due(self.parts):
            self.engine.wake()
        self.parts.wiring.poke(set(await self.parts.networks.hosts_behind()) & up)

    def _is_up(self, last_seen: Any) -> bool:
        return bool((world.now() - last_seen).total_seconds() < self.parts.config.conductor.host_down_after)


async def _every(seconds: float, work: Callable[[], Any]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Exception as error:
            log.error("periodic work raised", work=work.__qualname__, exc_info=error)
