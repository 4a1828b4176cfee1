"""Hosts whose resources lie with several providers: each class, and each request group, must come from one of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs
import numpy as np

from novakit_fit.device_request import beside_devices
from novakit_fit.trees import Wanted, assign
from novakit_hookspecs.columns import of_class
from novakit_hookspecs.scheduling import Ask, HostColumns, Reason
from novakit_hookspecs.trees import ProviderStock, Tree

if TYPE_CHECKING:
    from numpy.typing import NDArray


READS = frozenset({"nested", "tree", "spread_memory_mb", "spread_vcpus", "spread_disk_gb", "spread_resource_*"})


class ProviderTree:
    """Keep hosts on which one provider has enough of each class, and one has all of each group (`resources1:VGPU`)."""

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        mask, amounts = np.ones(hosts.size, np.bool_), beside_devices(ask)
        asked = np.zeros(hosts.size, np.bool_)
        for name in amounts:
            asked |= hosts.column(of_class("spread", name))
        if ask.groups:
            mask &= self._alone(hosts, ask)
            asked |= hosts.column("nested")
        rows = np.flatnonzero(asked)
        if len(rows):
            trees = hosts.column("tree")[rows].tolist()
            different = {id(tree): tree for tree in trees}
            wanted = Wanted.of(amounts, ask.groups, isolate=ask.isolate_groups)
            known = {key: _fits(tree, wanted, amounts, ask) for key, tree in different.items()}
            mask[rows] = [known[id(tree)] for tree in trees]
        return mask

    @staticmethod
    def _alone(hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        """Return which hosts would do if all groups came from the host's own provider."""
        mask = np.full(hosts.size, not ask.isolate_groups or len(ask.groups) == 1)
        for group in ask.groups:
            for trait in group.required:
                mask &= hosts.has_trait(trait)
            for trait in group.forbidden:
                mask &= ~hosts.has_trait(trait)
        return mask

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        found: dict[tuple[str, str], list[_Lack]] = {}
        amounts = beside_devices(ask)
        wanted = Wanted.of(amounts, ask.groups, isolate=ask.isolate_groups)
        known: dict[int, _Lack] = {}
        for tree in hosts.column("tree"):
            # Many hosts have the same tree, and a search that is given up takes a second.
            lack = known.get(id(tree))
            if lack is None:
                lack = known[id(tree)] = _lacking(tree.providers if tree is not None else (), amounts, ask, wanted)
            found.setdefault((lack.code, lack.what), []).append(lack)
        return [_reason(some) for some in found.values()]


def _fits(tree: Tree | None, wanted: Wanted, amounts: Mapping[str, int], ask: Ask) -> bool:
    """Return whether a tree will do; one that has too little altogether is the business of the filters of amounts."""
    if tree is None:
        return False
    if _is_short(tree, amounts, ask):
        return True
    return wanted.assigned(tree.providers) is not None


def _is_short(tree: Tree, amounts: Mapping[str, int], ask: Ask) -> bool:
    wanted = Counter(amounts)
    for group in ask.groups:
        wanted.update(group.resources)
    free: Counter[str] = Counter()
    for one in tree.providers:
        free.update({name: units.free for name, units in one.stock})
    return any(free[name] < amount for name, amount in wanted.items() if name in free)


@attrs.frozen
class _Lack:
    """What one host has not."""

    code: str
    what: str
    wanted: int = 0
    available: int = 0
    """The most that one provider has; with `wanted` 0 neither is told."""


def _lacking(tree: Sequence[ProviderStock], amounts: Mapping[str, int], ask: Ask, wanted: Wanted) -> _Lack:
    """Return the first thing that no provider of a host has; without a tree the host has one provider."""
    for name, amount in amounts.items():
        if tree and assign(tree, {name: amount}) is None:
            return _lack_of(tree, name, amount)
    for group in ask.groups:
        if (tree and assign(tree, {}, [group]) is None) or (not tree and len(ask.groups) == 1):
            suiting = [one for one in tree if group.suits(one)]
            short = [_lack_of(suiting, name, amount) for name, amount in group.resources.items()]
            worst = max(short, key=lambda lack: lack.wanted - lack.available)
            code = "group_unsatisfied" if worst.code == "not_on_one_provider" else f"group_{worst.code}"
            return _Lack(code, group.described(), worst.wanted, min(worst.available, worst.wanted))
    told = "; ".join(group.described() for group in ask.groups)
    if tree and wanted.is_given_up(tree):
        return _Lack("search_given_up", told)
    return _Lack("groups_not_apart" if ask.isolate_groups else "groups_not_together", told, len(ask.groups))


def _lack_of(tree: Sequence[ProviderStock], name: str, amount: int) -> _Lack:
    """Return what keeps the provider with the most of a class from giving an amount of it."""
    there = [units for one in tree for kind, units in one.stock if kind == name]
    free = max((units.free for units in there), default=0)
    if free < amount:
        return _Lack("not_on_one_provider", name, amount, free)
    largest = max(units.max_unit for units in there if units.free >= amount)
    return _Lack("above_the_largest_unit" if largest < amount else "not_a_unit", name, amount, min(largest, free))


def _reason(some: Sequence[_Lack]) -> Reason:
    """Make the reason of hosts that lack the same."""
    one, best = some[0], max(each.available for each in some)
    message, remedy = {
        "not_on_one_provider": (
            f"have no provider with enough {one.what} (wanted {one.wanted}, at most {best} on one)",
            f"{one.wanted - best} more {one.what} on one provider",
        ),
        "above_the_largest_unit": (
            f"give one server less {one.what} (wanted {one.wanted}, at most {best})",
            f"a max_unit of {one.wanted} {one.what} instead of {best}",
        ),
        "not_a_unit": (
            f"give {one.what} in other amounts (wanted {one.wanted})",
            f"a min_unit and a step_size of {one.what} that allow {one.wanted}",
        ),
        "group_unsatisfied": (f"have no provider for a group ({one.what})", f"a provider with {one.what} free"),
        "group_above_the_largest_unit": (
            f"have no provider that gives one server that much for a group ({one.what})",
            f"a max_unit of {one.wanted} instead of {best} where the group's resources are",
        ),
        "group_not_a_unit": (
            f"have no provider for a group ({one.what})",
            f"one provider that has all of {one.what}, in units that allow it",
        ),
        "groups_not_apart": (
            f"have too few providers for the groups, each on its own ({one.what})",
            "group_policy none, or another provider for each group",
        ),
        "search_given_up": (
            f"may or may not satisfy all groups at once: the search took too long and was given up ({one.what})",
            "fewer groups, or groups that are more alike",
        ),
        "groups_not_together": (f"cannot satisfy all groups at once ({one.what})", "more of these free"),
    }[one.code]
    return Reason(
        code=one.code,
        count=len(some),
        message=message,
        wanted=one.wanted,
        available=best,
        remedy=remedy,
        shortfall=(max(one.wanted - best, 0) / one.wanted if one.wanted else 0) or 0.3,
    )
