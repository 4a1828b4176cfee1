"""Bodies of the aggregate calls."""

from novakit.api.bodies import Body
from novakit.api.compute.schemas import types

_zone: types.Schema = {"anyOf": [types.az_name, {"type": "null"}]}
_fields: types.Schema = {"name": types.name, "availability_zone": _zone}
_host = types.record({"host": types.fqdn}, ["host"])
_metadata: types.Schema = {
    "type": "object",
    "properties": {"availability_zone": _zone},
    "patternProperties": {types.METADATA_KEY: {"type": ["string", "null"], "maxLength": 255}},
    "additionalProperties": False,
}

create = Body([((2, 1), types.wrapped("aggregate", types.record(_fields, ["name"])))])
update = Body([((2, 1), types.wrapped("aggregate", {**types.record(_fields), "minProperties": 1}))])
add_host = Body([((2, 1), types.wrapped("add_host", _host))])
remove_host = Body([((2, 1), types.wrapped("remove_host", _host))])
set_metadata = Body([((2, 1), types.wrapped("set_metadata", types.record({"metadata": _metadata}, ["metadata"])))])
