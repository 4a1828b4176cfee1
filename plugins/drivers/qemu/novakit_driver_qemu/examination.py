"""What of the host's furniture is there, for `novakit doctor`; changes nothing."""

from collections.abc import Sequence

from novakit_driver_qemu.acceleration import decide
from novakit_driver_qemu.commands import NEEDS, missing
from novakit_hookspecs.errors import Refused
from novakit_hookspecs.findings import Finding, Verdict


async def examine(wanted: str) -> Sequence[Finding]:
    """Look at the programs, and at the acceleration when they are there."""
    check = "programs for guests"
    if lacking := missing():
        found, remedy = f"not installed: {', '.join(lacking)}", f"apt-get install {' '.join(lacking)}"
        return [Finding(check=check, verdict=Verdict.MISSING, found=found, remedy=remedy)]
    return [Finding(check=check, verdict=Verdict.OK, found=", ".join(NEEDS)), await _acceleration(wanted)]


async def _acceleration(wanted: str) -> Finding:
    check = "acceleration"
    try:
        decided = await decide(wanted)
    except Refused as error:
        sentence, _, remedy = str(error).partition("; ")
        return Finding(check=check, verdict=Verdict.MISSING, found=sentence, remedy=remedy)
    if decided.acceleration == "kvm" or wanted == "tcg":
        return Finding(check=check, verdict=Verdict.OK, found=decided.why)
    slow = "guests run, some ten times slower; turn on (nested) virtualisation and load kvm_intel or kvm_amd"
    return Finding(check=check, verdict=Verdict.WARN, found=decided.why, remedy=slow)
