"""Bodies and queries of the resource provider calls."""

from novakit.api.placement.schemas import TEXT, Schema, is_dashed_uuid, record

_NAME = {"type": "string", "maxLength": 200, "pattern": TEXT}
_UUID = {"type": "string", "format": "uuid"}
_PARENT = {"anyOf": [_UUID, {"type": "null"}]}
_TEXT = {"type": "string"}

POST = {
    (1, 14): Schema(record({"name": _NAME, "uuid": _UUID, "parent_provider_uuid": _PARENT}, "name")),
    (1, 0): Schema(record({"name": _NAME, "uuid": _UUID}, "name")),
}
PUT = {
    (1, 14): Schema(record({"name": _NAME, "parent_provider_uuid": _PARENT}, "name")),
    (1, 0): Schema(record({"name": _NAME}, "name")),
}


def _list(version: tuple[int, int]) -> dict[str, object]:
    since = {(1, 3): "member_of", (1, 4): "resources", (1, 14): "in_tree", (1, 18): "required"}
    properties: dict[str, object] = {"name": _TEXT, "uuid": _UUID}
    properties |= {name: _UUID if name == "in_tree" else _TEXT for first, name in since.items() if version >= first}
    return record(properties)


LIST = {version: Schema(_list(version), is_dashed_uuid) for version in ((1, 18), (1, 14), (1, 4), (1, 3), (1, 0))}
AGGREGATES_LIST = {"type": "array", "items": _UUID, "uniqueItems": True}
PUT_AGGREGATES = {
    (1, 19): Schema(
        record(
            {"aggregates": AGGREGATES_LIST, "resource_provider_generation": {"type": "integer"}},
            "aggregates",
            "resource_provider_generation",
        )
    ),
    (1, 1): Schema(AGGREGATES_LIST),
}
