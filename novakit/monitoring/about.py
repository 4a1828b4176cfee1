"""With which drivers and plugins a service runs, whichever processes its roles are in."""

from collections import Counter
from collections.abc import Sequence

from novakit.bus import Bus, ask_each
from novakit.calls.plugins import About, merged
from novakit.calls.scheduler import SchedulerCalls
from novakit.config import Config
from novakit.plughost import PluginHost, PluginRow
from novakit.store import Store
from novakit.store.compute import host_plugins
from novakit.store.engine import Row
from novakit_hookspecs.plain import to_record


async def service(config: Config, store: Store, bus: Bus, plugins: PluginHost | None) -> About:
    """Ask this process, the schedulers, and what the agents of hosts reported."""
    async with store.read() as session:
        hosts = await host_plugins.every(session)
    replies = await ask_each(SchedulerCalls.plugins, bus, config)
    told: list[tuple[str, Sequence[PluginRow]]] = [("this process", plugins.rows() if plugins else ())]
    told += [(reply.identity, reply.value) for reply in replies if reply.value is not None]
    told += [(row["host"], _rows(row)) for row in hosts]
    drivers, networks = Counter(row["driver"] for row in hosts), Counter(row["network"] for row in hosts)
    has_hosts = "agent" in config.roles
    return About(
        driver=config.driver if has_hosts else _most(drivers),
        network=config.network if has_hosts else _most(networks),
        plugins=tuple(merged(told)),
        drivers=dict(drivers),
        networks=dict(networks),
    )


def _rows(row: Row) -> Sequence[PluginRow]:
    return [to_record(one, PluginRow, tolerant=True) for one in row["plugins"]]


def _most(counted: "Counter[str]") -> str | None:
    return counted.most_common(1)[0][0] if counted else None
