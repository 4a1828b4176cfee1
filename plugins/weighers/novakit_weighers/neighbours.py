"""Weighers by what is on or about a host already."""

from typing import TYPE_CHECKING

import attrs
import numpy as np

from novakit_hookspecs.hosts import PCI_CLASS
from novakit_hookspecs.scheduling import Ask, HostColumns

if TYPE_CHECKING:
    from numpy.typing import NDArray


@attrs.frozen
class SoftGroup:
    """Prefer hosts with more (soft-affinity) or fewer (soft-anti-affinity) members of the server's group."""

    policy: str
    sign: float

    def applies(self, ask: Ask) -> bool:
        return ask.group is not None and ask.group.policy == self.policy and bool(ask.group.hosts)

    def score(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.float64]":
        score = np.zeros(hosts.size)
        if ask.group is not None and ask.group.policy == self.policy:
            for name, count in ask.group.hosts.items():
                score[hosts.rows([name])] = self.sign * count
        return score


class CrossCell:
    """Prefer hosts in the cell a moving server lives in."""

    def applies(self, ask: Ask) -> bool:
        return ask.cell is not None

    def score(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.float64]":
        if ask.cell is None:
            return np.zeros(hosts.size)
        return hosts.where("cell", lambda cell: cell == ask.cell).astype(np.float64)


class Pci:
    """Prefer hosts with more devices for a server that wants one, and hosts without any for one that does not."""

    def score(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.float64]":
        free = np.fromiter(
            (sum(pool.free for pool in pools) if pools else 0 for pools in hosts.column("pci")), np.float64, hosts.size
        )
        wants = any(name.startswith(PCI_CLASS) for name in ask.resources)
        return free if wants else -free


@attrs.frozen
class ImagePropertiesOptions:
    """Which image properties count, and how much."""

    weights: dict[str, float] = attrs.field(factory=dict)
    """By property; empty means every property of the image counts 1."""


@attrs.frozen
class ImagePropertiesWeigher:
    """Prefer hosts that run servers of images with the same properties, such as the same os_distro."""

    options: ImagePropertiesOptions

    def score(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.float64]":
        properties = ask.image.properties if ask.image else {}
        weights = self.options.weights
        wanted = {f"{key}={value}": weights.get(key, 0.0 if weights else 1.0) for key, value in properties.items()}
        wanted = {pair: weight for pair, weight in wanted.items() if weight}
        if not wanted:
            return np.zeros(hosts.size)
        return np.fromiter(
            (
                sum(weight * there.get(pair, 0) for pair, weight in wanted.items()) if there else 0.0
                for there in hosts.column("image_properties")
            ),
            np.float64,
            hosts.size,
        )
