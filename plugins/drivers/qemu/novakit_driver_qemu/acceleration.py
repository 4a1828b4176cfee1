"""Find out whether KVM works here, by running a guest on it: a device file that exists proves nothing."""

import os
import tempfile
from pathlib import Path

import attrs

from novakit_driver_qemu.commands import QEMU, run
from novakit_hookspecs.errors import Refused

DEADLINE = 2.5
"""Seconds for a guest of a few instructions."""
EXIT_PORT = 0xF4
STATUS = 33
"""QEMU's exit status when the boot sector below wrote 0x10 to the exit port: (0x10 << 1) | 1."""
BOOT_SECTOR = bytes([0xB0, 0x10, 0xE6, EXIT_PORT, 0xF4, 0xEB, 0xFD]).ljust(510, b"\0") + b"\x55\xaa"
"""mov al, 0x10; out 0xf4, al; hlt."""


@attrs.frozen
class Verdict:
    """How guests are run, `kvm` or `tcg`, and why."""

    acceleration: str
    why: str


async def decide(wanted: str, device: Path = Path("/dev/kvm"), qemu: str = QEMU) -> Verdict:
    """Give the verdict for the option's value; raise `Refused` when KVM is demanded and does not work."""
    if wanted == "tcg":
        return Verdict("tcg", "software emulation (TCG): the option acceleration says so")
    fault = await _probe(qemu) if os.access(device, os.F_OK) else "is not there"
    if not fault:
        return Verdict("kvm", "KVM: a probe guest ran on it")
    if wanted == "kvm":
        raise Refused(f"acceleration = 'kvm' is demanded, but {device} {fault}; mend it or set acceleration = 'auto'")
    return Verdict("tcg", f"software emulation (TCG): {device} {fault}")


async def _probe(qemu: str) -> str:
    """Boot a disk whose only program ends QEMU, through the BIOS, as every guest begins; say what went wrong."""
    with tempfile.NamedTemporaryFile(prefix="novakit-probe-", suffix=".img") as image:
        image.write(BOOT_SECTOR.ljust(1 << 20, b"\0"))
        image.flush()
        drive = f"file={image.name.replace(',', ',,')},format=raw,if=virtio,readonly=on"
        argv = [qemu, "-accel", "kvm", "-cpu", "host", "-machine", "q35", "-m", "32", "-nodefaults", "-no-reboot"]
        argv += ["-display", "none", "-drive", drive, "-device", f"isa-debug-exit,iobase={EXIT_PORT},iosize=1"]
        ended = await run(argv, within=DEADLINE)
    if ended.status == STATUS:
        return ""
    if ended.status is None:
        return f"is there, but a probe guest on it did not get anywhere within {DEADLINE:g} s"
    last = ended.said.splitlines()[-1][-200:] if ended.said else "it said nothing"
    return f"is there, but QEMU on it ended with status {ended.status}: {last}"
