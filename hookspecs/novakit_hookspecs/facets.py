"""How the core knows what a driver can do: each facet is a trait of the driver's host.

The agent reports the traits of the facets that its driver declares and has. What needs a facet is refused for a server
whose host lacks the trait, before anything is begun, and a scheduler chooses hosts by it like by any other trait.
"""

import re
from collections.abc import Iterable

LIMITS_CPUS, LIMITS_DISKS = "CUSTOM_COMPUTE_LIMITS_CPUS", "CUSTOM_COMPUTE_LIMITS_DISKS"
"""Traits of hosts whose driver obeys flavors' limits (`quota:cpu_*`, `quota:disk_*`); the driver reports them."""
CONFIG_DRIVES = "CUSTOM_COMPUTE_CONFIG_DRIVES"
"""The trait of hosts whose driver gives guests `GuestPlan.config_drive`; the driver reports it by itself."""
IMAGE_FORMATS = ("raw", "qcow2", "vmdk", "vdi", "vhd", "vhdx", "iso", "luks", "ami", "ari", "aki", "ploop")
"""The disk formats that images have, as `LocalImage.disk_format` names them."""
_NOT_STANDARD = frozenset({"luks"})
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def trait_of(facet: type) -> str:
    """Return the trait of a host whose driver has a facet: `LogsConsole` is CUSTOM_COMPUTE_LOGS_CONSOLE."""
    return f"CUSTOM_COMPUTE_{_WORD.sub('_', facet.__name__).upper()}"


def trait_of_attachment(kind: type) -> str:
    """Return the trait of a host whose driver puts a kind of attachment into guests."""
    return f"CUSTOM_COMPUTE_RENDERS_{_WORD.sub('_', kind.__name__).upper()}"


def trait_of_format(disk_format: str) -> str:
    """Return the trait of a host whose driver boots images of a disk format: `qcow2` is COMPUTE_IMAGE_TYPE_QCOW2."""
    begin = "CUSTOM_COMPUTE" if disk_format in _NOT_STANDARD else "COMPUTE"
    return f"{begin}_IMAGE_TYPE_{disk_format.upper()}"


def traits_of(
    driver: object, facets: Iterable[type], renders: Iterable[type], *, wants_images: bool = True
) -> frozenset[str]:
    """Return the traits of a driver's host: of the facets that it declares and has, and of what it puts into guests.

    A driver that wants no images is handed none, so its host takes servers of every format; any other one reports by
    itself which formats it boots.
    """
    formats = () if wants_images else IMAGE_FORMATS
    return frozenset(
        {
            *(trait_of(facet) for facet in facets if isinstance(driver, facet)),
            *map(trait_of_attachment, renders),
            *map(trait_of_format, formats),
        }
    )
