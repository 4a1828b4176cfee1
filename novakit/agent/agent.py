"""The agent of one compute host: reports what the host has, does what the conductor asks, tells what happened.

The idea: what a host has is known to its drivers and its disk, so an agent that was killed asks them again and goes on;
what it was asked and did not answer is asked again by whoever asked.
The invariant: of one guest one thing is done at a time (`GuestTurns`), and each call has the same end however often it
comes; a guest's note is on the disk before the guest is made, and goes after it, so that no guest is without one.
The cost: 0.08 ms of CPU for a heartbeat with the simulated drivers, the conductor's share in it; one every 10 s.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import attrs
import structlog

from novakit import world
from novakit.agent import address, held, opening
from novakit.agent.images import ImageCache
from novakit.agent.measure import Measuring
from novakit.agent.membership import Membership
from novakit.agent.metadata import MetadataListeners
from novakit.agent.notes import GuestNotes
from novakit.agent.snapshots import SnapshotFiles
from novakit.agent.turns import GuestTurns, StoppableWork, Stopped
from novakit.agent.wires import Wires
from novakit.agent.withheld import HeldDevices
from novakit.bus import Bus, BusError, serve, topologies
from novakit.bus.tickets import with_proof
from novakit.bus.topologies import NextTopology, TopologyChange
from novakit.calls.conductor import AgentReport, ConductorCalls, RunningPlugins
from novakit.calls.host import (
    NOTHING_KEPT,
    BuildPlan,
    GuestNote,
    Holdings,
    HostCalls,
    ImageTarget,
    Kept,
    NetworksNote,
    Snapshot,
    Wired,
    time_of_driver,
)
from novakit.config import AgentOptions
from novakit.disk import Disk
from novakit.logs.waiting import Waits
from novakit.plughost import Fault, Plugin, guarded
from novakit_hookspecs.errors import Busy, NotFound, Refused
from novakit_hookspecs.facets import traits_of
from novakit_hookspecs.hosts import Holding
from novakit_hookspecs.networks import Abandoned, Applied, NetworkDriver, ServesMetadata, Topology, Vif, VifBinding
from novakit_hookspecs.servers import Guest, LocalImage, Nic, Power
from novakit_hookspecs.virt import DriverSpec, LogsConsole, Pauses, Snapshots, Suspends, VirtDriver

T = TypeVar("T")

log = structlog.get_logger(__name__)

_OFF = (Power.SHUTDOWN, Power.CRASHED)
REFUSED_EVERY = 10.0
"""Seconds between reports to a control plane of another deployment: it may be the right one the next time."""


@attrs.define(kw_only=True)
class Agent(HostCalls):
    """One host's agent; it remembers nothing that it cannot ask its drivers again."""

    host: str
    spec: DriverSpec
    driver: VirtDriver
    driver_plugin: Plugin
    network: NetworkDriver
    network_plugin: Plugin
    binding: VifBinding = attrs.field(factory=VifBinding)
    """What is told of ports that the network driver wires."""
    images: ImageCache
    snapshots: SnapshotFiles
    notes_kept: GuestNotes
    wires: Wires
    membership: Membership
    bus: Bus
    conductor: ConductorCalls
    measuring: Measuring
    disk: Disk | None = None
    """The file system of the host's directory; None where nobody watches it."""
    options: AgentOptions
    runs: RunningPlugins | None = None
    serve_metadata: bool = True
    waits: Waits = attrs.field(factory=Waits)
    reported: asyncio.Event = attrs.field(factory=asyncio.Event)
    """Set once the conductor knows this host."""
    _withheld: HeldDevices = attrs.field(factory=HeldDevices)
    _vifs: Mapping[str, Vif] = attrs.field(factory=dict)
    _topology: Topology | None = None
    _applying: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    _turns: GuestTurns = attrs.field(
        init=False, default=attrs.Factory(lambda self: GuestTurns(host=self.host, membership=self.membership), True)
    )
    _builds: dict[str, StoppableWork] = attrs.field(factory=dict)
    _tasks: list[asyncio.Task[None]] = attrs.field(factory=list)
    _listeners: MetadataListeners | None = None
    _undo: Callable[[], None] | None = None

    async def start(self) -> None:
        """Open the drivers; nobody is served and nothing is told before `begin`.

        Raises Refused with a remedy when the host cannot be used, and Fault for a driver that breaks.
        """
        self.membership.open()
        virt, network = f"virt driver {self.spec.name}", f"network driver {self.network_plugin.name}"
        await opening.prepare_host(self.waits, self.driver_plugin, self.driver, virt)
        await opening.prepare_host(self.waits, self.network_plugin, self.network, network)
        await opening.open_driver(self.waits, self.network_plugin, self.network, network)
        await opening.open_driver(self.waits, self.driver_plugin, self.driver, virt)
        self.images.open()
        self.images.users.append(self._images_in_use)
        await asyncio.to_thread(self.notes_kept.open)
        await asyncio.to_thread(self.wires.open)
        if self.serve_metadata and isinstance(self.network, ServesMetadata):
            self._listeners = MetadataListeners(self.conductor)

    def begin(self) -> None:
        """Begin to serve, and to tell the conductor of the host."""
        # Not long before it tells: of guests that the conductor has not heard of it would take down the network.
        self._undo = serve(self.bus, HostCalls, lambda _: self, self.host, require=self.membership.require)
        self._tasks = [
            world.spawn(self._report_loop(), name=f"agent/{self.host}/report"),
            world.spawn(self._heartbeat_loop(), name=f"agent/{self.host}/heartbeat"),
            world.spawn(self._event_loop(), name=f"agent/{self.host}/events"),
        ]

    async def stop(self) -> None:
        """Stop serving; guests and their network run on."""
        if self._undo:
            self._undo()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *(build.stop() for build in self._builds.values()), return_exceptions=True)
        if self._listeners:
            await self._listeners.close()
        await self.notes_kept.close()
        await self.wires.close()
        await self.driver.close()
        await self.network.close()

    # What the agent tells.

    async def _report_loop(self) -> None:
        started = True
        while True:
            try:
                await self._report(started=started)
                # Until it is accepted each report counts as the first: only that one brings the host's network up.
                started = bool(self.membership.refusal)
                self.reported.set()
                await self._rest(REFUSED_EVERY if started else self.options.report_every)
            except BusError as error:
                log.info("conductor not reached", host=self.host, why=str(error))
                await asyncio.sleep(1)
            except Exception as error:
                log.error("the host's facts could not be read", host=self.host, exc_info=error)
                await asyncio.sleep(5)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._withheld.removed.wait()
        self._withheld.removed.clear()

    async def _report(self, *, started: bool) -> None:
        facts = await self._ask_driver("host", self.driver.host(), 60)
        before = await self._withheld.before(self._held, self._is_busy) if facts.pci else {}
        ip = self.options.address or facts.host_ip or address.own()
        # Where nothing is measured a report has no measurements, and the last ones count for a while: so how much room
        # there is, which is always known, is not one of them.
        metrics = {**await self.measuring.read(), **facts.metrics}
        able = traits_of(self.driver, self.spec.facets, self.spec.renders, wants_images=self.spec.wants_images)
        traits = (facts.traits | able | set(self.options.traits)).difference(self.options.withheld_traits)
        guests = tuple(await self._ask_driver("guests", self.driver.guests(), 60))
        known = {each.id for each in guests}
        facts = await self._withheld.withheld(facts, before, self._held, lambda id: id in known or self._is_busy(id))
        report = AgentReport(
            facts=attrs.evolve(facts, host_ip=ip, metrics={}, traits=traits),
            metrics=metrics,
            room=self.disk.room() if self.disk is not None else None,
            guests=guests,
            notes={each.id: kept for each in guests if (kept := self.notes_kept.version(each.id)) is not None},
            networks=self.notes_kept.networks_version,
            building=tuple(self._builds),
            started=started,
            runs=self.runs,
            binding=self.binding,
            deployment=self.membership.deployment,
            directory=self.membership.own,
        )
        received = await self.conductor.report_host(report)
        if received.refused:
            self.membership.refused(received)
        else:
            await self.membership.joined(received.deployment)

    async def _heartbeat_loop(self) -> None:
        while True:
            await asyncio.sleep(self.options.heartbeat_every)
            try:
                if not self.membership.refusal:
                    await self.conductor.heartbeat()
                if self._topology is not None:
                    await self._wire(self._topology)
            except BusError as error:
                log.info("conductor not reached", host=self.host, why=str(error))
            except (Refused, Busy, Fault) as error:
                log.warning("the network driver's regular check failed", host=self.host, why=str(error))

    async def _event_loop(self) -> None:
        while True:
            try:
                async for event in self.driver.events():
                    # Of others nothing is made: what was asked for is answered, and the next report tells of the rest.
                    if event.power in _OFF and not self.membership.refusal:
                        await self.conductor.guest_event(event)
            except BusError as error:
                log.info("guest event not delivered; the next report repairs it", host=self.host, why=str(error))
            except Exception as error:
                log.error("the driver's stream of events ended; it is opened again", host=self.host, exc_info=error)
            await asyncio.sleep(1)

    # What the agent is asked.

    async def apply_network(self, topology: Topology, kept: Kept = NOTHING_KEPT) -> Wired:
        return self.wires.answer(topology, await self._wire(self.wires.completed(topology, kept)))

    async def change_network(self, change: NextTopology | TopologyChange, kept: Kept = NOTHING_KEPT) -> Wired | None:
        before = self.wires.take(change.base)
        if before is None:
            return None
        topology = topologies.changed(before.topology, change)
        return self.wires.answer(topology, await self._wire(self.wires.completed(topology, kept)), before)

    async def _wire(self, topology: Topology) -> Applied:
        """Make the host's network so; done again with every heartbeat, it mends what others broke."""
        async with self._applying:
            # Calls may overtake one another on the bus; an older topology would take down what a newer one made.
            if self._topology is None or topology.revision >= self._topology.revision:
                self._topology = topology
            applied = await guarded(
                self.network_plugin,
                "apply",
                self.network.apply(self._topology),
                time_of_driver(self.options.apply_within),
            )
            self._vifs = applied.vifs
            if applied.revision <= self._topology.revision:
                # Of an older store's topology the driver made nothing: what it stands for must not be forgotten.
                self.wires.remember(self._topology)
            if self._listeners and isinstance(self.network, ServesMetadata):
                await self._listeners.follow(await self.network.metadata_sockets())
            return applied

    async def _ask_driver(self, name: str, answer: Awaitable[T], within: float) -> T:
        return await guarded(self.driver_plugin, name, answer, time_of_driver(within))

    async def build(self, operation: str, plan: BuildPlan) -> Guest:
        return await self._turns.take(plan.guest.id, lambda: self._building(plan))

    async def _building(self, plan: BuildPlan) -> Guest:
        if self.notes_kept.version(plan.guest.id):
            raise Refused(f"The host already has a finished guest of server {plan.guest.id}.")
        build = self._builds[plan.guest.id] = StoppableWork()
        try:
            with build:
                return await self._build_guest(plan)
        except Stopped:
            raise Busy(f"the build of {plan.guest.id} was stopped by its deletion") from None
        finally:
            self._builds.pop(plan.guest.id, None)

    async def _build_guest(self, plan: BuildPlan) -> Guest:
        if self.disk is not None:
            # Before the guest is begun: on a full disk it would fail in the middle, with whatever its driver says then.
            self.disk.require_for_records()
        nics = []
        for nic in plan.nics:
            vif = self._vifs.get(nic.port_id)
            if vif is None:
                raise Busy(f"port {nic.port_id} is not wired on {self.host} yet", 0.2)
            nics.append(Nic(port_id=nic.port_id, mac=nic.mac, device=vif.device, mtu=vif.mtu))
        about, started = {"host": self.host, "server": plan.guest.id}, world.monotonic()
        async with AsyncExitStack() as stack:
            image = None
            if plan.image and self.spec.wants_images:
                log.info("a guest waits for its image", image=plan.image.id, **about)
                image = await stack.enter_async_context(self.images.held(plan.image, self._with_proof))
                log.info("building a guest", image_seconds=round(world.monotonic() - started, 3), **about)
            fetched = world.monotonic()
            made = await self._create_guest(plan, nics, image)
        log.info("built a guest", power=made.power.value, seconds=round(world.monotonic() - fetched, 3), **about)
        return made

    async def _create_guest(self, plan: BuildPlan, nics: Sequence[Nic], image: LocalImage | None) -> Guest:
        # Before the guest is made: killed in between, the host has a note too many, and never a guest without one.
        if plan.note is not None:
            await self.notes_kept.keep(plan.note)
        guest = attrs.evolve(plan.guest, nics=tuple(nics), image=image)
        return await self._ask_driver("create", self.driver.create(guest), self.options.create_within)

    async def _images_in_use(self) -> Collection[str] | None:
        if not self.spec.wants_images:
            return []
        return await held.images_in_use(self.driver_plugin, self.driver)

    async def destroy(self, server: str) -> None:
        if build := self._builds.get(server):
            await build.stop()
        await self._turns.take(server, lambda: self._remove(server))

    async def _remove(self, server: str) -> None:
        await self._ask_driver("destroy", self.driver.destroy(server), 100)
        await self.snapshots.discard(server)
        await self.notes_kept.forget(server)
        self._withheld.gone(server)

    async def remove_remains(self, server: str) -> None:
        async def remove() -> None:
            guests = await self._ask_driver("guests", self.driver.guests(), 30)
            if server in self._builds or any(each.id == server for each in guests):
                raise Refused(f"The host has a guest of server {server}; see `novakit guest list`.")
            await self._remove(server)

        await self._turns.take(server, remove)

    async def keep_note(self, note: GuestNote) -> None:
        async def keep() -> None:
            # A note goes with its guest, so where there is one no driver has to list its guests.
            if self.notes_kept.version(note.server) is None:
                guests = await self._ask_driver("guests", self.driver.guests(), 30)
                if all(each.id != note.server for each in guests):
                    return
            await self.notes_kept.keep(note)

        await self._turns.take(note.server, keep)

    async def notes(self, servers: tuple[str, ...]) -> tuple[GuestNote, ...]:
        return tuple(await self.notes_kept.some(servers))

    async def keep_networks(self, note: NetworksNote) -> None:
        await self.notes_kept.keep_networks(note)

    async def noted_networks(self) -> NetworksNote | None:
        return self.notes_kept.networks()

    async def set_power(self, operation: str, server: str, to: Power, grace: float) -> Guest:
        return await self._do_to_guest(server, "set_power", lambda: self._bring(server, to, grace), grace + 100)

    async def _do_to_guest(self, server: str, call: str, do: Callable[[], Awaitable[T]], within: float) -> T:
        """Have the driver do one thing to a guest, when it is its turn and in time.

        Raises Refused for a guest that is not here any more, as asking again does not help.
        """

        async def ask() -> T:
            return await self._ask_driver(call, do(), within)

        with self._refusing_what_is_gone():
            return await self._turns.take(server, ask)

    @contextmanager
    def _refusing_what_is_gone(self) -> Iterator[None]:
        try:
            yield
        except NotFound as error:
            raise Refused(f"The guest is not on its host any more: {error}") from error

    def _bring(self, server: str, to: Power, grace: float) -> Awaitable[Guest]:
        driver = self.driver
        if to is Power.PAUSED and isinstance(driver, Pauses):
            return driver.pause(server)
        if to is Power.SUSPENDED and isinstance(driver, Suspends):
            return driver.suspend(server)
        if to in (Power.RUNNING, Power.SHUTDOWN):
            return driver.set_power(server, to, grace)
        raise Refused(f"This host's driver cannot bring a guest to {to.value}.")

    async def console_log(self, server: str, max_bytes: int) -> bytes:
        if not isinstance(self.driver, LogsConsole):
            raise Refused("This host's driver keeps no console log.")
        return await self._ask_driver("console_log", self.driver.console_log(server, max_bytes), 30)

    async def snapshot(self, operation: str, server: str) -> Snapshot:
        made = await self._copy(operation, server)
        return Snapshot(disk_format=made.suffix.removeprefix("."))

    async def upload_snapshot(self, operation: str, server: str, to: ImageTarget) -> None:
        made = await self._copy(operation, server)
        try:
            shown = await self._with_proof(to.ticket)
        except BusError as error:
            raise Busy(f"The conductor could not be asked: {error}", 1.0) from error
        await self.snapshots.upload(made, attrs.evolve(to, ticket=shown))

    async def discard_snapshot(self, server: str) -> None:
        await self.snapshots.discard(server)

    async def _with_proof(self, ticket: str) -> str:
        """Add to a ticket what shows that it is this host's."""
        return with_proof(await self.conductor.ticket_key(), ticket)

    async def _copy(self, operation: str, server: str) -> Path:
        driver = self.driver
        if not isinstance(driver, Snapshots):
            raise Refused("This host's driver takes no snapshots.")

        async def copy(path: str) -> str:
            return await self._ask_driver("snapshot", driver.snapshot(server, path), self.options.snapshot_within)

        with self._refusing_what_is_gone():
            return await self._turns.take(server, lambda: self.snapshots.make(server, operation, copy))

    def _is_busy(self, server: str) -> bool:
        return server in self._builds or self._turns.is_taken(server)

    async def _held(self) -> Sequence[Holding]:
        return await held.holdings(self.driver_plugin, self.driver)

    async def holdings(self) -> Holdings:
        found = [*await self._held(), *await held.holdings(self.network_plugin, self.network)]
        guests = await self._ask_driver("guests", self.driver.guests(), 60)
        # What no driver knows: copies of disks, and notes without a guest, which nothing else would tell of.
        copies = [(server, str(path)) for server, path in await self.snapshots.held()]
        own = [*copies, *self.notes_kept.beside([each.id for each in guests])]
        found += [Holding(kind="file", name=name, owner=server) for server, name in own]
        return Holdings(holdings=tuple(found), guests=tuple(guests))

    async def abandoned(self) -> tuple[Abandoned, ...] | None:
        return await held.abandoned(self.network_plugin, self.network)

    async def remove_abandoned(self, owner: str) -> None:
        await held.remove_abandoned(self.network_plugin, self.network, owner)
