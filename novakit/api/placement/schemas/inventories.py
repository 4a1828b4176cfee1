"""Bodies of the inventory calls."""

from collections.abc import Mapping

import attrs

from novakit.api.placement.schemas import MAX_INT, NAME, body, record
from novakit.left_out import LEFT_OUT, LeftOut

_AMOUNT = {"type": "integer", "minimum": 1, "maximum": MAX_INT}
_FIELDS: dict[str, object] = {
    "total": _AMOUNT,
    "reserved": {"type": "integer", "minimum": 0, "maximum": MAX_INT},
    "min_unit": _AMOUNT,
    "max_unit": _AMOUNT,
    "step_size": _AMOUNT,
    "allocation_ratio": {"type": "number", "maximum": 3.40282e38},
}
_GENERATION = {"resource_provider_generation": {"type": "integer"}}
_ONE = record({**_FIELDS, **_GENERATION}, "total")
SEVERAL: dict[str, object] = {
    "type": "object",
    "properties": {**_GENERATION, "inventories": {"type": "object", "additionalProperties": _ONE}},
    "required": ["resource_provider_generation", "inventories"],
    "additionalProperties": False,
}


@attrs.frozen(kw_only=True)
class WantedInventory:
    """What a provider is to hold of one class."""

    total: int
    reserved: int | LeftOut = LEFT_OUT
    min_unit: int | LeftOut = LEFT_OUT
    max_unit: int | LeftOut = LEFT_OUT
    step_size: int | LeftOut = LEFT_OUT
    allocation_ratio: float | LeftOut = LEFT_OUT
    resource_provider_generation: int | None = None


@attrs.frozen(kw_only=True)
class NewInventory(WantedInventory):
    """What a provider is to hold of one class, too."""

    resource_class: str


@attrs.frozen(kw_only=True)
class InventoryChange(WantedInventory):
    """What a provider is to hold of one class, as long as it is of this generation."""

    resource_provider_generation: int


@attrs.frozen(kw_only=True)
class WantedInventories:
    """All that a provider is to hold, by class."""

    resource_provider_generation: int
    inventories: Mapping[str, WantedInventory]


_NEW = {**_FIELDS, **_GENERATION, "resource_class": {"type": "string", "pattern": NAME}}
POST = body(NewInventory, {(1, 0): record(_NEW, "total", "resource_class")})
PUT_ONE = body(
    InventoryChange,
    {(1, 0): record({**_FIELDS, **_GENERATION}, "total", "resource_provider_generation")},
)
PUT = body(WantedInventories, {(1, 0): SEVERAL})
