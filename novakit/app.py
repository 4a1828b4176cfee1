"""One process: the roles it runs, what each is made of, and the order in which they start and stop."""

import asyncio
import grp
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import IO

import attrs
import structlog
from aiohttp import web

from novakit import durable, world
from novakit.bus import Bus, MemoryBus, enrolments
from novakit.bus.enrolments import Enrolments
from novakit.bus.hub import LocalHub
from novakit.bus.local import LocalBus
from novakit.concurrency import locks
from novakit.config import Config
from novakit.config.database import require_place, sqlite_file
from novakit.config.quoting import located, quoted
from novakit.errors import ConfigError
from novakit.front import Door, ports
from novakit.front.descriptors import raise_limit, room
from novakit.front.unreadable import anonymous
from novakit.logs.waiting import Waits
from novakit.monitoring.export import exporting
from novakit.plughost import PluginChoice, PluginHost, offerings, settled, tables
from novakit.plughost.build import fill

log = structlog.get_logger(__name__)

START_NEEDS = 1 << 20
"""Bytes that must be free on the disk of the state directory: locks, sockets and the database's index."""
LONGEST_SOCKET = 107
"""Bytes that Linux takes of the path of a Unix socket, unix(7)."""
DRAIN = 20.0
"""Seconds that operations under way get to finish after SIGTERM."""


@attrs.define(kw_only=True)
class Process:
    """What runs in this process."""

    config: Config
    plugins: PluginHost
    hosts: list[str] = attrs.field(factory=list)
    """Compute hosts whose agents run here."""
    acceleration: str = ""
    has_real_guests: bool = False
    """Whether guests that are started here run on this machine."""
    scheduler: str = ""
    """What the scheduler of this process is called."""
    notices: list[str] = attrs.field(factory=list)
    """What an operator must know of how the start went."""
    protocol: Callable[[], asyncio.Protocol] | None = None
    """Makes what speaks HTTP with one client of this process's APIs."""
    descriptors: int = 1024
    """How many descriptors may be open in this process."""
    waits: Waits = attrs.field(factory=Waits)
    """Tells who watches the start what it waits for."""
    _local: MemoryBus | None = None
    _taken: list[socket.socket] = attrs.field(factory=list)
    """Sockets with the address of the APIs, on which nobody listens before they are ready."""

    @property
    def connections(self) -> int:
        """Return how many clients may be connected at a time."""
        return room(self.config.connections.total, self.descriptors)

    def bus(self, identity: str) -> Bus:
        """Join the bus as one participant: in memory where the conductor runs, else over its socket."""
        if self._local is not None:
            return self._local.join(identity)
        file = enrolments.directory(self.config.state) / identity.replace(":", ".")
        if not identity.startswith("agent:"):
            file = file.with_name(identity.partition(":")[0])
        return LocalBus(identity, lambda: enrolments.read(file))


@asynccontextmanager
async def running(
    config: Config, *, boundary: Callable[[str], None] | None = None, waits: Waits | None = None
) -> AsyncIterator[Process]:
    """Start the roles of the configuration; inside the block they serve, after it they have stopped.

    Raises ConfigError with one sentence when something is missing that must be there.
    `boundary` is called at every step boundary of every operation; `waits` tells what the start waits for.
    """
    async with AsyncExitStack() as stack:
        prepare_state(config.state)
        # All that can be refused without the database is, before anybody waits for one.
        config, plugins = look_ahead(config)
        stack.enter_context(exporting(config.tracing, config.roles))
        process = Process(
            config=config,
            plugins=plugins,
            waits=waits or Waits(),
            descriptors=raise_limit(config.connections.descriptors),
        )
        log.info("starting", roles=config.roles, descriptors=process.descriptors)
        if "conductor" in config.roles:
            stack.enter_context(_only_one(config.state / "conductor.lock"))
            if (file := sqlite_file(config.database)) is not None:
                require_place(config.database)
                stack.enter_context(_only_on(file))
            process._local = MemoryBus()
            enrolled = Enrolments(config.state)
            enrolled.ensure_roles()
            hub = LocalHub(process._local, enrolled.bus, enrolled, group=_group(config.conductor.bus_group))
            await hub.start()
            stack.push_async_callback(hub.stop)
        if "api" in config.roles:
            process._taken = await ports.taken(config.host, config.port)
            for sock in process._taken:
                stack.callback(sock.close)
        if set(config.roles) - {"agent"}:
            await _start_control(stack, process, boundary)
        if "agent" in config.roles:
            await _start_agents(stack, process)
        yield process


def look_ahead(config: Config) -> tuple[Config, PluginHost]:
    """Return the configuration with its drivers named, and the plugins that it comes to.

    Raises ConfigError for what no start could use: options of plugins, drivers, filters and weighers that are not
    there, a policy file that is not understood.
    """
    scheduler = config.scheduler.driver if "scheduler" in config.roles else None
    choice, installed = PluginChoice.read(config.plugins, scheduler=scheduler), offerings()
    if "agent" in config.roles:
        drivers = settled(attrs.evolve(choice, driver=config.driver, network=config.network), installed)
        choice = drivers.chosen(choice)
        config = attrs.evolve(config, driver=drivers.virt, network=drivers.network)
    tables.check(config.options, choice, config.roles)
    plugins = PluginHost.load(choice, config.roles, installed)
    if "agent" in config.roles:
        _check_drivers(config, plugins)
    if "scheduler" in config.roles:
        _check_scheduler(config, plugins)
    if "conductor" in config.roles:
        _group(config.conductor.bus_group)
    if "api" in config.roles:
        # Imported here: an agent has no APIs, and need not load them.
        from novakit.api.services import policy_file

        policy_file(config)
    return config, plugins


def _check_drivers(config: Config, plugins: PluginHost) -> None:
    virt, network = plugins.driver(config.driver), plugins.network(config.network)
    if config.simulate > 1 and not virt.spec.simulates:
        raise ConfigError(f"--simulate goes with a driver that simulates hosts, not with {config.driver}.")
    for offer in (virt, network):
        fill(offer, config.options.get(offer.key, {}))


def _check_scheduler(config: Config, plugins: PluginHost) -> None:
    from novakit.scheduler.plugins import wrong  # an agent has no scheduler, and need not load one

    if sentences := wrong(plugins, config.scheduler, config.options):
        raise ConfigError(sentences[0])


def prepare_state(state: Path) -> None:
    """Make the state directory: only its owner may list it, a hypervisor's own user may pass through it."""
    if len(os.fsencode(state / enrolments.SOCKET)) > LONGEST_SOCKET:
        raise ConfigError(
            f"The state directory has a path of {len(os.fsencode(state))} bytes, too long for the socket in it; choose "
            f"one of at most {LONGEST_SOCKET - len(enrolments.SOCKET) - 1} with --state."
        )
    try:
        durable.directory(state)
        state.chmod(0o711)
    except OSError as error:
        raise ConfigError(
            f"The state directory {located(state)} cannot be used: {error.strerror}; correct that, or choose another"
            " --state."
        ) from error
    free = os.statvfs(state).f_bavail * os.statvfs(state).f_frsize
    if free < START_NEEDS:
        raise ConfigError(
            f"The disk of the state directory {state} is full: {free >> 10} KiB are free and a start needs "
            f"{START_NEEDS >> 10} KiB. Make room there, then start again."
        )


def _only_one(path: Path) -> IO[str]:
    try:
        return locks.hold(path)
    except locks.Held as error:
        raise ConfigError(
            f"Another novakit (process {error.holder}) runs on {path.parent}; stop it first, or choose another --state."
        ) from error


def _only_on(database: Path) -> IO[str]:
    """Keep another conductor off a file of SQLite: with a state directory of its own its lock would be another."""
    try:
        return locks.hold(database.with_name(f"{database.name}.lock"))
    except locks.Held as error:
        raise ConfigError(
            f"Another novakit (process {error.holder}) runs on the database {database}, with another state directory;"
            " stop it first, or name another database. On SQLite there is one conductor; several need PostgreSQL."
        ) from error


def _group(name: str | None) -> int | None:
    """Look up the Unix group whose members may join the bus."""
    if name is None:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"[conductor] bus_group: there is no group {quoted(name)}; make it, or name another."
        ) from error


def _scheduler_name(stack: AsyncExitStack, config: Config) -> str:
    """Give the scheduler of this process a name that no other one on this state directory has."""
    for name in (config.name,) if config.name else (f"scheduler-{number}" for number in count(1)):
        try:
            stack.enter_context(locks.hold(config.state / f"scheduler.{name}.lock"))
        except locks.Held as error:
            other = error.holder
        else:
            return name
    raise ConfigError(f"Another scheduler (process {other}) is called {config.name}; choose another --name.")


async def _joined(stack: AsyncExitStack, process: Process, identity: str) -> Bus:
    bus = process.bus(identity)
    stack.push_async_callback(bus.close)
    if isinstance(bus, LocalBus):
        await bus.open()
        async with process.waits.on("the conductor to let this process join"):
            await bus.tried()
        if bus.refused:
            raise ConfigError(bus.refused)
    return bus


async def _start_control(stack: AsyncExitStack, process: Process, boundary: Callable[[str], None] | None) -> None:
    """Start api, scheduler and conductor, as far as this process has them; they share the store."""
    from novakit.control import Control

    async with process.waits.on("the database"):
        control = await Control.open(process.config)
    stack.push_async_callback(control.close)
    if process._local is not None and control.deployment is not None:
        process._local.deployment = control.deployment.id
    process.notices = control.notices()
    for sentence in process.notices:
        log.warning(sentence)
    roles = process.config.roles
    if "scheduler" in roles:
        process.scheduler = name = _scheduler_name(stack, process.config)
        bus = await _joined(stack, process, f"scheduler:{name}")
        stack.push_async_callback(bus.drain, DRAIN)
        await control.start_scheduler(process.plugins, bus, name)
    if "conductor" in roles:
        conductor = await control.conductor(await _joined(stack, process, "conductor"), process.plugins, boundary)
        await conductor.start(alone=control.store.dialect == "sqlite")
        stack.push_async_callback(conductor.stop, DRAIN)
    if "api" in roles:
        from novakit.serving import application

        app = application(control, await _joined(stack, process, "api"), process.plugins)
        await _serve_http(stack, process, app)


async def _serve_http(stack: AsyncExitStack, process: Process, app: web.Application) -> None:
    config, limits = process.config, process.config.connections
    door = Door(limits, room=process.connections)
    app.middlewares.insert(0, door.middleware)
    app.on_response_prepare.append(anonymous)
    # Bodies stay as they came: what inflates them does so on the loop, before anybody is asked who he is.
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=5, auto_decompress=False, keepalive_timeout=limits.idle_within + 5
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    assert runner.server is not None
    process.protocol = door.protocol(runner.server)
    for sock in process._taken:
        try:
            listening = await door.listen(runner.server, sock)
        except OSError as error:  # another process took it in the meantime, and listens
            raise ports.refused(config.host, config.port, error) from error
        stack.callback(listening.close)
    stack.callback(world.spawn(door.watch(), name="door").cancel)


async def _start_agents(stack: AsyncExitStack, process: Process) -> None:
    from novakit.agent import starting  # a process without agents need not load them

    config, hosts = process.config, starting.host_names(process.config)
    process.hosts, process.has_real_guests = hosts, not process.plugins.driver(config.driver).spec.simulates
    if process._local is None:
        starting.check_apart(config, hosts)
    agents = await starting.start(
        stack, config, process.plugins, hosts, partial(_joined, stack, process), process.waits
    )
    facts = await starting.facts(agents[0])
    process.acceleration = facts.why or facts.acceleration
    if len(agents) == 1 or "conductor" in config.roles:
        process.notices += await starting.known(agents, process.waits)
