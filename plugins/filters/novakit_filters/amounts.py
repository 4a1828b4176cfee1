"""Enough of everything: memory, virtual CPUs, disk and any other resource class."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from novakit_hookspecs.scheduling import Ask, HostColumns, Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray


@attrs.frozen
class Amount:
    """Keep hosts on which so much of one resource can still be claimed."""

    fact: str
    """memory_mb, vcpus or disk_gb."""
    resource_class: str
    noun: str
    unit: str
    ratio_key: str
    """Aggregate metadata that lowers the allocation ratio of its hosts; it cannot raise it above the inventory's."""

    @property
    def reads(self) -> frozenset[str]:
        """Name the facts it reads."""
        return frozenset(f"{part}_{self.fact}" for part in ("free", "max_unit", "total", "reserved", "used"))

    def wanted(self, ask: Ask) -> int:
        """Return how much the request takes."""
        if ask.resources:
            return ask.resources.get(self.resource_class, 0)
        return int(getattr(ask, self.fact))

    def applies(self, ask: Ask) -> bool:
        return self.wanted(ask) > 0

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        wanted = self.wanted(ask)
        if wanted <= 0:
            return np.ones(hosts.size, np.bool_)
        mask: NDArray[np.bool_] = self._free(hosts) >= wanted
        mask &= hosts.column(f"max_unit_{self.fact}") >= wanted
        return mask

    def _free(self, hosts: HostColumns) -> "NDArray[np.float64]":
        """Return what is free, less where an aggregate allows less overcommitment than the inventory."""
        free: NDArray[np.float64] = hosts.column(f"free_{self.fact}")
        ratios = [(one.id, _ratio(one.metadata.get(self.ratio_key))) for one in hosts.tagged(self.ratio_key)]
        for aggregate, ratio in ratios:
            if ratio is not None:
                physical = hosts.column(f"total_{self.fact}") - hosts.column(f"reserved_{self.fact}")
                allowed = np.floor(physical * ratio) - hosts.column(f"used_{self.fact}")
                free = np.where(hosts.in_aggregate(aggregate), np.minimum(free, allowed), free)
        return free

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        wanted = self.wanted(ask)
        free, largest = np.floor(self._free(hosts)), hosts.column(f"max_unit_{self.fact}")
        lacking = free < wanted
        short = np.maximum(wanted - free, 0) + np.maximum(wanted - largest, 0)
        reasons = []
        if lacking.any():
            best = max(int(free[lacking].max()), 0)
            reasons.append(
                Reason(
                    code=f"not_enough_{self.fact}",
                    count=int(lacking.sum()),
                    message=f"lack {self.noun} (wanted {wanted}{self.unit}, at most {best} free)",
                    wanted=wanted,
                    available=best,
                    **self._nearest(wanted, lacking, short, free, largest),
                )
            )
        if not lacking.all():
            best = int(largest[~lacking].max())
            reasons.append(
                Reason(
                    code=f"{self.fact}_above_the_most_for_one_server",
                    count=int((~lacking).sum()),
                    message=f"give one server less {self.noun} (wanted {wanted}{self.unit}, at most {best})",
                    wanted=wanted,
                    available=best,
                    **self._nearest(wanted, ~lacking, short, free, largest),
                )
            )
        return reasons

    def _nearest(
        self,
        wanted: int,
        among: "NDArray[np.bool_]",
        short: "NDArray[np.float64]",
        free: "NDArray[np.float64]",
        largest: "NDArray[np.float64]",
    ) -> dict[str, Any]:
        """Return what the nearest of some hosts lacks: of what is free, of what one server may have, or of both."""
        rows = np.flatnonzero(among)
        row = rows[short[rows].argmin()]
        remedies = []
        if (more := wanted - int(free[row])) > 0:
            remedies.append(f"{more}{self.unit} more {self.noun} free")
        if largest[row] < wanted:
            remedies.append(f"a largest unit of {wanted}{self.unit} {self.noun} instead of {int(largest[row])}")
        return {"remedy": " and ".join(remedies), "shortfall": float(short[row]) / wanted}


def _ratio(text: str | None) -> float | None:
    try:
        ratio = float(text) if text is not None else 0.0
    except ValueError:
        return None
    return ratio if 0 < ratio < float("inf") else None


RAM = Amount("memory_mb", "MEMORY_MB", "memory", " MiB", "ram_allocation_ratio")
CORE = Amount("vcpus", "VCPU", "virtual CPUs", "", "cpu_allocation_ratio")
DISK = Amount("disk_gb", "DISK_GB", "disk", " GiB", "disk_allocation_ratio")
_OWN = frozenset({"MEMORY_MB", "VCPU", "DISK_GB"})


class OtherResources:
    """Keep hosts on which every other resource class of the request can still be claimed."""

    @staticmethod
    def _wanted(ask: Ask) -> dict[str, int]:
        return {name: amount for name, amount in ask.resources.items() if name not in _OWN and amount > 0}

    def applies(self, ask: Ask) -> bool:
        return bool(self._wanted(ask))

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        mask = np.ones(hosts.size, np.bool_)
        for name, amount in self._wanted(ask).items():
            mask &= hosts.column(f"free_resource_{name.lower()}") >= amount
        return mask

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        wanted = self._wanted(ask)
        free = {name: hosts.column(f"free_resource_{name.lower()}") for name in wanted}
        short = np.array([np.maximum(amount - free[name], 0) for name, amount in wanted.items()])
        shortfall = (short / np.array(list(wanted.values()), np.float64)[:, np.newaxis]).sum(axis=0)
        first = (short > 0).argmax(axis=0)
        reasons = []
        for place, (name, amount) in enumerate(wanted.items()):
            rows = np.flatnonzero((short[place] > 0) & (first == place))
            if len(rows):
                best = max(int(free[name][rows].max()), 0)
                nearest = rows[shortfall[rows].argmin()]
                lacks = zip(wanted, short[:, nearest], strict=True)
                remedies = [f"{int(np.ceil(more))} more {each} free" for each, more in lacks if more > 0]
                reasons.append(
                    Reason(
                        code=f"not_enough_{name.lower()}",
                        count=len(rows),
                        message=f"lack {name} (wanted {amount}, at most {best} free)",
                        wanted=amount,
                        available=best,
                        remedy=" and ".join(remedies),
                        shortfall=float(shortfall[nearest]),
                    )
                )
        return reasons
