"""Opens the drivers of a host, and has them start what they need there; whoever waits for that is told."""

import structlog

from novakit.logs.waiting import Waits
from novakit.plughost import Plugin, guarded
from novakit_hookspecs.hosts import PreparesHost
from novakit_hookspecs.networks import NetworkDriver
from novakit_hookspecs.virt import VirtDriver

log = structlog.get_logger(__name__)

OPEN_WITHIN = 600.0
"""Seconds for which a driver may open, or start what it needs; libvirt with a broken KVM takes a minute."""


async def prepare_host(waits: Waits, plugin: Plugin, driver: VirtDriver | NetworkDriver, name: str) -> None:
    """Have a driver start what it needs on the host, if anything; it is called by `name` where somebody waits."""
    if not isinstance(driver, PreparesHost):
        return
    async with waits.on(f"the {name} to start what it needs on this host"):
        said = await guarded(plugin, "prepare_host", driver.prepare_host(), OPEN_WITHIN)
    for sentence in said:
        log.info("prepared the host", did=sentence)


async def open_driver(waits: Waits, plugin: Plugin, driver: VirtDriver | NetworkDriver, name: str) -> None:
    """Open a driver, which is called by `name` where somebody waits. Raises Refused for a host that cannot be used."""
    async with waits.on(f"the {name} to open"):
        await guarded(plugin, "open", driver.open(), OPEN_WITHIN)
