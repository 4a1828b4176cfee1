"""Bodies of the inventory calls."""

from novakit.api.documents import Document
from novakit.api.placement.schemas import MAX_INT, NAME, Schema, record

_AMOUNT = {"type": "integer", "minimum": 1, "maximum": MAX_INT}
_FIELDS: Document = {
    "total": _AMOUNT,
    "reserved": {"type": "integer", "minimum": 0, "maximum": MAX_INT},
    "min_unit": _AMOUNT,
    "max_unit": _AMOUNT,
    "step_size": _AMOUNT,
    "allocation_ratio": {"type": "number", "maximum": 3.40282e38},
}
_GENERATION = {"resource_provider_generation": {"type": "integer"}}
_ONE = record({**_FIELDS, **_GENERATION}, "total")
SEVERAL: Document = {
    "type": "object",
    "properties": {**_GENERATION, "inventories": {"type": "object", "additionalProperties": _ONE}},
    "required": ["resource_provider_generation", "inventories"],
    "additionalProperties": False,
}

POST = Schema(
    record({**_FIELDS, **_GENERATION, "resource_class": {"type": "string", "pattern": NAME}}, "total", "resource_class")
)
PUT_ONE = Schema(record({**_FIELDS, **_GENERATION}, "total", "resource_provider_generation"))
PUT = Schema(SEVERAL)
