"""Bodies and queries of the calls on traits, resource classes and usages."""

from collections.abc import Sequence

import attrs

from novakit import errors
from novakit.api.bodies import Schema, SchemaFault
from novakit.api.placement.schemas import CUSTOM_NAME, NAME, TEXT, body, query, record


def _words_of_traits(_fault: SchemaFault) -> errors.BadRequest:
    return errors.BadRequest(
        "The trait is invalid. A valid trait must be no longer than 255 characters, start with the prefix "
        '"CUSTOM_" and use following characters: "A"-"Z", "0"-"9" and "_"'
    )


CUSTOM = Schema({"type": "string", "minLength": 1, "maxLength": 255, "pattern": CUSTOM_NAME}, _words_of_traits)


@attrs.frozen(kw_only=True)
class NewName:
    """A custom resource class that is to be made, or the name that one is to have."""

    name: str


@attrs.frozen(kw_only=True)
class WantedTraits:
    """The traits that a provider is to have."""

    traits: Sequence[str]
    resource_provider_generation: int


_CLASS = record({"name": {"type": "string", "maxLength": 255, "pattern": CUSTOM_NAME}}, "name")
RESOURCE_CLASS = body(NewName, {(1, 0): _CLASS})
_TRAITS = record(
    {
        "traits": {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": TEXT}},
        "resource_provider_generation": {"type": "integer"},
    },
    "traits",
    "resource_provider_generation",
)
PUT_TRAITS = body(WantedTraits, {(1, 0): _TRAITS})
LIST_TRAITS = query({(1, 0): record({"name": {"type": "string"}, "associated": {"type": "string"}})})

_OWNER = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": TEXT}
_TYPE = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": f"{NAME}|^all$|^unknown$"}
USAGES = query(
    {
        (1, 38): record({"project_id": _OWNER, "user_id": _OWNER, "consumer_type": _TYPE}, "project_id"),
        (1, 9): record({"project_id": _OWNER, "user_id": _OWNER}, "project_id"),
    }
)
