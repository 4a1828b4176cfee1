"""Bodies of the flavor calls."""

from typing import ClassVar

import attrs

from novakit.api.bodies import Body
from novakit.api.compute.schemas import types

_create: types.Definition = {
    "name": types.name,
    "id": {
        "anyOf": [
            {
                "type": "string",
                "minLength": 1,
                "maxLength": 255,
                "pattern": r"^(?! )[a-zA-Z0-9. _\-]+(?<! )\Z",
                "description": "a string of letters, digits, dots, underscores, hyphens, and spaces between them",
            },
            {"type": ["number", "null"]},
        ]
    },
    "ram": types.number(1),
    "vcpus": types.number(1),
    "disk": types.number(0),
    "OS-FLV-EXT-DATA:ephemeral": types.number(0),
    "swap": types.number(0),
    "rxtx_factor": {
        "anyOf": [
            {"type": "number", "exclusiveMinimum": 0, "maximum": 3.40282e38, "description": "a number above 0"},
            {
                "type": "string",
                "pattern": r"^(?=.*[1-9])[0-9]{1,9}(\.[0-9]{1,9})?\Z",
                "description": "a number above 0 as a string of digits, such as 1.0",
            },
        ]
    },
    "os-flavor-access:is_public": types.boolean,
}
_required = ["name", "ram", "vcpus", "disk"]
_description: types.Definition = {"type": ["string", "null"], "format": "printable", "maxLength": 65535}


@attrs.frozen(kw_only=True)
class NewFlavor:
    """A flavor that is to be made; sizes in MiB (`ram`, `swap`) and GiB (`disk`, `ephemeral`)."""

    SENT_AS: ClassVar = {"ephemeral": "OS-FLV-EXT-DATA:ephemeral", "is_public": "os-flavor-access:is_public"}

    name: str
    ram: int
    vcpus: int
    disk: int
    id: str | None = None
    """None for one that is to be given an id."""
    ephemeral: int = 0
    swap: int = 0
    rxtx_factor: float = 1.0
    is_public: bool = True
    description: str | None = None


@attrs.frozen(kw_only=True)
class FlavorChange:
    """What of a flavor can change."""

    description: str | None


@attrs.frozen(kw_only=True)
class TenantAccess:
    """The project that is to have access to a flavor, or not to have it any more."""

    tenant: str


create = Body(
    NewFlavor,
    [
        ((2, 1), types.record(_create, _required)),
        ((2, 55), types.record({**_create, "description": _description}, _required)),
    ],
    under="flavor",
)
update = Body(FlavorChange, [((2, 55), types.record({"description": _description}, ["description"]))], under="flavor")

_tenant = types.record({"tenant": types.identity_id}, ["tenant"])
add_tenant_access = Body(TenantAccess, [((2, 1), _tenant)], under="addTenantAccess")
remove_tenant_access = Body(TenantAccess, [((2, 1), _tenant)], under="removeTenantAccess")

_extra_specs: types.Definition = {
    "type": "object",
    "patternProperties": {
        r"^[a-zA-Z0-9\-_:. ]{1,255}\Z": {"type": ["string", "number"], "maxLength": 255, "format": "printable"}
    },
    "additionalProperties": False,
}
extra_specs = Body(dict[str, str], [((2, 1), _extra_specs)], under="extra_specs")
extra_spec = Body(dict[str, str], [((2, 1), {**_extra_specs, "minProperties": 1, "maxProperties": 1})])
