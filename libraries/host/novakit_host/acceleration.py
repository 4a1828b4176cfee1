"""Find out whether KVM works here, by running a guest on it: a device file that exists proves nothing."""

import asyncio
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs

from novakit_hookspecs.errors import Refused
from novakit_host.commands import SEARCH, Ended, run

DEVICE = Path("/dev/kvm")
QEMU = "qemu-system-x86_64"
DEADLINE = 2.5
"""Seconds for a guest of a few instructions; software emulation needs 0.2."""
EXIT_PORT = 0xF4
"""The I/O port of QEMU's device isa-debug-exit, to which a guest writes to end QEMU."""
STATUS = 33
"""QEMU's exit status when the boot sector below wrote 0x10 to the exit port: (0x10 << 1) | 1."""
BOOT_SECTOR = bytes([0xB0, 0x10, 0xE6, EXIT_PORT, 0xF4, 0xEB, 0xFD]).ljust(510, b"\0") + b"\x55\xaa"
"""mov al, 0x10; out 0xf4, al; hlt."""


@attrs.frozen
class Acceleration:
    """How guests are run, and why."""

    acceleration: str
    """`kvm` or `tcg`."""
    why: str


@attrs.frozen
class Probe:
    """Which QEMU is asked, and how long it may take."""

    qemu: str = QEMU
    deadline: float = DEADLINE

    def found(self) -> Path | None:
        """Return the program's file."""
        path = shutil.which(self.qemu, path=SEARCH)
        return Path(path) if path else None


async def decide(
    wanted: str,
    state_dir: Path,
    device: Path = DEVICE,
    probe: Probe = Probe(),
) -> Acceleration:
    """Return the verdict for the option's value; a probe's outcome is remembered until kernel, boot or QEMU change.

    Raises Refused when KVM is demanded and does not work.
    """
    if wanted == "tcg":
        return Acceleration("tcg", "software emulation (TCG): as the option `acceleration` says")
    fault = await fault_of(state_dir, device, probe)
    if not fault:
        return Acceleration("kvm", "KVM: a probe guest ran on it")
    if wanted == "kvm":
        raise Refused(f"acceleration = 'kvm' is required, but {fault}; repair that, or set acceleration = 'auto'")
    return Acceleration("tcg", f"software emulation (TCG): {fault}")


async def fault_of(state_dir: Path, device: Path = DEVICE, probe: Probe = Probe()) -> str:
    """Return what keeps guests from running on the device; empty when a guest ran on it."""
    memory = state_dir / "acceleration.json"
    key = await asyncio.to_thread(_key, device, probe)
    if key is None:
        return f"there is no {device}"
    if (known := await asyncio.to_thread(_recall, memory, key)) is not None:
        return known
    fault = await _run(device, probe)
    await asyncio.to_thread(_remember, memory, key, fault)
    return fault


def _recall(memory: Path, key: Sequence[str | int]) -> str | None:
    try:
        known = json.loads(memory.read_text())
        return str(known["fault"]) if known["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # nothing is known, or a crash or an older version left it: probe again


def _remember(memory: Path, key: Sequence[str | int], fault: str) -> None:
    fresh = memory.with_suffix(".new")
    fresh.write_text(json.dumps({"key": key, "fault": fault}))
    fresh.replace(memory)


def _key(device: Path, probe: Probe) -> Sequence[str | int] | None:
    """What the verdict depends on; None without a device."""
    if not device.exists():
        return None
    boot = Path("/proc/sys/kernel/random/boot_id")
    qemu = probe.found()
    return [
        boot.read_text().strip() if boot.exists() else "",
        platform.release(),
        qemu.stat().st_mtime_ns if qemu else 0,
        device.stat().st_rdev,
        os.geteuid(),
    ]


async def _run(device: Path, probe: Probe) -> str:
    """Boot a disk whose only program ends QEMU, through the BIOS, as every guest begins. Returns what went wrong."""
    with tempfile.NamedTemporaryFile(prefix="novakit-probe-", suffix=".img") as image:
        image.write(BOOT_SECTOR.ljust(1 << 20, b"\0"))
        image.flush()
        drive = f"file={image.name},format=raw,if=virtio,readonly=on"
        argv = [probe.qemu, "-accel", "kvm", "-cpu", "host", "-machine", "q35", "-m", "32", "-nodefaults", "-no-reboot"]
        argv += ["-display", "none", "-drive", drive, "-device", f"isa-debug-exit,iobase={EXIT_PORT},iosize=1"]
        try:
            ended = await run(argv, within=probe.deadline)
        except FileNotFoundError:
            return f"{probe.qemu} is not installed"
    return "" if ended.status == STATUS else _sentence(ended, device, probe)


def _sentence(ended: Ended, device: Path, probe: Probe) -> str:
    if ended.status is None:
        return f"{device} is there, but a probe guest on it made no progress within {probe.deadline:g} s"
    last = ended.said.splitlines()[-1][-200:] if ended.said else "it said nothing"
    return f"{device} is there, but QEMU on it ended with status {ended.status}: {last}"
