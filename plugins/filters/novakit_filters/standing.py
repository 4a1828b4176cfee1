"""Hosts that take servers at all, and those that a request names or rules out."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from novakit_filters.demands import Demand, unmet
from novakit_hookspecs.scheduling import Ask, HostColumns, Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray


def reason(code: str, mask: "NDArray[np.bool_]", message: str, *, remedy: str = "", shortfall: float = 1.0) -> Reason:
    """Make a reason for the hosts of a mask."""
    return Reason(code=code, count=int(mask.sum()), message=message, remedy=remedy, shortfall=shortfall)


def present(*reasons: Reason) -> Sequence[Reason]:
    """Leave out the reasons that hold for no host."""
    return [one for one in reasons if one.count]


_TOLD = 3
"""Different texts of operators that one reason repeats."""


class ComputeService:
    """Keep hosts that are up and enabled."""

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        up: NDArray[np.bool_] = hosts.column("up") & hosts.column("enabled")
        return up

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        disabled, down = ~hosts.column("enabled"), ~hosts.column("up")
        reports = "its agent reporting again, or forced_down taken back"
        remedy = "the host enabled again" if disabled.sum() == 1 else "one of the hosts enabled again"
        words = hosts.vocabulary("disabled_reason")
        texts = [words[code] for code in np.unique(hosts.codes("disabled_reason")[disabled]) if words[code]]
        if texts:
            more = f"; and {len(texts) - _TOLD} other reasons" if len(texts) > _TOLD else ""
            remedy += f" (disabled because: {'; '.join(texts[:_TOLD])}{more})"
        both = bool(disabled.any() and down[disabled].all())
        return present(
            reason(
                "disabled",
                disabled,
                "disabled",
                remedy=f"{remedy} and {reports}" if both else remedy,
                shortfall=1.0 if both else 0.5,
            ),
            reason("down", ~disabled, "down", remedy=reports, shortfall=0.5),
        )


class RequestedHost:
    """Keep the one host that the request names, and none that it was told to avoid."""

    def applies(self, ask: Ask) -> bool:
        return bool(ask.host or ask.node or ask.excluded_hosts)

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        if not ask.host and not ask.node:
            mask = np.ones(hosts.size, np.bool_)
        else:
            mask = np.zeros(hosts.size, np.bool_)
            mask[self._named(hosts, ask)] = True
        if not ask.force:
            mask[hosts.rows(ask.excluded_hosts)] = False
        return mask

    @staticmethod
    def _named(hosts: HostColumns, ask: Ask) -> "NDArray[np.intp]":
        if ask.host:
            named = hosts.rows([ask.host])
            return named[hosts.column("node")[named] == ask.node] if ask.node else named
        rows: NDArray[np.intp] = np.flatnonzero(hosts.column("node") == ask.node)
        return rows

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        tried = np.zeros(hosts.size, np.bool_)
        tried[hosts.rows(ask.excluded_hosts)] = True
        return present(
            reason(
                "tried_already",
                tried,
                "were tried already, or are the host that the server must leave",
                remedy="none: the host was tried already",
            ),
            reason("not_the_requested_host", ~tried, "not the requested host", remedy="a request without a host"),
        )


class Traits:
    """Keep hosts that have every required trait and no forbidden one, anywhere in their tree.

    Whoever forces a host passes over what operators want of hosts, and not over what the host cannot do.
    """

    def applies(self, ask: Ask) -> bool:
        return bool(_required(ask) or _forbidden(ask))

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        mask = np.ones(hosts.size, np.bool_)
        for trait in _required(ask):
            mask &= hosts.has_trait(trait)
        for trait in _forbidden(ask):
            mask &= ~hosts.has_trait(trait)
        return mask

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        required = [
            Demand("trait_missing", _lacks(trait, ask), f"the trait {trait}", hosts.has_trait(trait))
            for trait in sorted(_required(ask))
        ]
        forbidden = [
            Demand("trait_forbidden", f"have the forbidden trait {trait}", f"no trait {trait}", ~hosts.has_trait(trait))
            for trait in sorted(_forbidden(ask))
        ]
        return unmet([*required, *forbidden])


def _required(ask: Ask) -> Collection[str]:
    return ask.implied.keys() if ask.force else ask.required_traits


def _forbidden(ask: Ask) -> Collection[str]:
    return () if ask.force else ask.forbidden_traits


def _lacks(trait: str, ask: Ask) -> str:
    words = ask.implied.get(trait)
    return f"cannot run the server ({words}): they lack the trait {trait}" if words else f"lack the trait {trait}"
