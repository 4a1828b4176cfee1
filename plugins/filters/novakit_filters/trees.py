"""Hosts whose resources lie with several providers: each class, and each request group, must come from one of them."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from novakit_hookspecs.affinity import beside_devices
from novakit_hookspecs.columns import of_class
from novakit_hookspecs.scheduling import Ask, HostColumns, Reason
from novakit_hookspecs.trees import ProviderStock, Tree, assign

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
            known = {key: _fits(tree, amounts, ask) for key, tree in different.items()}
            mask[rows] = [known[id(tree)] for tree in trees]
        return mask

    @staticmethod
    def _alone(hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        """Say which hosts would do if all groups came from the host's own provider."""
        mask = np.full(hosts.size, not ask.isolate_groups or len(ask.groups) == 1)
        for group in ask.groups:
            for trait in group.required:
                mask &= hosts.has_trait(trait)
            for trait in group.forbidden:
                mask &= ~hosts.has_trait(trait)
        return mask

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        found: dict[tuple[str, str, str, float], int] = {}
        amounts = beside_devices(ask)
        for tree in hosts.column("tree"):
            told = _lacking(tree.providers if tree is not None else (), amounts, ask)
            found[told] = found.get(told, 0) + 1
        return [
            Reason(code=code, count=count, message=message, remedy=remedy, shortfall=shortfall)
            for (code, message, remedy, shortfall), count in found.items()
        ]


def _fits(tree: Tree | None, amounts: dict[str, int], ask: Ask) -> bool:
    return tree is not None and assign(tree.providers, amounts, ask.groups, isolate=ask.isolate_groups) is not None


def _lacking(tree: Sequence[ProviderStock], amounts: dict[str, int], ask: Ask) -> tuple[str, str, str, float]:
    """Give code, message, remedy and shortfall of the first thing that no provider has."""
    for name, amount in amounts.items():
        if tree and assign(tree, {name: amount}) is None:
            most = max(_most(tree, name), default=0)
            if most < amount:
                message = f"have no provider with enough {name} (wanted {amount}, at most {most} on one)"
                return "not_on_one_provider", message, f"{amount - most} more {name} on one provider", 1 - most / amount
            message = f"give {name} in other amounts (wanted {amount})"
            return "not_a_unit", message, f"an amount of {name} that the smallest unit and the step allow", 0.3
    for group in ask.groups:
        if tree and assign(tree, {}, [group]) is None:
            told = group.described()
            return "group_unsatisfied", f"have no provider for a group ({told})", f"a provider with {told} free", 0.7
    if ask.groups and not tree and len(ask.groups) == 1:
        told = ask.groups[0].described()
        return "group_unsatisfied", f"have no provider for a group ({told})", f"a provider with {told} free", 0.7
    told = "; ".join(group.described() for group in ask.groups)
    if ask.isolate_groups:
        message = f"have too few providers for the groups, each on its own ({told})"
        return "groups_not_apart", message, "group_policy none, or another provider for each group", 0.4
    return "groups_not_together", f"cannot satisfy all groups at once ({told})", "more of these free", 0.5


def _most(tree: Sequence[ProviderStock], name: str) -> Iterable[int]:
    return (max(min(units.free, units.max_unit), 0) for one in tree for kind, units in one.stock if kind == name)
