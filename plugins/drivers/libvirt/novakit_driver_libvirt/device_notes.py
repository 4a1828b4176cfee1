"""Which devices of the host guests have: as their domains say, or, of a guest whose domain is lost, as was noted.

libvirt forgets at its start a domain whose file is damaged; the guest has its disks and its devices still.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from novakit_driver_libvirt.calls import Calls
from novakit_driver_libvirt.disks import Disks
from novakit_driver_libvirt.naming import guest_of, name_of
from novakit_hookspecs.hosts import Holding


async def held(calls: Calls, disks: Disks) -> Mapping[str, Sequence[str]]:
    """List the PCI addresses of devices by the name of any domain, also of one that is lost."""
    found = dict(await calls.host_devices())
    for guest, addresses in (await asyncio.to_thread(disks.devices)).items():
        found.setdefault(name_of(guest), addresses)
    return found


def holdings(held: Mapping[str, Sequence[str]], guests: Iterable[str]) -> list[Holding]:
    """List the devices of some guests."""
    of = {guest: held.get(name_of(guest), ()) for guest in guests}
    return [Holding(kind="device", name=address, owner=guest) for guest in of for address in of[guest]]


async def write(calls: Calls, disks: Disks) -> None:
    """Write down which devices guests have that an older version built; where there is no room, at the next start."""
    for name, addresses in (await calls.host_devices()).items():
        guest = guest_of(name)
        if guest is not None and disks.of(guest).is_dir():
            with suppress(OSError):
                await asyncio.to_thread(disks.note_devices, guest, addresses)
