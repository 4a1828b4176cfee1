"""Bringing a guest to a power state, which several verbs do."""

from novakit.compute.states import POWER_NUMBERS
from novakit.conductor.parts import Parts
from novakit.conductor.work import AnyWork
from novakit_hookspecs.servers import Power

GRACE = 60.0
"""Seconds a guest has to shut down by itself before it is turned off."""


async def set_power(work: AnyWork, parts: Parts, to: Power, within: float = 0.0) -> Power:
    """Have the host bring the guest to a power state, and return the one it reached.

    A guest that is to shut down is asked to for `within` seconds first; the host has them for any other state, too.
    """
    return (await parts.hosts.at(work.host).set_power(work.id, work.server_id, to, within)).power


async def start_wired(work: AnyWork, parts: Parts, within: float = 0.0) -> Power:
    """Wire the ports, which may be gone since the host restarted, and start the guest.

    `within` are the seconds that this may take beyond those of every start.
    """
    await parts.wiring.ensure(work.host)
    return await set_power(work, parts, Power.RUNNING, within)


def number(power: Power) -> int:
    """Return a power state as the compute API counts them."""
    return POWER_NUMBERS[power]
