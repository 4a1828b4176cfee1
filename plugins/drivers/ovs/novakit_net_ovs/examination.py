"""What of the host's furniture is there, for `novakit doctor`; changes nothing."""

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from novakit_hookspecs.findings import Finding, Verdict
from novakit_host import known_holes
from novakit_net_ovs import daemons
from novakit_net_ovs.options import OvsOptions

PROGRAMS = {
    "ovs-vsctl": "openvswitch-switch",
    "ovs-ofctl": "openvswitch-switch",
    "ovs-appctl": "openvswitch-switch",
    "dnsmasq": "dnsmasq-base",
    "nft": "nftables",
    "nsenter": "util-linux",
}
"""Programs that the driver runs, each with the package that has it."""

SWITCH = "openvswitch-switch"
TUN = Path("/dev/net/tun")
KERNEL_MODULE = Path("/sys/module/openvswitch")


async def examine(options: OvsOptions, programs: Mapping[str, str]) -> Sequence[Finding]:
    """Look at root, programs, the switch, its datapath, taps, and what is optional."""
    findings = await asyncio.to_thread(_examine, options, programs)
    return [*findings, *await known_holes.examine(known_holes.OPEN_VSWITCH)]


def _examine(options: OvsOptions, programs: Mapping[str, str]) -> list[Finding]:
    lacking = sorted({package for program, package in programs.items() if not shutil.which(program)})
    return [
        _root(),
        _programs(programs, lacking),
        _switch(SWITCH in lacking),
        _datapath(options),
        _taps(),
        _conntrack(),
    ]


def _root() -> Finding:
    if os.geteuid() == 0:
        return Finding(check="root for networks", verdict=Verdict.OK, found="runs as root")
    return Finding(
        check="root for networks",
        verdict=Verdict.MISSING,
        found=f"runs as user {os.geteuid()}; links, namespaces and bridges belong to root",
        remedy="start the agent as root",
    )


def _programs(programs: Mapping[str, str], lacking: Sequence[str]) -> Finding:
    check = "programs for networks"
    if lacking:
        found = f"not installed: {', '.join(lacking)}"
        return Finding(check=check, verdict=Verdict.MISSING, found=found, remedy=f"apt-get install {' '.join(lacking)}")
    return Finding(check=check, verdict=Verdict.OK, found=", ".join(programs))


def _switch(absent: bool) -> Finding:
    check = "Open vSwitch"
    if daemons.database_answers() and daemons.switch_runs():
        return Finding(check=check, verdict=Verdict.OK, found="ovsdb-server and ovs-vswitchd run")
    if absent:
        return Finding(
            check=check, verdict=Verdict.MISSING, found="is not installed", remedy=f"apt-get install {SWITCH}"
        )
    if os.geteuid() == 0:
        return Finding(check=check, verdict=Verdict.OK, found="does not run; novakit serve starts it")
    return Finding(
        check=check, verdict=Verdict.MISSING, found="cannot be reached", remedy="run novakit as root, which starts it"
    )


def _datapath(options: OvsOptions) -> Finding:
    check = "datapath"
    kernel = KERNEL_MODULE.exists()
    if options.datapath == "system" and not kernel:
        return Finding(
            check=check,
            verdict=Verdict.MISSING,
            found="the kernel has no module openvswitch, and the option datapath demands it",
            remedy="modprobe openvswitch, or set datapath = 'auto' in [networks.ovs]",
        )
    if kernel and options.datapath != "netdev":
        return Finding(check=check, verdict=Verdict.OK, found="in the kernel, for bridges that are made from now on")
    return Finding(
        check=check,
        verdict=Verdict.OK if options.datapath == "netdev" else Verdict.WARN,
        found="in userspace: "
        + ("as the option datapath says" if kernel else "the kernel has no module openvswitch loaded"),
        remedy="" if options.datapath == "netdev" else "networks work, slower; modprobe openvswitch where there is one",
    )


def _taps() -> Finding:
    if TUN.exists():
        return Finding(check="taps", verdict=Verdict.OK, found=str(TUN))
    return Finding(check="taps", verdict=Verdict.MISSING, found=f"there is no {TUN}", remedy="modprobe tun")


def _conntrack() -> Finding:
    check = "conntrack (optional)"
    if found := shutil.which("conntrack"):
        return Finding(check=check, verdict=Verdict.OK, found=found)
    return Finding(
        check=check,
        verdict=Verdict.WARN,
        found="not installed; connections through a floating IP that is taken away may linger for a while",
        remedy="apt-get install conntrack",
    )
