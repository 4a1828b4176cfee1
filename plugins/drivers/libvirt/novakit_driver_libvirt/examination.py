"""What of the host's furniture is there, for `novakit doctor`; changes nothing."""

import asyncio
import grp
import os
import pwd
from collections.abc import Iterable, Sequence
from pathlib import Path

from novakit_driver_libvirt import daemons, firmware, guest_users, kvm_device
from novakit_driver_libvirt.disks import unsearchable
from novakit_driver_libvirt.options import LibvirtOptions
from novakit_hookspecs.errors import Refused
from novakit_hookspecs.findings import Finding, Verdict
from novakit_hookspecs.urls import without_secrets
from novakit_host import known_holes
from novakit_host.acceleration import DEVICE, Acceleration, decide, fault_of
from novakit_host.examination import confinement
from novakit_host.pci import survey as pci_survey

QEMU_USER = "libvirt-qemu"
SLOW = (
    f"libvirtd (process {{pid}}) tries QEMU on the {DEVICE} that does not work here, again and again:"
    " each guest may take minutes to start"
)


async def examine(
    options: LibvirtOptions, state_dir: Path, run_dir: Path, root: Path, *, own_host: bool
) -> Sequence[Finding]:
    """Look at programs, libvirt, the acceleration, PCI devices for guests and what is optional.

    `own_host` says that the libvirt in use is this host's own, which novakit may start.
    """
    lacking = await asyncio.to_thread(daemons.missing)
    findings = [_programs(lacking)]
    findings.append(await _libvirt(run_dir, state_dir, lacking) if own_host else _elsewhere(options.uri))
    findings.append(await _acceleration(options, state_dir, run_dir, own_host))
    findings.append(await asyncio.to_thread(_way, state_dir))
    findings.append(await _users(options, state_dir))
    findings.append(await confinement())
    findings += [*await known_holes.examine(known_holes.QEMU), *await known_holes.examine(known_holes.LIBVIRT)]
    findings += await asyncio.to_thread(pci_survey.examine, options.pci, root)
    return [*findings, *await asyncio.to_thread(lambda: list(_optional(root)))]


def as_libvirt_has_it(verdict: Acceleration, run_dir: Path) -> Acceleration:
    """Return the verdict, or TCG where libvirtd was started while the device did not work, and cannot see it."""
    if not kvm_device.is_hidden(daemons.sockets(run_dir)):
        return verdict
    why = f"{DEVICE} works, but libvirtd was started without it; stop libvirtd and start novakit serve again"
    return Acceleration("tcg", f"software emulation (TCG): {why}")


def _programs(lacking: Sequence[str]) -> Finding:
    if lacking:
        return Finding(
            check="programs for guests",
            verdict=Verdict.MISSING,
            found=f"not installed: {', '.join(lacking)}",
            remedy=f"apt-get install {' '.join(lacking)}",
        )
    return Finding(check="programs for guests", verdict=Verdict.OK, found=", ".join(daemons.NEEDS))


async def _libvirt(run_dir: Path, state_dir: Path, lacking: Sequence[str]) -> Finding:
    if not await asyncio.to_thread(daemons.is_running, run_dir):
        return _not_running(lacking)
    pid = await asyncio.to_thread(kvm_device.seen_by_libvirt, daemons.sockets(run_dir))
    if pid is None or not await fault_of(state_dir):
        return Finding(check="libvirt", verdict=Verdict.OK, found="answers on its socket")
    return Finding(check="libvirt", verdict=Verdict.WARN, found=SLOW.format(pid=pid), remedy=_remedy(run_dir, pid))


def _remedy(run_dir: Path, pid: int) -> str:
    if not (run_dir / "systemd/system").is_dir():
        return f"kill {pid}, and start novakit serve again: it starts libvirtd without that device, and guests run on"
    return "systemctl stop libvirtd.socket libvirtd, and start novakit serve again, which starts it without that device"


def _not_running(lacking: Sequence[str]) -> Finding:
    if "libvirt-daemon-system" in lacking:
        remedy = "apt-get install libvirt-daemon-system"
        return Finding(check="libvirt", verdict=Verdict.MISSING, found="is not installed", remedy=remedy)
    if os.geteuid() == 0:
        return Finding(check="libvirt", verdict=Verdict.OK, found="does not run; novakit serve starts it")
    return Finding(
        check="libvirt",
        verdict=Verdict.MISSING,
        found="does not answer on its socket",
        remedy="run novakit as root, which starts it, or start libvirtd and join the group libvirt",
    )


def _elsewhere(uri: str) -> Finding:
    return Finding(
        check="libvirt", verdict=Verdict.OK, found=f"is reached at {without_secrets(uri)}, which novakit does not start"
    )


def _pages() -> Finding:
    check, count = "huge pages (optional)", daemons.huge_pages()
    if not count:
        found = "the kernel keeps none; flavors with hw:mem_page_size find no room here"
        return Finding(check=check, verdict=Verdict.WARN, found=found, remedy="sysctl vm.nr_hugepages=NUMBER")
    if daemons.pages_mounted() or not daemons.is_running():
        return Finding(check=check, verdict=Verdict.OK, found=f"{count} of the default size")
    return Finding(
        check=check,
        verdict=Verdict.WARN,
        found=f"{count} of the default size, not mounted when libvirtd started",
        remedy=f"mount -t hugetlbfs hugetlbfs {daemons.PAGES}, and restart libvirtd",
    )


def _way(state_dir: Path) -> Finding:
    """Whether QEMU's own user gets to the disks, as far as it is Debian's."""
    check = "access to disks"
    try:
        user = pwd.getpwnam(QEMU_USER).pw_uid
    except KeyError:
        return Finding(check=check, verdict=Verdict.OK, found=f"no user {QEMU_USER}; libvirt runs QEMU as another one")
    if (wall := unsearchable(state_dir / "instances", user)) is None:
        return Finding(check=check, verdict=Verdict.OK, found=f"{QEMU_USER} gets through to {state_dir}")
    return Finding(
        check=check,
        verdict=Verdict.MISSING,
        found=f"{QEMU_USER} cannot get through {wall}",
        remedy=f"chmod o+x {wall}, or keep the state elsewhere",
    )


async def _users(options: LibvirtOptions, state_dir: Path) -> Finding:
    """Whether each guest's QEMU gets a user of its own, as far as libvirt's configuration is Debian's."""
    check = "users of guests"
    try:
        base = guest_users.Label(pwd.getpwnam(QEMU_USER).pw_uid, grp.getgrnam(QEMU_USER).gr_gid)
        accelerated = (await decide(options.acceleration, state_dir)).acceleration
    except (KeyError, Refused):
        return Finding(check=check, verdict=Verdict.OK, found="libvirt chooses the user that runs QEMU")
    choice = await asyncio.to_thread(guest_users.choose, base, accelerated, options.first_user)
    if choice.group is not None:
        return Finding(check=check, verdict=Verdict.OK, found=f"one for each, from {options.first_user} on")
    found = f"guests share {QEMU_USER}, and may read each other's disks: {choice.why}"
    return Finding(check=check, verdict=Verdict.WARN, found=found, remedy=choice.remedy)


async def _acceleration(options: LibvirtOptions, state_dir: Path, run_dir: Path, own_host: bool) -> Finding:
    check = "acceleration"
    try:
        verdict = await decide(options.acceleration, state_dir)
        if verdict.acceleration == "kvm" and own_host:
            verdict = await asyncio.to_thread(as_libvirt_has_it, verdict, run_dir)
    except Refused as error:
        sentence, _, remedy = str(error).partition("; ")
        return Finding(check=check, verdict=Verdict.MISSING, found=sentence, remedy=remedy)
    if verdict.acceleration == "kvm" or options.acceleration == "tcg":
        return Finding(check=check, verdict=Verdict.OK, found=verdict.why)
    return Finding(
        check=check,
        verdict=Verdict.WARN,
        found=verdict.why,
        remedy="guests run, some ten times slower; turn on virtualisation in the firmware, or nested virtualisation "
        "where this machine is itself a guest, and load kvm_intel or kvm_amd",
    )


def _optional(root: Path) -> Iterable[Finding]:
    yield _pages()
    there = firmware.installed(root)
    yield _firmware("firmware for UEFI guests (optional)", there.plain, "images with hw_firmware_type=uefi")
    yield _firmware("firmware for Secure Boot (optional)", there.secure, "flavors and images that require Secure Boot")


def _firmware(check: str, code: str, whose: str) -> Finding:
    if code:
        return Finding(check=check, verdict=Verdict.OK, found=code)
    remedy = f"apt-get install {firmware.PACKAGE}, and restart libvirtd"
    return Finding(check=check, verdict=Verdict.WARN, found=f"not installed; {whose} find no room here", remedy=remedy)
