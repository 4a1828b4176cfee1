"""Which PCI devices the host itself needs: those that carry a mounted disk or a network card that is up."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from novakit_host.sysfs import names, text

_UP = ("up", "unknown")
"""States of a card that may carry the host's traffic; a driver that does not know is not a card that is down."""


def in_use(root: Path) -> Mapping[str, str]:
    """Return what each device carries, by PCI address, as the end of a sentence; bridges above it are told, too.

    A disk that the kernel does not tie to a device, such as one of a ZFS pool, is not seen.
    """
    carries: dict[str, str] = {}
    for where, block in _mounted(root):
        for address in _addresses(block):
            carries.setdefault(address, f"it carries the disk {block.name}, which is used as {where}")
    for name in names(root / "sys/class/net"):
        if text(root / "sys/class/net" / name / "operstate") in _UP:
            for address in _addresses(root / "sys/class/net" / name):
                carries.setdefault(address, f"it carries the network card {name}, which is up")
    return carries


def _mounted(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield where block devices are mounted, and the devices, those below a stack of them included."""
    seen: set[Path] = set()
    for where, top in _sources(root):
        below = [Path(os.path.realpath(top))]
        while below:
            block = below.pop()
            if block in seen or not block.is_dir():
                continue
            seen.add(block)
            yield where, block
            for holder in (block, block.parent):
                below += [Path(os.path.realpath(holder / "slaves" / name)) for name in names(holder / "slaves")]


def _sources(root: Path) -> Iterator[tuple[str, Path]]:
    for line in text(root / "proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        mount, source = left.split(), right.split()
        if len(mount) > 4 and len(source) > 1:
            yield mount[4], root / "sys/dev/block" / mount[2]
            # Btrfs shows a number of its own, and only its source leads to the disk.
            yield from _named(root, mount[4], source[1])
    for line in text(root / "proc/swaps").splitlines()[1:]:
        yield from _named(root, "swap", line.partition(" ")[0])


def _named(root: Path, where: str, source: str) -> Iterator[tuple[str, Path]]:
    if source.startswith("/dev/"):
        name = Path(os.path.realpath(root / source.lstrip("/"))).name
        yield where, root / "sys/class/block" / name


def _addresses(path: Path) -> Iterator[str]:
    """Yield every PCI address on the way to a device."""
    for part in Path(os.path.realpath(path)).parts:
        if part.count(":") == 2 and "." in part:
            yield part
