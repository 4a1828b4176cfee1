"""Bodies of the server group calls."""

from collections.abc import Mapping, Sequence

import attrs

from novakit.api.bodies import Body
from novakit.api.compute.schemas import types

_HARD = ["anti-affinity", "affinity"]
SOFT = ("soft-anti-affinity", "soft-affinity")
SOFT_SINCE = (2, 15)
"""The version from which groups may have soft policies."""
_ALL = [*_HARD, *SOFT]


def _old(policies: list[str]) -> types.Schema:
    one: types.Schema = {"type": "array", "items": {"enum": policies}, "minItems": 1, "maxItems": 1}
    return types.record({"name": types.name, "policies": one}, ["name", "policies"])


_new: types.Schema = {
    "name": types.name,
    "policy": {"type": "string", "enum": _ALL},
    "rules": types.record({"max_server_per_host": types.number(1)}),
}


@attrs.frozen(kw_only=True)
class NewServerGroup:
    """A server group that is to be made."""

    name: str
    policies: Sequence[str] = ()
    """Its one policy, as it is sent before 2.64."""
    policy: str | None = None
    """Its policy from 2.64 on."""
    rules: Mapping[str, int] = {}


create = Body(
    NewServerGroup,
    [
        ((2, 1), _old(_HARD)),
        (SOFT_SINCE, _old(_ALL)),
        ((2, 64), types.record(_new, ["name", "policy"])),
    ],
    under="server_group",
)
