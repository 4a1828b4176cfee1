"""What of the host's furniture is there, for `novakit doctor`; changes nothing."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from novakit_driver_qemu.commands import NEEDS, missing
from novakit_driver_qemu.options import QemuOptions
from novakit_hookspecs.errors import Refused
from novakit_hookspecs.findings import Finding, Verdict
from novakit_host import known_holes, pci_survey
from novakit_host.acceleration import decide
from novakit_host.examination import confinement


async def examine(options: QemuOptions, state_dir: Path, root: Path) -> Sequence[Finding]:
    """Look at the programs, and when they are there at the acceleration and at PCI devices for guests."""
    check = "programs for guests"
    if lacking := missing():
        found, remedy = f"not installed: {', '.join(lacking)}", f"apt-get install {' '.join(lacking)}"
        return [Finding(check=check, verdict=Verdict.MISSING, found=found, remedy=remedy)]
    devices = await asyncio.to_thread(pci_survey.examine, options.pci, root, bound_only=True)
    there = Finding(check=check, verdict=Verdict.OK, found=", ".join(NEEDS))
    known = await known_holes.examine(known_holes.QEMU)
    return [there, await _acceleration(options.acceleration, state_dir), await confinement(), *known, *devices]


async def _acceleration(wanted: str, state_dir: Path) -> Finding:
    check = "acceleration"
    try:
        decided = await decide(wanted, state_dir)
    except Refused as error:
        sentence, _, remedy = str(error).partition("; ")
        return Finding(check=check, verdict=Verdict.MISSING, found=sentence, remedy=remedy)
    if decided.acceleration == "kvm" or wanted == "tcg":
        return Finding(check=check, verdict=Verdict.OK, found=decided.why)
    slow = "guests run, some ten times slower; turn on (nested) virtualisation and load kvm_intel or kvm_amd"
    return Finding(check=check, verdict=Verdict.WARN, found=decided.why, remedy=slow)
