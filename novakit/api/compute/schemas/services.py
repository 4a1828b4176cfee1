"""Bodies of the service calls."""

from novakit.api.bodies import Body
from novakit.api.compute.schemas import types

_who: types.Schema = {"host": types.fqdn, "binary": {"type": "string", "minLength": 1, "maxLength": 255}}
_reason: types.Schema = {"type": "string", "format": "name", "minLength": 1, "maxLength": 255}

by_name = Body([((2, 1), types.record({**_who, "disabled_reason": _reason}, ["host", "binary"]))])
force_down = Body(
    [((2, 11), types.record({**_who, "forced_down": types.boolean}, ["host", "binary", "forced_down"]))],
)
update = Body(
    [
        (
            (2, 53),
            types.record(
                {
                    "status": {"type": "string", "enum": ["enabled", "disabled"]},
                    "disabled_reason": _reason,
                    "forced_down": types.boolean,
                }
            ),
        )
    ]
)
