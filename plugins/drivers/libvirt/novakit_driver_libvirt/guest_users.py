"""Whom libvirt runs a guest's QEMU as: a user of its own for each guest, where that can be.

libvirt's one user for all of them would let a guest that has taken its QEMU over read the disks of all others.
The group is one that QEMU needs. libvirt's own leads through libvirt's directories, which Debian closes to others;
where /dev/kvm is another group's, that one is taken, and the directories have to be open to all who know a name there.
"""

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
HOME = Path("/var/lib/libvirt/qemu")
"""Where libvirt keeps sockets and keys of guests."""


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


@attrs.frozen(kw_only=True)
class UsersOfGuests:
    """Whether guests get users of their own."""

    group: int | None = None
    """The group of all of them; None where guests share libvirt's own user."""
    why: str = ""
    """Why they share it."""
    remedy: str = ""


def choose(base: Label, acceleration: str, first: int, home: Path = HOME, device: Path = DEVICE) -> UsersOfGuests:
    """Choose whether guests can have users of their own, from `first` on, beside libvirt's, which is `base`.

    Not where an operator chose root or `first_user = 0`, this root cannot become those users, libvirt's user alone gets
    to /dev/kvm, or there is no way through libvirt's directories in `home`.
    """
    if base.user == 0 or first == 0:
        said = "qemu.conf names root" if base.user == 0 else "[drivers.libvirt] first_user is 0"
        return UsersOfGuests(why=said, remedy="leave that out, and start libvirtd and the agent again")
    if guest_users.unmapped(first):
        return UsersOfGuests(why=f"users from {first} on are not mapped here", remedy="map them, or set first_user")
    group = _group(base, acceleration, device)
    if group is None:
        return UsersOfGuests(why=f"only {base.user} gets to {device}", remedy=f"chmod g+rw {device}")
    for directory in (home, *(home / each for each in ("channel", "channel/target"))):
        if directory.is_dir() and not _is_open(directory, group):
            overridden = f"dpkg-statoverride --update --add libvirt-qemu libvirt-qemu 0751 {directory}"
            return UsersOfGuests(why=f"group {group} cannot get through {directory}", remedy=overridden)
    return UsersOfGuests(group=group)


def _group(base: Label, acceleration: str, device: Path) -> int | None:
    if acceleration != "kvm":
        return base.group
    status = device.stat()
    if status.st_mode & 0o006 == 0o006:
        return base.group
    return status.st_gid if status.st_mode & 0o060 == 0o060 else None


def _is_open(directory: Path, group: int) -> bool:
    status = directory.stat()
    return bool(status.st_mode & (0o010 if status.st_gid == group else 0o001))
