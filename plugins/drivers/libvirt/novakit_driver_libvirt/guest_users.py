"""Whom libvirt runs a guest's QEMU as: a user of its own for each guest, where that can be.

libvirt's one user for all of them would let a guest that has taken its QEMU over read the disks of all others.
The group stays libvirt's: by it QEMU gets through libvirt's own directories, and to /dev/kvm.
"""

from collections.abc import Collection
from pathlib import Path

import attrs
from lxml import etree

from novakit_host import guest_users
from novakit_host.acceleration import DEVICE


@attrs.frozen
class Label:
    """A user and a group, as libvirt's DAC security driver writes them: `+64055:+109`."""

    user: int
    group: int

    def __str__(self) -> str:
        return f"+{self.user}:+{self.group}"


ROOT = Label(0, 0)


def of_libvirt(capabilities: str) -> Label:
    """Return whom libvirt runs QEMU as by itself."""
    for model in etree.fromstring(capabilities).iterfind("host/secmodel"):
        if model.findtext("model") == "dac":
            for label in model.iterfind("baselabel"):
                if (found := parse(label.text or "")) is not None:
                    return found
    return ROOT


def of_domain(xml: str) -> Label | None:
    """Return the label that a domain's XML names; None for libvirt's own choice."""
    return parse(etree.fromstring(xml).findtext("seclabel[@model='dac'][@type='static']/label") or "")


def parse(text: str) -> Label | None:
    """Read a label of numbers; None for any other."""
    user, _, group = text.partition(":")
    user, group = user.removeprefix("+"), group.removeprefix("+")
    return Label(int(user), int(group)) if user.isdigit() and group.isdigit() else None


def possible(base: Label, acceleration: str, device: Path = DEVICE) -> bool:
    """Return whether guests can have users of their own beside the one that libvirt was configured for.

    Not where an operator chose root, or where that user alone gets to /dev/kvm, as a member of another group.
    """
    if base.user == 0:
        return False
    if acceleration != "kvm":
        return True
    status = device.stat()
    return status.st_mode & 0o006 == 0o006 or (status.st_gid == base.group and status.st_mode & 0o060 == 0o060)


def own(guest: str, base: Label, used: Collection[int], first: int) -> Label:
    """Return the label of a new guest. Raises ValueError when every user is used."""
    return Label(guest_users.unused(guest, used, first), base.group)
