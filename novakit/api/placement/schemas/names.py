"""Bodies and queries of the calls on traits, resource classes and usages."""

from collections.abc import Sequence

import attrs

from novakit.api.placement.schemas import CUSTOM_NAME, NAME, TEXT, PlacementBody, PlacementSchema, record

CUSTOM = PlacementSchema({"type": "string", "minLength": 1, "maxLength": 255, "pattern": CUSTOM_NAME})


@attrs.frozen(kw_only=True)
class NewName:
    """A custom resource class that is to be made, or the name that one is to have."""

    name: str


@attrs.frozen(kw_only=True)
class WantedTraits:
    """The traits that a provider is to have."""

    traits: Sequence[str]
    resource_provider_generation: int


CUSTOM_CLASS = PlacementSchema(record({"name": {"type": "string", "maxLength": 255, "pattern": CUSTOM_NAME}}, "name"))
RESOURCE_CLASS = PlacementBody(NewName, {(1, 0): CUSTOM_CLASS})
_TRAITS = PlacementSchema(
    record(
        {
            "traits": {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": TEXT}},
            "resource_provider_generation": {"type": "integer"},
        },
        "traits",
        "resource_provider_generation",
    )
)
PUT_TRAITS = PlacementBody(WantedTraits, {(1, 0): _TRAITS})
LIST_TRAITS = PlacementSchema(record({"name": {"type": "string"}, "associated": {"type": "string"}}))

_OWNER = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": TEXT}
_TYPE = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": f"{NAME}|^all$|^unknown$"}
USAGES = {
    (1, 38): PlacementSchema(record({"project_id": _OWNER, "user_id": _OWNER, "consumer_type": _TYPE}, "project_id")),
    (1, 9): PlacementSchema(record({"project_id": _OWNER, "user_id": _OWNER}, "project_id")),
}
