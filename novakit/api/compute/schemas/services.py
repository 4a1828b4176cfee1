"""Bodies of the service calls."""

import attrs

from novakit.api.bodies import Body
from novakit.api.compute.schemas import types

_who: types.Schema = {"host": types.fqdn, "binary": {"type": "string", "minLength": 1, "maxLength": 255}}
_reason: types.Schema = {"type": "string", "format": "name", "minLength": 1, "maxLength": 255}


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


by_name = Body(NamedService, [((2, 1), types.record({**_who, "disabled_reason": _reason}, ["host", "binary"]))])
force_down = Body(
    ForceDown, [((2, 11), types.record({**_who, "forced_down": types.boolean}, ["host", "binary", "forced_down"]))]
)
update = Body(
    ServiceChange,
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
    ],
)
