"""Bodies of PUT and POST /allocations."""

from collections.abc import Mapping, Sequence

import attrs

from novakit.api.placement.schemas import (
    GROUP_1_33,
    NAME,
    TEXT,
    UUID_KEY,
    body,
    record,
    table,
)

_OWNER = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": TEXT}
_AMOUNTS = table(NAME, {"type": "integer", "minimum": 1}, minProperties=1)
_PROVIDER = record({"generation": {"type": "integer"}, "resources": _AMOUNTS}, "resources")
_GENERATION = {"type": ["integer", "null"]}
_MAPPINGS = {
    "type": "object",
    "minProperties": 1,
    "patternProperties": {
        f"^{GROUP_1_33}$": {"type": "array", "minItems": 1, "items": {"type": "string", "format": "uuid"}}
    },
}
_TYPE = {"type": "string", "pattern": NAME, "minLength": 1, "maxLength": 255}


def _list(*, owned: bool) -> dict[str, object]:
    uuid = record({"uuid": {"type": "string", "format": "uuid"}}, "uuid")
    item = record({"resource_provider": uuid, "resources": _AMOUNTS}, "resource_provider", "resources")
    said = {"allocations": {"type": "array", "minItems": 1, "items": item}}
    if not owned:
        return record(said, "allocations")
    return record({**said, "project_id": _OWNER, "user_id": _OWNER}, "allocations", "project_id", "user_id")


def consumer(version: tuple[int, int], *, may_be_empty: bool) -> dict[str, object]:
    """Make the schema of what one consumer is to hold."""
    allocations = table(UUID_KEY, _PROVIDER, minProperties=0 if may_be_empty else 1)
    properties: dict[str, object] = {"allocations": allocations, "project_id": _OWNER, "user_id": _OWNER}
    required = ["allocations", "project_id", "user_id"]
    if version >= (1, 28):
        properties["consumer_generation"] = _GENERATION
        required.append("consumer_generation")
    if version >= (1, 34):
        properties["mappings"] = _MAPPINGS
    if version >= (1, 38):
        properties["consumer_type"] = _TYPE
        required.append("consumer_type")
    return record(properties, *required)


def consumers(version: tuple[int, int], *, at_least: int) -> dict[str, object]:
    """Make the schema of what several consumers are to hold, by consumer id."""
    return table(UUID_KEY, consumer(version, may_be_empty=True), minProperties=at_least)


@attrs.frozen(kw_only=True)
class Amounts:
    """What a consumer is to hold of one provider, by class."""

    resources: Mapping[str, int]
    generation: int | None = None
    """The provider's, taken so that what was shown can be sent; the ledger looks at it by itself."""


@attrs.frozen(kw_only=True)
class NamedProvider:
    """A provider by its id."""

    uuid: str


@attrs.frozen(kw_only=True)
class AmountsOf:
    """What a consumer is to hold of one provider, as it is sent before 1.12."""

    resource_provider: NamedProvider
    resources: Mapping[str, int]


NOBODY = "00000000-0000-0000-0000-000000000000"
"""Project and user of consumers that were made in versions without them."""


@attrs.frozen(kw_only=True)
class WantedAllocations:
    """What one consumer is to hold."""

    allocations: Mapping[str, Amounts] | Sequence[AmountsOf]
    """By provider; a list before 1.12."""
    project_id: str = NOBODY
    user_id: str = NOBODY
    consumer_type: str | None = None
    consumer_generation: int | None = None
    """None for a new consumer."""
    mappings: Mapping[str, object] = {}
    """Which provider gives which group; taken, and not kept."""


_PUT = {
    (1, 38): consumer((1, 38), may_be_empty=True),
    (1, 34): consumer((1, 34), may_be_empty=True),
    (1, 28): consumer((1, 28), may_be_empty=True),
    (1, 12): consumer((1, 12), may_be_empty=False),
    (1, 8): _list(owned=True),
    (1, 0): _list(owned=False),
}
PUT = body(WantedAllocations, _PUT)
POST = body(
    dict[str, WantedAllocations],
    {version: consumers(version, at_least=1) for version in ((1, 38), (1, 34), (1, 28), (1, 13))},
)
