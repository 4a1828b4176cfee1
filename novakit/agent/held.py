"""What the drivers of a host hold, as far as they tell, and what others have left there of the network's kind."""

from collections.abc import Collection, Sequence
from contextlib import suppress

import structlog

from novakit.calls.host import time_of_driver
from novakit.plughost import Plugin, guarded
from novakit_hookspecs.errors import Busy, NotFound, Refused
from novakit_hookspecs.hosts import Holding
from novakit_hookspecs.networks import Abandoned, NetworkDriver, RemovesAbandoned
from novakit_hookspecs.virt import UsesImages, VirtDriver

log = structlog.get_logger(__name__)

WITHIN = 60.0
"""Seconds for which a driver may look, less where whoever asked the host gives up before."""


async def holdings(plugin: Plugin, driver: VirtDriver | NetworkDriver) -> Sequence[Holding]:
    """List what a driver has; nothing where it does not tell."""
    if not hasattr(driver, "holdings"):
        return ()
    return await guarded(plugin, "holdings", driver.holdings(), time_of_driver(WITHIN))


async def images_in_use(plugin: Plugin, driver: VirtDriver) -> Collection[str] | None:
    """Return which image files guests here need; None when the driver does not say, or cannot now."""
    if not isinstance(driver, UsesImages):
        return None
    try:
        return await guarded(plugin, "images_in_use", driver.images_in_use(), time_of_driver(WITHIN))
    except (Busy, Refused) as error:
        log.warning("the driver could not say which images are in use, so all are kept", why=str(error))
        return None


async def abandoned(plugin: Plugin, network: NetworkDriver) -> tuple[Abandoned, ...] | None:
    """List what deployments that are lost have left; None where the driver does not tell."""
    if not isinstance(network, RemovesAbandoned):
        return None
    try:
        return tuple(await guarded(plugin, "abandoned", network.abandoned(), time_of_driver(WITHIN)))
    except Refused:  # it cannot tell here, which is not the same as nothing
        return None


async def remove_abandoned(plugin: Plugin, network: NetworkDriver, owner: str) -> None:
    """Have the driver remove what one of them has left; nothing left is fine. Raises Refused where it cannot."""
    if not isinstance(network, RemovesAbandoned):
        raise Refused(f"The network driver {plugin.name} removes nothing that another deployment has left.")
    # A call may come again whose answer was lost: then it is done, and who asked looks at what is left by itself.
    with suppress(NotFound):
        await guarded(plugin, "remove_abandoned", network.remove_abandoned(owner), time_of_driver(2 * WITHIN))
