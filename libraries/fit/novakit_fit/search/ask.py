"""What a request for allocation candidates asks for."""

from collections.abc import Iterable, Mapping

import attrs


def _set(value: Iterable[str]) -> frozenset[str]:
    return frozenset(value)


def _sets(value: Iterable[Iterable[str]]) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(one) for one in value)


def _groups(value: "Iterable[Group]") -> "tuple[Group, ...]":
    return tuple(value)


@attrs.frozen(kw_only=True)
class Group:
    """Resources, traits and aggregates that belong together.

    The group without a suffix may be spread over the providers of a tree and those that share with it; every other
    one is for a single provider.
    """

    suffix: str = ""
    resources: Mapping[str, int] = attrs.field(factory=dict)
    required: tuple[frozenset[str], ...] = attrs.field(default=(), converter=_sets)
    """Of each set, one trait must be there."""
    forbidden: frozenset[str] = attrs.field(default=frozenset(), converter=_set)
    member_of: tuple[frozenset[str], ...] = attrs.field(default=(), converter=_sets)
    """Of each set, the provider must be in one aggregate."""
    not_member_of: frozenset[str] = attrs.field(default=frozenset(), converter=_set)
    in_tree: str | None = None
    """The id of any provider of the tree."""


@attrs.frozen
class Part:
    """What one provider has to give: all of a group with a suffix, or one class of the group without."""

    group: Group
    resources: tuple[tuple[str, int], ...]


Candidate = tuple[str, ...]
"""One way to satisfy a request: the id of the provider that gives each part, in the order of the parts."""


@attrs.frozen(kw_only=True)
class CandidateRequest:
    """A whole request."""

    groups: tuple[Group, ...] = attrs.field(converter=_groups)
    isolate: bool = False
    """Whether the groups with a suffix must be on different providers."""
    root_required: frozenset[str] = attrs.field(default=frozenset(), converter=_set)
    root_forbidden: frozenset[str] = attrs.field(default=frozenset(), converter=_set)
    same_subtrees: tuple[frozenset[str], ...] = attrs.field(default=(), converter=_sets)
    """Suffixes of groups of which one's provider must stand above (or be) those of the others."""
    limit: int | None = None
    nested: bool = True
    """False allows one provider of each tree only, as clients before version 1.29 expect."""
    parts: tuple[Part, ...] = attrs.field(init=False)

    @parts.default
    def _parts(self) -> tuple[Part, ...]:
        return tuple(part for group in self.groups for part in _parts_of(group))

    def allocations(self, candidate: Candidate) -> dict[str, dict[str, int]]:
        """Return the amounts of a candidate by provider and class."""
        given: dict[str, dict[str, int]] = {}
        for part, id in zip(self.parts, candidate, strict=True):
            for name, amount in part.resources:
                amounts = given.setdefault(id, {})
                amounts[name] = amounts.get(name, 0) + amount
        return given

    def mappings(self, candidate: Candidate) -> dict[str, list[str]]:
        """Return the providers of each group, by its suffix."""
        given: dict[str, dict[str, None]] = {}
        for part, id in zip(self.parts, candidate, strict=True):
            given.setdefault(part.group.suffix, {})[id] = None
        return {suffix: list(ids) for suffix, ids in given.items()}


def _parts_of(group: Group) -> list[Part]:
    if group.suffix:
        return [Part(group, tuple(group.resources.items()))]
    return [Part(group, (item,)) for item in group.resources.items()]
