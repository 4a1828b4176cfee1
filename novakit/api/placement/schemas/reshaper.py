"""Body of POST /reshaper."""

from novakit.api.placement.schemas import UUID_KEY, Schema, record, table
from novakit.api.placement.schemas.allocations import consumers
from novakit.api.placement.schemas.inventories import SEVERAL

POST = {
    version: Schema(
        record(
            {
                "inventories": table(UUID_KEY, SEVERAL, minProperties=1),
                "allocations": consumers(max(version, (1, 28)), at_least=0),
            },
            "inventories",
            "allocations",
        )
    )
    for version in ((1, 30), (1, 34), (1, 38))
}
