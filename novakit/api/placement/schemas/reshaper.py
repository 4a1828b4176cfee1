"""Body of POST /reshaper."""

from collections.abc import Mapping

import attrs

from novakit.api.placement.schemas import UUID_KEY, body, record, table
from novakit.api.placement.schemas.allocations import WantedAllocations, consumers
from novakit.api.placement.schemas.inventories import SEVERAL, WantedInventories


@attrs.frozen(kw_only=True)
class NewShape:
    """What providers are to hold, by provider, and what is to be held of them, by consumer."""

    inventories: Mapping[str, WantedInventories]
    allocations: Mapping[str, WantedAllocations]


_POST = {
    version: record(
        {
            "inventories": table(UUID_KEY, SEVERAL, minProperties=1),
            "allocations": consumers(max(version, (1, 28)), at_least=0),
        },
        "inventories",
        "allocations",
    )
    for version in ((1, 30), (1, 34), (1, 38))
}
POST = body(NewShape, _POST)
