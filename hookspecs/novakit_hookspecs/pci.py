"""Addresses and kinds of PCI devices."""

import re
from collections.abc import Sequence

from novakit_hookspecs.devices import Attachment, PciAttachment
from novakit_hookspecs.errors import Refused

KIND_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"
"""What flavors may call a kind of devices."""
_ADDRESS = re.compile(r"([0-9a-f]{4,8}):([0-9a-f]{2}):([01][0-9a-f])\.([0-7])")


def parse_address(text: str) -> tuple[int, int, int, int]:
    """Return domain, bus, slot and function of `0000:3b:00.0`. Raises ValueError for anything else."""
    if (match := _ADDRESS.fullmatch(text)) is None:
        raise ValueError(f"{text[:40]!r} is not a PCI address; write domain:bus:slot.function, such as 0000:3b:00.0")
    domain, bus, slot, function = (int(part, 16) for part in match.groups())
    return domain, bus, slot, function


def addresses(attachments: Sequence[Attachment]) -> Sequence[str]:
    """Return the addresses of PCI functions, for a driver that renders nothing else.

    Raises Refused for an attachment of another kind, for an invalid address, and for an address given twice.
    """
    found: list[str] = []
    for each in attachments:
        if not isinstance(each, PciAttachment):
            raise Refused(f"this driver hands whole PCI devices to guests and cannot render a {type(each).__name__}")
        try:
            parse_address(each.address)
        except ValueError as error:
            raise Refused(str(error)) from error
        if each.address in found:
            raise Refused(f"the PCI device {each.address} is in the plan twice")
        found.append(each.address)
    return found
