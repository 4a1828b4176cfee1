"""Bodies of what is done to a server."""

from novakit.api.compute.schemas import types
from novakit.api.compute.validation import Body

_anything: types.Schema = {}


def _alone(name: str) -> Body:
    return Body([((2, 1), types.wrapped(name, _anything))])


start = _alone("os-start")
stop = _alone("os-stop")
unlock = _alone("unlock")
force_delete = _alone("forceDelete")
shelve = _alone("shelve")
shelve_offload = _alone("shelveOffload")

_to_zone = types.record({"availability_zone": types.az_name}, ["availability_zone"])
_to_place = types.record({"availability_zone": {"anyOf": [types.az_name, {"type": "null"}]}, "host": types.fqdn})
unshelve = Body(
    [
        ((2, 1), types.wrapped("unshelve", _anything)),
        ((2, 77), types.wrapped("unshelve", {"anyOf": [{"type": "null"}, _to_zone]})),
        ((2, 91), types.wrapped("unshelve", {"anyOf": [{"type": "null"}, _to_place]})),
    ]
)
"""Since 2.91 a zone of null lets the server go anywhere from then on."""

_kinds = ["HARD", "Hard", "hard", "SOFT", "Soft", "soft"]
reboot = Body([((2, 1), types.wrapped("reboot", types.record({"type": {"type": "string", "enum": _kinds}}, ["type"])))])

_reason = types.record({"locked_reason": {"type": "string", "minLength": 1, "maxLength": 255}})
lock = Body(
    [
        ((2, 1), types.wrapped("lock", _anything)),
        ((2, 73), types.wrapped("lock", {"anyOf": [{"type": "null"}, _reason]})),
    ]
)

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
