"""The agent of one compute host: reports what the host has, does what the conductor asks, tells what happened."""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import attrs
import structlog

from novakit import world
from novakit.agent import address
from novakit.agent.images import ImageCache
from novakit.agent.measure import Measuring
from novakit.agent.metadata import MetadataListeners
from novakit.agent.snapshots import SnapshotFiles
from novakit.bus import Bus, BusError, Message, topologies
from novakit.config import AgentOptions
from novakit.plughost import Fault, Plugin, guarded
from novakit_hookspecs.errors import Busy, NotFound, Refused
from novakit_hookspecs.hosts import Holding, PreparesHost
from novakit_hookspecs.networks import Applied, NetworkDriver, ServesMetadata, Topology, Vif
from novakit_hookspecs.plain import to_plain, to_record
from novakit_hookspecs.servers import GuestPlan, Power
from novakit_hookspecs.virt import DriverSpec, LogsConsole, Snapshots, VirtDriver

T = TypeVar("T")

log = structlog.get_logger(__name__)


@attrs.define(kw_only=True)
class Agent:
    """One host's agent; it remembers nothing that it cannot ask its drivers again."""

    host: str
    spec: DriverSpec
    driver: VirtDriver
    driver_plugin: Plugin
    network: NetworkDriver
    network_plugin: Plugin
    images: ImageCache
    snapshots: SnapshotFiles
    bus: Bus
    measuring: Measuring
    options: AgentOptions
    serve_metadata: bool = True
    reported: asyncio.Event = attrs.field(factory=asyncio.Event)
    """Set once the conductor knows this host."""
    _vifs: dict[str, Vif] = attrs.field(factory=dict)
    _topology: Topology | None = None
    _applying: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    _turns: WeakValueDictionary[str, asyncio.Lock] = attrs.field(factory=WeakValueDictionary)
    _builds: dict[str, asyncio.Task[dict[str, Any]]] = attrs.field(factory=dict)
    _tasks: list[asyncio.Task[None]] = attrs.field(factory=list)
    _listeners: MetadataListeners | None = None
    _undo: Callable[[], None] | None = None

    async def start(self) -> None:
        """Open the drivers and begin to serve; raise `Refused` with a remedy when the host cannot be used."""
        for driver in (self.driver, self.network):
            if isinstance(driver, PreparesHost):
                for sentence in await driver.prepare_host():
                    log.info("prepared the host", did=sentence)
        await self.network.open()
        await self.driver.open()
        self.images.open()
        if self.serve_metadata and isinstance(self.network, ServesMetadata):
            self._listeners = MetadataListeners(self.bus)
        self._undo = self.bus.serve(
            f"agent.{self.host}",
            {
                "apply_network": self._apply_network,
                "build": self._build,
                "destroy": self._destroy,
                "set_power": self._set_power,
                "console_log": self._console_log,
                "snapshot": self._snapshot,
                "holdings": self._holdings,
                "report": self._report_now,
            },
        )
        self._tasks = [
            world.spawn(self._report_loop(), name=f"agent/{self.host}/report"),
            world.spawn(self._heartbeat_loop(), name=f"agent/{self.host}/heartbeat"),
            world.spawn(self._event_loop(), name=f"agent/{self.host}/events"),
        ]

    async def stop(self) -> None:
        """Stop serving; guests and their network run on."""
        if self._undo:
            self._undo()
        for task in [*self._tasks, *self._builds.values()]:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._builds.values(), return_exceptions=True)
        if self._listeners:
            await self._listeners.close()
        await self.driver.close()
        await self.network.close()

    # What the agent tells.

    async def _report_loop(self) -> None:
        started = True
        while True:
            try:
                await self._report(started=started)
                started = False
                self.reported.set()
                await asyncio.sleep(self.options.report_every)
            except BusError as error:
                log.info("conductor not reached", host=self.host, why=str(error))
                await asyncio.sleep(1)
            except Exception as error:
                log.error("host could not be described", host=self.host, exc_info=error)
                await asyncio.sleep(5)

    async def _report(self, *, started: bool) -> None:
        facts = await self._ask_driver("host", self.driver.host(), 60)
        ip = self.options.address or facts.host_ip or address.own()
        metrics = {**await self.measuring.read(), **facts.metrics}
        traits = (facts.traits | set(self.options.traits)).difference(self.options.withheld_traits)
        body = {
            "facts": to_plain(attrs.evolve(facts, host_ip=ip, metrics=metrics, traits=traits)),
            "guests": to_plain(await self._ask_driver("guests", self.driver.guests(), 60)),
            "building": list(self._builds),
            "started": started,
        }
        await self.bus.call("conductor", "report_host", body, within=60)

    async def _report_now(self, message: Message) -> None:
        await self._report(started=False)

    async def _heartbeat_loop(self) -> None:
        while True:
            await asyncio.sleep(self.options.heartbeat_every)
            try:
                await self.bus.call("conductor", "heartbeat", within=10)
                if self._topology is not None:
                    await self._wire(self._topology)
            except BusError as error:
                log.info("conductor not reached", host=self.host, why=str(error))
            except (Refused, Busy, Fault) as error:
                log.warning("network could not be looked after", host=self.host, why=str(error))

    async def _event_loop(self) -> None:
        while True:
            try:
                async for event in self.driver.events():
                    await self.bus.call("conductor", "guest_event", to_plain(event), within=30)
            except BusError as error:
                log.info("guest event not delivered; the next report repairs it", host=self.host, why=str(error))
            except Exception as error:
                log.error("driver's events ended", host=self.host, exc_info=error)
            await asyncio.sleep(1)

    # What the agent is asked.

    async def _apply_network(self, message: Message) -> Any:
        return to_plain(await self._wire(topologies.read(message.body["topology"])))

    async def _wire(self, topology: Topology) -> Applied:
        """Make the host's network so; done again with every heartbeat, it mends what others broke."""
        async with self._applying:
            if self._topology is None or topology.revision >= self._topology.revision:
                self._topology = topology
            applied = await guarded(
                self.network_plugin, "apply", self.network.apply(self._topology), self.options.apply_within
            )
            self._vifs = dict(applied.vifs)
            if self._listeners and isinstance(self.network, ServesMetadata):
                await self._listeners.follow(await self.network.metadata_sockets())
            return applied

    async def _ask_driver(self, name: str, answer: Awaitable[T], within: float) -> T:
        return await guarded(self.driver_plugin, name, answer, within)

    async def _build(self, message: Message) -> Any:
        plan = message.body["plan"]
        return await self._alone(plan["id"], lambda: self._building(plan))

    async def _building(self, plan: Mapping[str, Any]) -> dict[str, Any]:
        task = world.spawn(self._build_guest(plan), name=f"agent/{self.host}/build/{plan['id']}")
        self._builds[plan["id"]] = task
        try:
            return await task
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait([task])
            if (current := asyncio.current_task()) and current.cancelling():
                raise
            raise Busy(f"the build of {plan['id']} was stopped by its deletion") from None
        finally:
            self._builds.pop(plan["id"], None)

    async def _build_guest(self, plan: Mapping[str, Any]) -> dict[str, Any]:
        nics = []
        for nic in plan["nics"]:
            vif = self._vifs.get(nic["port_id"])
            if vif is None:
                raise Busy(f"port {nic['port_id']} is not wired on {self.host} yet", 0.2)
            nics.append({**nic, "device": vif.device, "mtu": vif.mtu})
        image = None
        if plan["image"] and self.spec.wants_images:
            image = to_plain(await self.images.get(plan["image"]))
        record = to_record({**plan, "nics": nics, "image": image}, GuestPlan)
        guest = await self._ask_driver("create", self.driver.create(record), self.options.create_within)
        return {"power": guest.power.value, "why": guest.why}

    async def _destroy(self, message: Message) -> None:
        server = message.body["server"]
        if build := self._builds.get(server):
            build.cancel()
            await asyncio.wait([build])
        await self._alone(server, lambda: self._ask_driver("destroy", self.driver.destroy(server), 100))
        await self.snapshots.discard(server)

    async def _set_power(self, message: Message) -> Any:
        body = message.body

        async def change() -> Any:
            try:
                within = float(body["within"])
                work = self.driver.set_power(body["server"], Power(body["to"]), within)
                guest = await self._ask_driver("set_power", work, within + 100)
            except NotFound as error:
                raise Refused(f"The guest is not on {self.host} any more: {error}") from error
            return {"power": guest.power.value, "why": guest.why}

        return await self._alone(body["server"], change)

    async def _console_log(self, message: Message) -> Any:
        if not isinstance(self.driver, LogsConsole):
            raise Refused("This host's driver keeps no console log.")
        work = self.driver.console_log(message.body["server"], int(message.body["max_bytes"]))
        log_bytes = await self._ask_driver("console_log", work, 30)
        return {"log": base64.b64encode(log_bytes).decode()}

    async def _snapshot(self, message: Message) -> Any:
        """Copy a stopped guest's root disk; with a `url` and a `token` upload the copy, with `discard` remove it."""
        body = message.body
        server = body["server"]
        if body.get("discard"):
            await self.snapshots.discard(server)
            return None
        driver = self.driver
        if not isinstance(driver, Snapshots):
            raise Refused("This host's driver takes no snapshots.")

        async def copy(path: str) -> str:
            return await self._ask_driver("snapshot", driver.snapshot(server, path), self.options.snapshot_within)

        try:
            made = await self._alone(server, lambda: self.snapshots.make(server, body["operation"], copy))
        except NotFound as error:
            raise Refused(f"The guest is not on {self.host} any more: {error}") from error
        if "url" in body:
            await self.snapshots.upload(made, body["url"], body["token"])
        return {"disk_format": made.suffix.removeprefix(".")}

    async def _holdings(self, message: Message) -> Any:
        found: list[Holding] = []
        for plugin, driver in ((self.driver_plugin, self.driver), (self.network_plugin, self.network)):
            if hasattr(driver, "holdings"):
                found += await guarded(plugin, "holdings", driver.holdings(), 60)
        guests = await self._ask_driver("guests", self.driver.guests(), 60)
        return {"holdings": to_plain(found), "guests": to_plain(guests)}

    async def _alone(self, server: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do one thing at a time to each server."""
        turn = self._turns.setdefault(server, asyncio.Lock())
        async with turn:
            return await work()
