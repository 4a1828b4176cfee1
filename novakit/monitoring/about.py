"""With which drivers and plugins a service runs, whichever processes its roles are in."""

from collections import Counter
from collections.abc import Sequence

from novakit.bus import Bus, ask_each
from novakit.calls.plugins import About, merged
from novakit.calls.scheduler import SchedulerCalls
from novakit.compute.hosts import Hosts
from novakit.config import Config
from novakit.plughost import PluginHost, PluginRow


async def service(config: Config, hosts: Hosts, bus: Bus, plugins: PluginHost | None) -> About:
    """Ask this process, the schedulers, and what the agents of hosts reported."""
    reported = await hosts.software()
    replies = await ask_each(SchedulerCalls.plugins, bus, config)
    told: list[tuple[str, Sequence[PluginRow]]] = [("this process", plugins.rows() if plugins else ())]
    told += [(reply.identity, reply.value) for reply in replies if reply.value is not None]
    told += [(each.host, each.plugins) for each in reported]
    drivers, networks = Counter(each.driver for each in reported), Counter(each.network for each in reported)
    has_hosts = "agent" in config.roles
    return About(
        driver=config.driver if has_hosts else _most(drivers),
        network=config.network if has_hosts else _most(networks),
        plugins=tuple(merged(told)),
        drivers=dict(drivers),
        networks=dict(networks),
    )


def _most(counted: "Counter[str]") -> str | None:
    return counted.most_common(1)[0][0] if counted else None
