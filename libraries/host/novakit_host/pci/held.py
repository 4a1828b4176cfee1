"""Which of the host's PCI devices a guest has, written beside what else says so.

A guest whose plan or domain is damaged has its devices still: they are another guest's only when it is gone.
"""

from collections.abc import Sequence
from pathlib import Path

from novakit_hookspecs.pci import parse_address
from novakit_host import durable

FILE = "devices"


def note(directory: Path, addresses: Sequence[str]) -> None:
    """Write down in a guest's directory which devices it has; of one that has none there is no file. Raises OSError."""
    if addresses and set(addresses) != set(noted(directory)):
        durable.write(directory / FILE, "".join(f"{address}\n" for address in addresses))


def noted(directory: Path) -> Sequence[str]:
    """Return the devices that are written down, also where the file is damaged in other lines."""
    try:
        text = (directory / FILE).read_bytes().decode(errors="replace")
    except OSError:
        return ()
    return [line for line in text.splitlines() if _is_address(line)]


def _is_address(line: str) -> bool:
    try:
        parse_address(line)
    except ValueError:
        return False
    return True
