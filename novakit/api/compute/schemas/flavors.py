"""Bodies of the flavor calls."""

from novakit.api.bodies import Body
from novakit.api.compute.schemas import types

_create: types.Schema = {
    "name": types.name,
    "id": {
        "anyOf": [
            {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^(?! )[a-zA-Z0-9. _\-]+(?<! )\Z"},
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
            {"type": "number", "exclusiveMinimum": 0, "maximum": 3.40282e38},
            {"type": "string", "pattern": r"^(?=.*[1-9])[0-9]{1,9}(\.[0-9]{1,9})?\Z"},
        ]
    },
    "os-flavor-access:is_public": types.boolean,
}
_required = ["name", "ram", "vcpus", "disk"]
_description: types.Schema = {"type": ["string", "null"], "format": "printable", "maxLength": 65535}

create = Body(
    [
        ((2, 1), types.wrapped("flavor", types.record(_create, _required))),
        ((2, 55), types.wrapped("flavor", types.record({**_create, "description": _description}, _required))),
    ]
)
update = Body([((2, 55), types.wrapped("flavor", types.record({"description": _description}, ["description"])))])

add_tenant_access = Body(
    [((2, 1), types.wrapped("addTenantAccess", types.record({"tenant": types.identity_id}, ["tenant"])))]
)
remove_tenant_access = Body(
    [((2, 1), types.wrapped("removeTenantAccess", types.record({"tenant": types.identity_id}, ["tenant"])))]
)

_extra_specs: types.Schema = {
    "type": "object",
    "patternProperties": {
        r"^[a-zA-Z0-9\-_:. ]{1,255}\Z": {"type": ["string", "number"], "maxLength": 255, "format": "printable"}
    },
    "additionalProperties": False,
}
extra_specs = Body([((2, 1), types.wrapped("extra_specs", _extra_specs))])
extra_spec = Body([((2, 1), {**_extra_specs, "minProperties": 1, "maxProperties": 1})])
