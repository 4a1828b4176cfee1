"""Bodies of what is asked of a server and is no verb."""

from novakit.api.bodies import Body
from novakit.api.compute.schemas import types

_length: types.Schema = {
    "anyOf": [
        {"type": "integer", "minimum": -1},
        {"type": "string", "pattern": r"^(-1|[0-9]{1,9})\Z"},
        {"type": "null"},
    ]
}
console_output = Body([((2, 1), types.wrapped("os-getConsoleOutput", types.record({"length": _length})))])

_named = types.record({"name": types.name}, ["name"])
add_security_group = Body([((2, 1), types.wrapped("addSecurityGroup", _named))])
remove_security_group = Body([((2, 1), types.wrapped("removeSecurityGroup", _named))])
