"""Request groups: what a flavor wants of one resource provider at a time, as `resources1:VGPU=1` says."""

import re
from collections.abc import Mapping

from novakit.resource_classes import canonical
from novakit_hookspecs.trees import RequestGroup

POLICY = "group_policy"
PROFILE = "_profile"
"""How the suffixes of groups begin that a device profile makes."""
MOST = 64
"""Groups of one flavor."""
_NAME = re.compile(r"(resources|trait)([a-zA-Z0-9_-]{1,64}):([A-Z][A-Z0-9_]{0,254})")
_LIKE = re.compile(r"(resources|trait)[^:]+:.*", re.DOTALL)


def groups_of(specs: Mapping[str, str]) -> tuple[RequestGroup, ...]:
    """Read the groups in the order of their suffixes; raise `ValueError` for what cannot be.

    A class with the amount 0 counts as left out.
    """
    resources: dict[str, dict[str, int]] = {}
    traits: dict[str, dict[str, set[str]]] = {}
    for name, value in specs.items():
        if not _LIKE.fullmatch(name):
            continue
        match = _NAME.fullmatch(name)
        if match is None:
            raise ValueError(f"{name[:80]!r} names no resource class or trait of a group, as resources1:VGPU does")
        kind, suffix, what = match.groups()
        if kind == "resources":
            if not value.isdecimal() or len(value) > 10:
                raise ValueError(f"{name} is {value[:40]!r}; it takes a number, 0 or more")
            resources.setdefault(suffix, {})[canonical(what)] = int(value)
        elif value in ("required", "forbidden"):
            traits.setdefault(suffix, {"required": set(), "forbidden": set()})[value].add(what)
        else:
            raise ValueError(f"{name} is {value[:40]!r}; it takes required or forbidden")
    found = []
    for suffix in sorted(resources.keys() | traits.keys()):
        amounts = {name: amount for name, amount in resources.get(suffix, {}).items() if amount}
        if not amounts:
            if suffix in traits:
                raise ValueError(f"the group {suffix} has traits and no resources; say resources{suffix}:CLASS")
            continue
        found.append(RequestGroup(suffix=suffix, resources=amounts, **traits.get(suffix, {})))
    if len(found) > MOST:
        raise ValueError(f"{len(found)} groups are asked for; {MOST} is the most")
    return tuple(found)


def isolated(specs: Mapping[str, str]) -> bool:
    """Say whether each group must come from a provider of its own; raise `ValueError` for no such policy."""
    policy = specs.get(POLICY, "none")
    if policy not in ("none", "isolate"):
        raise ValueError(f"{POLICY} is {policy[:40]!r}; it takes none or isolate")
    return policy == "isolate"
