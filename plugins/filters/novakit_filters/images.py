"""What an image demands of the host: architecture, hypervisor, machine type, kind of GPU."""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from novakit_filters.demands import Demand, unmet
from novakit_hookspecs.scheduling import Ask, HostColumns, Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ARCHITECTURES = {"amd64": "x86_64", "x64": "x86_64", "i386": "i686", "x86": "i686", "arm64": "aarch64"}
_KEYS = {
    "hw_architecture": 0,
    "architecture": 0,
    "img_hv_type": 1,
    "hypervisor_type": 1,
    "hw_vm_mode": 2,
    "vm_mode": 2,
}
"""Which place of (architecture, hypervisor type, vm mode) a property speaks of; the later names are the old ones."""
GPU = "gpu:type"
"""The image property that demands a host with such GPUs, as the extra spec of that name takes one."""
_NAMED = ("img_hv_requested_version", "hw_machine_type", GPU)
_COMPARISON = re.compile(r"\s*(>=|<=|==|!=|>|<|=)?\s*(\d+(?:\.\d+){0,3})\s*")


class ImageProperties:
    """Keep hosts that can run the image as its properties ask."""

    def applies(self, ask: Ask) -> bool:
        named = ask.image is not None and any(name in ask.image.properties for name in _NAMED)
        return named or _triple(ask) != (None, None, None)

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        mask = np.ones(hosts.size, np.bool_)
        for _, _, fits in self._demands(hosts, ask):
            mask &= fits
        return mask

    def _demands(self, hosts: HostColumns, ask: Ask) -> list[tuple[str, str, "NDArray[np.bool_]"]]:
        """Return code, words and mask of each thing the image demands."""
        demands = []
        triple = _triple(ask)
        if triple != (None, None, None):
            words = "/".join(one for one in triple if one)
            demands.append(
                ("image_architecture", f"guests of {words}", hosts.where("supported_instances", _runs(triple)))
            )
        properties = ask.image.properties if ask.image else {}
        if machine := properties.get("hw_machine_type", "").strip():
            fits = hosts.where("machine_types", lambda known: not known or machine in known)
            demands.append(("machine_type", f"the machine type {machine}", fits))
        if gpu := properties.get(GPU, "").strip():
            having = {id(pools): any(pool.kind == gpu for pool in pools or ()) for pools in hosts.column("pci")}
            fits = np.fromiter((having[id(pools)] for pools in hosts.column("pci")), np.bool_, hosts.size)
            demands.append(("gpu", f"a GPU of type {gpu}", fits))
        version = properties.get("img_hv_requested_version")
        if version:
            demands.append(("hypervisor_version", f"hypervisor version {version}", _version(hosts, version)))
        return demands

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        return unmet(
            [
                Demand(code, f"cannot run the image ({words})", f"support of {words}", fits)
                for code, words, fits in self._demands(hosts, ask)
            ]
        )


def _triple(ask: Ask) -> tuple[str | None, str | None, str | None]:
    found: list[str | None] = [None, None, None]
    for key, place in _KEYS.items():
        value = ask.image.properties.get(key, "").strip().lower() if ask.image else ""
        if value and found[place] is None:
            found[place] = _ARCHITECTURES.get(value, value) if place == 0 else value
    return found[0], found[1], found[2]


def _runs(wanted: tuple[str | None, str | None, str | None]) -> Callable[[Any], bool]:
    def test(supported: Any) -> bool:
        return any(
            all(want is None or want == str(have).lower() for want, have in zip(wanted, triple, strict=False))
            for triple in supported or ()
        )

    return test


def _version(hosts: HostColumns, wanted: str) -> "NDArray[np.bool_]":
    """Compare versions as `>=8.2.0,<10`; an unreadable demand is satisfied by no host."""
    column = hosts.column("hypervisor_version")
    mask = np.ones(hosts.size, np.bool_)
    for part in wanted.split(","):
        match = _COMPARISON.fullmatch(part)
        if not match:
            return np.zeros(hosts.size, np.bool_)
        numbers = [int(one) for one in match[2].split(".")[:3]] + [0, 0]
        number = numbers[0] * 1_000_000 + numbers[1] * 1_000 + numbers[2]
        compare = {
            ">=": np.greater_equal,
            "<=": np.less_equal,
            ">": np.greater,
            "<": np.less,
            "!=": np.not_equal,
        }.get(match[1] or "==", np.equal)
        mask &= compare(column, number)
    return mask
