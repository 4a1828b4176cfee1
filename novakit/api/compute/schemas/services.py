"""Bodies of the service calls."""

import attrs

from novakit.api.bodies import Body
from novakit.api.compute.schemas import types

_who: types.Definition = {"host": types.fqdn, "binary": {"type": "string", "minLength": 1, "maxLength": 255}}
_reason: types.Definition = {"type": "string", "format": "name", "minLength": 1, "maxLength": 255}


@attrs.frozen(kw_only=True)
class NamedService:
    """A service by its host and kind, and why it is disabled."""

    host: str
    binary: str
    disabled_reason: str | None = None


@attrs.frozen(kw_only=True)
class ForceDown:
    """A service that is to count as down, or not any more."""

    host: str
    binary: str
    forced_down: bool


@attrs.frozen(kw_only=True)
class ServiceChange:
    """What of a service is to change; None leaves it as it is."""

    status: str | None = None
    disabled_reason: str | None = None
    forced_down: bool | None = None


_named = types.record({**_who, "disabled_reason": _reason}, ["host", "binary"])
by_name = Body(NamedService, [((2, 1), _named)])
with_reason = Body(
    NamedService,
    [((2, 1), {**_named, "allOf": [{"required": ["disabled_reason"], "says": "Missing disabled reason field"}]})],
)
force_down = Body(
    ForceDown, [((2, 11), types.record({**_who, "forced_down": types.boolean}, ["host", "binary", "forced_down"]))]
)
_change: types.Definition = {
    "status": {"type": "string", "enum": ["enabled", "disabled"]},
    "disabled_reason": _reason,
    "forced_down": types.boolean,
}
_disabled: types.Definition = {
    "allOf": [{"required": ["status"], "says": "Specifying 'disabled_reason' needs status 'disabled'."}],
    "properties": {
        "status": {"const": "disabled", "says": "Specifying 'disabled_reason' when status is 'enabled' is invalid."}
    },
}
update = Body(
    ServiceChange,
    [
        (
            (2, 53),
            {
                **types.record(_change),
                "minProperties": 1,
                "if": {"required": ["disabled_reason"]},
                "then": _disabled,
                "says": {
                    "minProperties": "No updates were requested. Fields 'status' or 'forced_down' should be specified."
                },
            },
        )
    ],
)
