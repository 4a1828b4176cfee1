"""Hosts whose NUMA cells can hold the guest: its cells, pinned CPUs and pages."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from novakit_filters.standing import present, reason
from novakit_fit.numa_request import BadTopology, NumaRequest, requested_cells
from novakit_fit.numa_shortage import Shortage, shortage
from novakit_hookspecs.scheduling import Ask, HostColumns, Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _request(ask: Ask) -> NumaRequest | None:
    return requested_cells(ask.vcpus, ask.memory_mb, ask.extra_specs, ask.image.properties if ask.image else {})


class NumaTopology:
    """Keep hosts whose NUMA cells have the CPUs, memory and pages that flavor and image want of them."""

    def applies(self, ask: Ask) -> bool:
        try:
            return _request(ask) is not None
        except BadTopology:
            return True

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        try:
            wanted = _request(ask)
        except BadTopology:
            return np.zeros(hosts.size, np.bool_)
        if wanted is None:
            return np.ones(hosts.size, np.bool_)
        rooms = [None if host is None else host.room for host in hosts.column("numa")]
        different = {id(room): room for room in rooms}
        known = {key: room is not None and room.fits(wanted) for key, room in different.items()}
        return np.fromiter((known[id(room)] for room in rooms), np.bool_, hosts.size)

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        everyone = np.ones(hosts.size, np.bool_)
        try:
            wanted = _request(ask)
        except BadTopology as error:
            text = f"not looked at, because the topology that was asked for cannot exist: {error}"
            return present(reason("numa_impossible", everyone, text, remedy="another flavor or image"))
        silent = np.fromiter((host is None for host in hosts.column("numa")), np.bool_, hosts.size)
        short: dict[tuple[str, str], list[Shortage]] = {}
        for host in hosts.column("numa"):
            if host is not None and wanted is not None and (lack := shortage(host.room, wanted)) is not None:
                short.setdefault((lack.kind, lack.noun), []).append(lack)
        unknown = reason("numa_unknown", silent, "report no NUMA cells", remedy="an agent that reports its topology")
        return [*present(unknown), *(_short(some) for some in short.values())]


def _short(some: Sequence[Shortage]) -> Reason:
    """Make the reason of hosts that run short of the same thing."""
    one, best = some[0], max(each.available for each in some)
    if one.kind == "together":
        return Reason(
            code="numa_not_together",
            count=len(some),
            message="have the CPUs, memory and pages that are wanted, but not together on as many NUMA cells",
            wanted=one.wanted,
            remedy="CPUs, memory and pages free on the same cells",
            shortfall=0.3,
        )
    return Reason(
        code=f"numa_{one.kind}",
        count=len(some),
        message=f"lack {one.noun} (wanted {one.wanted}{one.unit}, at most {best} free)",
        wanted=one.wanted,
        available=best,
        remedy=f"{max(one.wanted - best, 0)}{one.unit} more {one.noun}" if best < one.wanted else f"whole {one.noun}",
        shortfall=max(one.wanted - best, 0) / one.wanted if best < one.wanted else 0.2,
    )
