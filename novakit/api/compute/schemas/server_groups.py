"""Bodies of the server group calls."""

from collections.abc import Mapping, Sequence

import attrs

from novakit import errors
from novakit.api.bodies import Body, SchemaFault, words
from novakit.api.compute.schemas import types
from novakit.api.service import text

_HARD = ["anti-affinity", "affinity"]
SOFT = ("soft-anti-affinity", "soft-affinity")
SOFT_SINCE = (2, 15)
"""The version from which groups may have soft policies."""
_ALL = [*_HARD, *SOFT]


def _old(policies: list[str]) -> types.Definition:
    one: types.Definition = {"type": "array", "items": {"enum": policies}, "minItems": 1, "maxItems": 1}
    return types.record({"name": types.name, "policies": one}, ["name", "policies"])


_new: types.Definition = {
    "name": types.name,
    "policy": {"type": "string", "enum": _ALL},
    "rules": types.record({"max_server_per_host": types.number(1)}),
}
_HAS_RULES: types.Definition = {"required": ["rules"], "properties": {"rules": {"minProperties": 1}}}
_ANTI_AFFINITY: types.Definition = {
    "properties": {"policy": {"const": "anti-affinity", "says": "Only anti-affinity policy supports rules."}}
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


def _words(fault: SchemaFault) -> errors.BadRequest:
    """Return what is wrong, and which microversion takes a body that is right in another one."""
    known, sent = fault.definition.get("properties", {}), fault.value if isinstance(fault.value, dict) else {}
    if "policy" in known and "policies" in sent:
        return errors.BadRequest("'policies' is for microversions before 2.64; later ones take 'policy', a string.")
    later = [f"'{name}'" for name in ("policy", "rules") if name in sent]
    if "policies" in known and later:
        named = f"{' and '.join(later)} {'needs' if len(later) == 1 else 'need'}"
        return errors.BadRequest(f"{named} microversion 2.64 or later; earlier ones take 'policies', a list of one.")
    if fault.rule == "enum" and fault.value in SOFT:
        return errors.BadRequest(f"Soft policies need microversion {text(SOFT_SINCE)} or later.")
    return words(fault)


create = Body(
    NewServerGroup,
    [
        ((2, 1), _old(_HARD)),
        (SOFT_SINCE, _old(_ALL)),
        ((2, 64), {**types.record(_new, ["name", "policy"]), "if": _HAS_RULES, "then": _ANTI_AFFINITY}),
    ],
    under="server_group",
    words=_words,
)
