"""Bodies and queries of the resource provider calls."""

from collections.abc import Sequence

import attrs

from novakit.api.placement.schemas import TEXT, body, is_dashed_uuid, query, record
from novakit.left_out import LEFT_OUT, LeftOut

_NAME = {"type": "string", "maxLength": 200, "pattern": TEXT}
_UUID = {"type": "string", "format": "uuid"}
_PARENT = {"anyOf": [_UUID, {"type": "null"}]}
_TEXT = {"type": "string"}


@attrs.frozen(kw_only=True)
class NewProvider:
    """A provider that is to be made."""

    name: str
    uuid: str | None = None
    """None for one that is to be given an id."""
    parent_provider_uuid: str | None = None


@attrs.frozen(kw_only=True)
class ProviderChange:
    """What of a provider is to change."""

    name: str
    parent_provider_uuid: str | LeftOut | None = LEFT_OUT


@attrs.frozen(kw_only=True)
class WantedAggregates:
    """The aggregates that a provider is to be in."""

    aggregates: Sequence[str]
    resource_provider_generation: int | None = None
    """The generation that it must be of; None before 1.19, for whichever."""


_POST = {
    (1, 14): record({"name": _NAME, "uuid": _UUID, "parent_provider_uuid": _PARENT}, "name"),
    (1, 0): record({"name": _NAME, "uuid": _UUID}, "name"),
}
_PUT = {
    (1, 14): record({"name": _NAME, "parent_provider_uuid": _PARENT}, "name"),
    (1, 0): record({"name": _NAME}, "name"),
}
POST, PUT = body(NewProvider, _POST), body(ProviderChange, _PUT)


def _list(version: tuple[int, int]) -> dict[str, object]:
    since = {(1, 3): "member_of", (1, 4): "resources", (1, 14): "in_tree", (1, 18): "required"}
    properties: dict[str, object] = {"name": _TEXT, "uuid": _UUID}
    properties |= {name: _UUID if name == "in_tree" else _TEXT for first, name in since.items() if version >= first}
    return record(properties)


LIST = query({version: _list(version) for version in ((1, 18), (1, 14), (1, 4), (1, 3), (1, 0))}, is_dashed_uuid)
AGGREGATES_LIST = {"type": "array", "items": _UUID, "uniqueItems": True}
_GUARDED = record(
    {"aggregates": AGGREGATES_LIST, "resource_provider_generation": {"type": "integer"}},
    "aggregates",
    "resource_provider_generation",
)
PUT_AGGREGATES = body(WantedAggregates, {(1, 19): _GUARDED})
PUT_AGGREGATES_UNGUARDED = body(tuple[str, ...], {(1, 1): AGGREGATES_LIST})
"""Before 1.19."""
