"""What flavors and images want of resource providers: `resources:VGPU=1`, `trait:CUSTOM_FAST=required`, and groups.

A group is what comes from one provider, as `resources1:VGPU=1` says.
"""

import re
from collections.abc import Mapping

from novakit.resource_classes import canonical
from novakit_hookspecs.trees import RequestGroup

POLICY = "group_policy"
PROFILE = "_profile"
"""How the suffixes of groups begin that a device profile makes."""
MOST = 64
"""Groups of one flavor, which has a handful; the search over them is bounded apart from this."""
_NAME = re.compile(r"(resources|trait)([a-zA-Z0-9_-]{0,64}):([A-Z][A-Z0-9_]{0,254})")
_LIKE = re.compile(r"(resources|trait)[^:]*:.*", re.DOTALL)


def groups_of(specs: Mapping[str, str]) -> tuple[RequestGroup, ...]:
    """Read the groups in the order of their suffixes. Raises ValueError for what cannot be.

    A class with the amount 0 counts as left out.
    """
    resources: dict[str, dict[str, int]] = {}
    traits: dict[str, dict[str, set[str]]] = {}
    for name, value in specs.items():
        if (read := _read(name, value)) is None or not read[1]:
            continue
        kind, suffix, what = read
        if kind == "resources":
            if what == "PCPU":
                raise ValueError(f"{name} asks for CPUs that no guest would get; set hw:cpu_policy=dedicated instead")
            resources.setdefault(suffix, {})[canonical(what)] = int(value)
        else:
            traits.setdefault(suffix, {"required": set(), "forbidden": set()})[value].add(what)
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


def _read(name: str, value: str) -> tuple[str, str, str] | None:
    """Return kind, suffix and class or trait of an extra spec, None for one that speaks of something else."""
    if not _LIKE.fullmatch(name):
        return None
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{name[:80]!r} names no resource class or trait, as resources:VGPU and trait1:CUSTOM_FAST do")
    kind, suffix, what = match.groups()
    if kind == "resources" and (not (value.isascii() and value.isdecimal()) or len(value) > 10):
        raise ValueError(f"{name} is {value[:40]!r}; it takes a number, 0 or more")
    if kind == "trait" and value not in ("required", "forbidden"):
        raise ValueError(f"{name} is {value[:40]!r}; it takes required or forbidden")
    return kind, suffix, what


def check(specs: Mapping[str, str], properties: Mapping[str, str]) -> None:
    """Raise `ValueError` for what no provider could be asked for, in extra specs or image properties."""
    groups_of(specs)
    isolated(specs)
    for said in (specs, {name: value for name, value in properties.items() if name.startswith("trait:")}):
        for name, value in said.items():
            _read(name, value)


def isolated(specs: Mapping[str, str]) -> bool:
    """Return whether each group must come from a provider of its own. Raises ValueError for no such policy."""
    policy = specs.get(POLICY, "none")
    if policy not in ("none", "isolate"):
        raise ValueError(f"{POLICY} is {policy[:40]!r}; it takes none or isolate")
    return policy == "isolate"
