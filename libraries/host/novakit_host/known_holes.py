"""Which programs of the host have holes that are known and mended elsewhere, for `novakit doctor`.

A hole counts when the version is older than the one that mends it in its branch, unless the distribution has mended it
itself: its package is of a version that is known to have, or the package's changelog names the hole.
The bounds are the first release that has the mending commits, by the projects' own histories and release notes, and
the first Debian package, by its changelog. libvirt's are those of its release notes, which give the release and since
when the hole is there; they do not name CVE-2024-2496, whose bound was not checked against libvirt's own history.
The table holds what a guest, an image or a tenant's packet can reach in the way novakit uses these programs.
"""

import asyncio
import gzip
import re
from collections.abc import Collection, Sequence
from pathlib import Path

import attrs

from novakit_hookspecs.findings import Finding, Verdict
from novakit_host.commands import run

ReleaseNumber = tuple[int, ...]
DOCUMENTS = Path("/usr/share/doc")
WITHIN = 10.0
"""Seconds for a program to print its version, which takes one that works milliseconds."""


@attrs.frozen
class Hole:
    """One hole: where it is mended, one version for each branch that still got mends, the newest last."""

    cve: str
    what: str
    mended: tuple[str, ...]
    since: str = "0"
    debian: tuple[str, ...] = ()
    """Debian packages that mend it in an older version, one for each upstream version."""

    def is_in(self, version: ReleaseNumber) -> bool:
        """Return whether a program of this version has it, by its version alone."""
        if version < parse(self.since) or version >= parse(self.mended[-1]):
            return False
        return not any(parse(one)[:2] == version[:2] and version >= parse(one) for one in self.mended)


@attrs.frozen(kw_only=True)
class Program:
    """A program, how it says its version, and what is known of it."""

    name: str
    asked: tuple[str, ...]
    packages: tuple[str, ...]
    """Debian packages: the first one's changelog is read, all are to be upgraded."""
    then: str
    """What to do after the upgrade."""
    holes: tuple[Hole, ...]


QEMU = Program(
    name="QEMU",
    asked=("qemu-system-x86_64", "--version"),
    packages=("qemu-system-x86", "qemu-utils"),
    then="stop and start the guests",
    holes=(
        Hole(
            "CVE-2023-3354",
            "a VNC client can crash QEMU without a password",
            ("7.2.5", "8.0.4", "8.1.0"),
            debian=("1:7.2+dfsg-7+deb12u2",),
        ),
        Hole(
            "CVE-2024-3446",
            "a guest can run code in QEMU through virtio devices",
            ("7.2.11", "8.2.3", "9.0.0"),
            debian=("1:7.2+dfsg-7+deb12u6",),
        ),
        Hole(
            "CVE-2024-26327",
            "a guest can overflow a buffer of QEMU through SR-IOV",
            ("7.2.11", "8.2.3", "9.0.0"),
            since="7.1.0",
            debian=("1:7.2+dfsg-7+deb12u6",),
        ),
        Hole(
            "CVE-2024-26328",
            "a guest can crash QEMU through SR-IOV",
            ("7.2.11", "8.2.3", "9.0.0"),
            since="7.1.0",
            debian=("1:7.2+dfsg-7+deb12u6",),
        ),
        Hole(
            "CVE-2024-4467",
            "an image can make QEMU read and write files of the host",
            ("7.2.13", "8.2.6", "9.0.2", "9.1.0"),
            debian=("1:7.2+dfsg-7+deb12u7",),
        ),
    ),
)
LIBVIRT = Program(
    name="libvirt",
    asked=("libvirtd", "--version"),
    packages=("libvirt-daemon", "libvirt-daemon-system", "libvirt0"),
    then="restart libvirtd",
    holes=(
        Hole(
            "CVE-2023-3750",
            "a client can crash libvirtd by listing storage",
            ("9.6.0",),
            since="8.3.0",
            debian=("9.0.0-4+deb12u1",),
        ),
        Hole(
            "CVE-2024-1441",
            "a client can crash libvirtd by listing interfaces",
            ("10.1.0",),
            since="1.0.0",
            debian=("9.0.0-4+deb12u1",),
        ),
        Hole(
            "CVE-2024-2494",
            "a client can crash libvirtd by sending a negative length",
            ("10.2.0",),
            debian=("9.0.0-4+deb12u1",),
        ),
        Hole(
            "CVE-2024-2496",
            "a client can crash libvirtd by listing interfaces that go",
            ("9.8.0",),
            debian=("9.0.0-4+deb12u1",),
        ),
        Hole("CVE-2024-8235", "a client can crash libvirtd by listing no interfaces", ("10.7.0",), since="10.4.0"),
    ),
)
OPEN_VSWITCH = Program(
    name="Open vSwitch",
    asked=("ovs-vswitchd", "--version"),
    packages=("openvswitch-switch", "openvswitch-common"),
    then="restart ovs-vswitchd",
    holes=(
        Hole(
            "CVE-2023-1668",
            "a packet of IP protocol 0 makes later packets match the wrong flows",
            ("2.13.11", "2.14.9", "2.15.8", "2.16.7", "2.17.6", "3.0.4", "3.1.1", "3.2.0"),
            debian=("3.1.0-2",),
        ),
        Hole(
            "CVE-2023-5366",
            "a guest can claim another's IPv6 address in spite of the rules",
            ("2.17.9", "3.0.6", "3.1.4", "3.2.2", "3.3.0"),
            debian=("3.1.0-2+deb12u1",),
        ),
        Hole(
            "CVE-2023-3966",
            "a tunnelled packet can crash the switch where hardware offload is on",
            ("2.17.9", "3.0.6", "3.1.4", "3.2.2", "3.3.0"),
            debian=("3.1.0-2+deb12u1",),
        ),
    ),
)


async def examine(program: Program, documents: Path = DOCUMENTS) -> Sequence[Finding]:
    """Return what is known of the installed program; nothing when it is not installed."""
    try:
        version = parse((await run(program.asked, within=WITHIN)).out)
    except FileNotFoundError:
        return []
    package = program.packages[0]
    mended = {*await asyncio.to_thread(mended_by_distribution, package, documents)}
    installed = await package_version(package)
    mended |= {hole.cve for hole in program.holes if await _is_mended_in(installed, hole.debian)}
    return [judge(program, version, mended)]


async def package_version(package: str) -> str:
    """Return the version of an installed Debian package; empty where it is not, and where there is no dpkg."""
    try:
        ended = await run(["dpkg-query", "-W", "-f", "${Version}", package], within=WITHIN)
    except FileNotFoundError:
        return ""
    return ended.out.strip() if ended.status == 0 else ""


async def _is_mended_in(installed: str, mending: Collection[str]) -> bool:
    """Return whether the installed package is the mending one of its upstream version, or a later one of that."""
    for one in mending:
        if installed.partition("-")[0] == one.partition("-")[0]:
            return (await run(["dpkg", "--compare-versions", installed, "ge", one], within=WITHIN)).status == 0
    return False


def judge(program: Program, version: ReleaseNumber, mended: Collection[str]) -> Finding:
    """Return the line of `novakit doctor` for a program of this version, of which the distribution mended some."""
    check = f"known holes of {program.name}"
    shown = ".".join(map(str, version))
    if not version:
        found = "its version could not be read"
        return Finding(check=check, verdict=Verdict.WARN, found=found, remedy=f"run {' '.join(program.asked)}")
    open_ones = [hole for hole in program.holes if hole.cve not in mended and hole.is_in(version)]
    if not open_ones:
        return Finding(check=check, verdict=Verdict.OK, found=f"{shown} has none of {len(program.holes)}")
    return Finding(
        check=check,
        verdict=Verdict.WARN,
        found=f"{shown} has " + "; ".join(f"{hole.cve}: {hole.what}" for hole in open_ones),
        remedy=f"apt-get update && apt-get install --only-upgrade {' '.join(program.packages)}, then {program.then}",
    )


def parse(text: str) -> ReleaseNumber:
    """Return the first version that a text names; empty when there is none."""
    found = re.search(r"\d+(?:\.\d+)+|^\d+$", text)
    return tuple(map(int, found[0].split("."))) if found else ()


def mended_by_distribution(package: str, documents: Path = DOCUMENTS) -> Collection[str]:
    """Return the holes that the changelog of an installed Debian package names."""
    try:
        with gzip.open(documents / package / "changelog.Debian.gz", "rt", errors="replace") as file:
            return frozenset(re.findall(r"CVE-\d{4}-\d{4,}", file.read()))
    except (OSError, EOFError):
        return frozenset()
