"""Starts the agents of one process: of which hosts, what each is made of, and until the conductor knows them."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from novakit import durable
from novakit.agent.agent import Agent
from novakit.agent.images import ImageCache
from novakit.agent.measure import Measuring
from novakit.agent.membership import Membership
from novakit.agent.notes import GuestNotes
from novakit.agent.snapshots import SnapshotFiles
from novakit.agent.wires import Wires
from novakit.bus import Bus, client, enrolments
from novakit.bus.local import LocalBus
from novakit.calls.conductor import ConductorCalls, RunningPlugins
from novakit.concurrency import locks
from novakit.config import Config
from novakit.errors import ConfigError
from novakit.logs.waiting import Waits
from novakit.plughost import Fault, Offer, PluginHost, build, guarded
from novakit_hookspecs.errors import Refused
from novakit_hookspecs.hosts import HostContext, HostFacts

CONTROL_PLANE = ("enrolled", "keys", "clouds.yaml", "novakit.db")
"""What stands in the state directory of a control plane, and is nothing for a compute host."""


def host_names(config: Config) -> list[str]:
    """Name the compute hosts of this process: the machine, or as many that are simulated as were asked for."""
    enrolled = enrolments.hosts_of(config.state)
    alone = enrolled[0] if len(enrolled) == 1 and config.simulate == 1 else None
    name = enrolments.host_name(config.agent.host or alone or socket.gethostname())
    if config.simulate == 1:
        return [name]
    width = len(str(config.simulate))
    return [f"{name}-{number:0{width}}" for number in range(1, config.simulate + 1)]


def check_apart(config: Config, hosts: Sequence[str]) -> None:
    """Hold agents to a directory of their own, with a credential for each host; raise `ConfigError`."""
    state = config.state
    if config.roles == ("agent",) and any((state / name).exists() for name in CONTROL_PLANE):
        raise ConfigError(
            f"{state} is the control plane's state directory, which no agent may read:"
            f" run `novakit host enrol {hosts[0]} --state {state} --into DIR`, then start the agent with --state DIR."
        )
    for host in hosts:
        if not (file := enrolments.directory(state) / f"agent.{host}").exists():
            raise ConfigError(
                f"There is no credential {file}: run `novakit host enrol {host} --state CONTROL-PLANE --into {state}`"
                " where the conductor runs, and copy the file here."
            )
        enrolments.read(file)


async def start(
    stack: AsyncExitStack,
    config: Config,
    plugins: PluginHost,
    hosts: Sequence[str],
    join: Callable[[str], Awaitable[Bus]],
    waits: Waits,
) -> list[Agent]:
    """Start the agent of each host; `stack` stops them. Raises ConfigError where a host cannot be used."""
    virt, network = plugins.driver(config.driver), plugins.network(config.network)
    root = config.state / "agents"
    images = _image_cache(config, _passable(root))
    runs = RunningPlugins(
        driver=config.driver,
        network=config.network,
        plugins=tuple(plugins.rows("drivers", "networks", "accelerators")),
    )
    measuring = Measuring.of(config.agent.compute_monitors)
    agents = []
    for host in hosts:
        directory = _passable(root / host)
        if len(hosts) == 1:  # of a thousand simulated ones each would cost a descriptor
            stack.enter_context(_only_agent(directory / "agent.lock", host))
        bus = await join(f"agent:{host}")
        agents.append(
            Agent(
                host=host,
                spec=virt.spec,
                driver=_built(virt, config, HostContext(host=host, state_dir=str(directory / "virt"))),
                driver_plugin=virt.plugin,
                network_plugin=network.plugin,
                binding=network.spec.binding,
                network=_built(network, config, HostContext(host=host, state_dir=str(directory / "network"))),
                images=images,
                snapshots=SnapshotFiles(directory / "snapshots"),
                notes_kept=GuestNotes(directory / "guests"),
                wires=Wires(directory / "topology.json"),
                membership=Membership(host, directory),
                bus=bus,
                conductor=client(ConductorCalls, bus, config),
                measuring=measuring,
                disk=config.disk_of(directory),
                options=config.agent,
                runs=runs,
                serve_metadata="metadata" in config.api.enabled,
                waits=waits,
            )
        )
    for agent in agents:
        with _usable():
            await agent.start()
        stack.push_async_callback(agent.stop)
    # Once all are there: hosts that report together are written together, and none is known of a start that failed.
    for agent in agents:
        agent.begin()
    return agents


async def facts(agent: Agent) -> HostFacts:
    """Return what a driver says of its host. Raises ConfigError where it cannot."""
    with _usable():
        return await guarded(agent.driver_plugin, "host", agent.driver.host(), 60)


@contextmanager
def _usable() -> Iterator[None]:
    """Tell in one sentence why a driver cannot be used. Raises ConfigError."""
    try:
        yield
    except Refused as error:
        raise ConfigError(str(error)) from error
    except Fault as error:
        raise ConfigError(f"{error.message} The log has the details; repair that, or choose another driver.") from error


async def known(agents: Sequence[Agent], waits: Waits) -> list[str]:
    """Wait until the conductor knows the hosts, and return why it refuses some.

    Raises ConfigError where the bus does not let one in.
    """
    async with waits.on("the conductor to know this process's hosts"):
        await asyncio.gather(*(_reported(agent.reported, agent.bus) for agent in agents))
    return [agent.membership.refusal for agent in agents if agent.membership.refusal]


async def _reported(reported: asyncio.Event, bus: Bus) -> None:
    """Wait until the conductor knows a host; raise `ConfigError` where the bus does not let it in."""
    while not reported.is_set():
        if isinstance(bus, LocalBus) and bus.refused:
            raise ConfigError(bus.refused)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await reported.wait()


def _only_agent(path: Path, host: str) -> IO[str]:
    try:
        return locks.hold(path)
    except locks.Held as error:
        raise ConfigError(
            f"Another agent (process {error.holder}) runs for the host {host} on {path.parents[2]}; stop it first, or"
            " give this one another name with [agent] host."
        ) from error


def _image_cache(config: Config, root: Path) -> ImageCache:
    directory = _passable(root / "images")
    limit = int(config.agent.image_cache_gb * (1 << 30))
    return ImageCache(directory, config.disk_of(directory), unused=config.agent.image_cache_unused, limit=limit)


def _built(offer: Offer, config: Config, context: HostContext) -> Any:
    """Make the driver of one host, which works in a directory of its own."""
    _passable(Path(context.state_dir))
    try:
        return build(offer, config.options.get(offer.key), context)
    except Fault as error:
        raise ConfigError(str(error)) from error


def _passable(directory: Path) -> Path:
    """Make a directory through which a hypervisor's own user gets to its disks, whatever the umask."""
    durable.directory(directory)
    directory.chmod(0o711)
    return directory
