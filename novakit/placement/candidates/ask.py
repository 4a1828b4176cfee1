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
    """Of each set, one aggregate must be had."""
    not_member_of: frozenset[str] = attrs.field(default=frozenset(), converter=_set)
    in_tree: str | None = None
    """The id of any provider of the tree."""


@attrs.frozen(kw_only=True)
class Ask:
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
