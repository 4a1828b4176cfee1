"""Bodies and queries of the calls on traits, resource classes and usages."""

from novakit.api.placement.schemas import CUSTOM_NAME, NAME, TEXT, Schema, record

CUSTOM = Schema({"type": "string", "minLength": 1, "maxLength": 255, "pattern": CUSTOM_NAME})
RESOURCE_CLASS = Schema(record({"name": {"type": "string", "maxLength": 255, "pattern": CUSTOM_NAME}}, "name"))
PUT_TRAITS = Schema(
    record(
        {
            "traits": {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": TEXT}},
            "resource_provider_generation": {"type": "integer"},
        },
        "traits",
        "resource_provider_generation",
    )
)
LIST_TRAITS = Schema(record({"name": {"type": "string"}, "associated": {"type": "string"}}))

_OWNER = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": TEXT}
_TYPE = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": f"{NAME}|^all$|^unknown$"}
USAGES = {
    (1, 38): Schema(record({"project_id": _OWNER, "user_id": _OWNER, "consumer_type": _TYPE}, "project_id")),
    (1, 9): Schema(record({"project_id": _OWNER, "user_id": _OWNER}, "project_id")),
}
