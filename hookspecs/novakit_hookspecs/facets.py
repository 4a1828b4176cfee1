"""How the core knows what a driver can do: each facet is a trait of the driver's host.

The agent reports the traits of the facets that its driver declares and has. What needs a facet is refused for a server
whose host lacks the trait, before anything is begun, and a scheduler chooses hosts by it like by any other trait.
"""

import re
from collections.abc import Iterable

LIMITS_CPUS, LIMITS_DISKS = "CUSTOM_COMPUTE_LIMITS_CPUS", "CUSTOM_COMPUTE_LIMITS_DISKS"
"""Traits of hosts whose driver obeys a flavor's limits (`quota:cpu_*`, `quota:disk_*`); it reports them itself."""
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def trait_of(facet: type) -> str:
    """Return the trait of a host whose driver has a facet: `Pauses` is CUSTOM_COMPUTE_PAUSES."""
    return f"CUSTOM_COMPUTE_{_WORD.sub('_', facet.__name__).upper()}"


def trait_of_attachment(kind: type) -> str:
    """Return the trait of a host whose driver puts a kind of attachment into guests."""
    return f"CUSTOM_COMPUTE_RENDERS_{_WORD.sub('_', kind.__name__).upper()}"


def traits_of(driver: object, facets: Iterable[type], renders: Iterable[type]) -> frozenset[str]:
    """Return the traits of a driver's host: of the facets that it declares and has, and of what it puts into guests."""
    return frozenset(
        {*(trait_of(facet) for facet in facets if isinstance(driver, facet)), *map(trait_of_attachment, renders)}
    )
