"""Query of GET /allocation_candidates."""

from novakit.api.placement.schemas import GROUP, GROUP_1_33, query

_TEXT = {"type": "string"}


def _list(version: tuple[int, int]) -> dict[str, object]:
    properties: dict[str, object] = {}
    patterns: dict[str, object] = {}
    if version >= (1, 16):
        properties["limit"] = {"type": "string", "pattern": "^[1-9][0-9]{0,8}$"}
    if version >= (1, 35):
        properties["root_required"] = _TEXT
    if version >= (1, 36):
        properties["same_subtree"] = _TEXT
    names = [
        name
        for name, since in {"resources": (1, 10), "required": (1, 17), "member_of": (1, 21), "in_tree": (1, 31)}.items()
        if version >= since
    ]
    if version >= (1, 25):
        properties["group_policy"] = {"type": "string", "enum": ["none", "isolate"]}
        suffix = GROUP_1_33 if version >= (1, 33) else GROUP
        patterns = {f"^{name}({suffix})?$": _TEXT for name in names}
    else:
        properties |= dict.fromkeys(names, _TEXT)
    return {
        "type": "object",
        "properties": properties,
        "patternProperties": patterns,
        "required": [] if patterns else ["resources"],
        "additionalProperties": False,
    }


LIST = query(
    {
        version: _list(version)
        for version in ((1, 10), (1, 16), (1, 17), (1, 21), (1, 25), (1, 31), (1, 33), (1, 35), (1, 36))
    }
)
