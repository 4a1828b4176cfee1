"""What of the host's furniture is there, for `novakit doctor`; changes nothing."""

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from novakit_driver_qemu.launch import kvm_groups
from novakit_driver_qemu.options import QemuOptions
from novakit_hookspecs.errors import Refused
from novakit_hookspecs.findings import Finding, Verdict
from novakit_host import guest_users, known_holes
from novakit_host.acceleration import DEVICE, QEMU, Acceleration, decide
from novakit_host.commands import SEARCH
from novakit_host.examination import confinement
from novakit_host.pci import survey as pci_survey

NEEDS: Mapping[str, str] = {
    QEMU: "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "genisoimage": "genisoimage",
    "mke2fs": "e2fsprogs",
    "mkswap": "util-linux",
    "fallocate": "util-linux",
    "setpriv": "util-linux",
}
"""Commands the driver needs on its host, each with the Debian package that brings it."""


def missing() -> Sequence[str]:
    """List the Debian packages to install before guests can run here."""
    return sorted({package for command, package in NEEDS.items() if not shutil.which(command, path=SEARCH)})


async def decided(wanted: str, state_dir: Path, device: Path = DEVICE) -> Acceleration:
    """Decide on the acceleration that guests' own users can have. Raises Refused when it is not the wanted one."""
    verdict = await decide(wanted, state_dir)
    if verdict.acceleration != "kvm" or not guest_users.may_be_given() or kvm_groups(device) is not None:
        return verdict
    why = f"{device} works, and only root may use it; run `chgrp kvm {device} && chmod 660 {device}`"
    if wanted == "kvm":
        raise Refused(why)
    return Acceleration(acceleration="tcg", why=why)


def users(first: int) -> Finding:
    """Return which users the emulators of guests run as."""
    check = "users of guests"
    if not guest_users.may_be_given():
        found = "the agent is not root, so guests' QEMU runs as the agent's own user and can read what it can"
        return Finding(check=check, verdict=Verdict.WARN, found=found, remedy="run the agent as root")
    last = first + guest_users.COUNT - 1
    if guest_users.unmapped(first):
        found = f"the users {first} to {last} are not there in this container"
        remedy = "set [drivers.qemu] first_user to 65,536 users that /proc/self/uid_map has and no account is among"
        return Finding(check=check, verdict=Verdict.MISSING, found=found, remedy=remedy)
    return Finding(check=check, verdict=Verdict.OK, found=f"each guest has one of its own, from {first} to {last}")


async def examine(options: QemuOptions, state_dir: Path, root: Path) -> Sequence[Finding]:
    """Look at the programs, and when they are there at the acceleration and at PCI devices for guests."""
    check = "programs for guests"
    if lacking := missing():
        found, remedy = f"not installed: {', '.join(lacking)}", f"apt-get install {' '.join(lacking)}"
        return [Finding(check=check, verdict=Verdict.MISSING, found=found, remedy=remedy)]
    devices = await asyncio.to_thread(pci_survey.examine, options.pci, root, bound_only=True)
    there = Finding(check=check, verdict=Verdict.OK, found=", ".join(NEEDS))
    known = await known_holes.examine(known_holes.QEMU)
    how = await _acceleration(options.acceleration, state_dir)
    return [there, how, users(options.first_user), await confinement(), *known, *devices]


async def _acceleration(wanted: str, state_dir: Path) -> Finding:
    check = "acceleration"
    try:
        verdict = await decided(wanted, state_dir)
    except Refused as error:
        sentence, _, remedy = str(error).partition("; ")
        return Finding(check=check, verdict=Verdict.MISSING, found=sentence, remedy=remedy)
    if verdict.acceleration == "kvm" or wanted == "tcg":
        return Finding(check=check, verdict=Verdict.OK, found=verdict.why)
    slow = "guests run, some ten times slower; turn on (nested) virtualisation and load kvm_intel or kvm_amd"
    return Finding(check=check, verdict=Verdict.WARN, found=verdict.why, remedy=slow)
