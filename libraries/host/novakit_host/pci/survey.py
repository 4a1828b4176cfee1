"""Which PCI devices of this host guests can be given: sysfs and the operator's rules, and why others are withheld."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from novakit_hookspecs.fields import tuple_field
from novakit_hookspecs.findings import Finding, Verdict
from novakit_hookspecs.hosts import PciDevice
from novakit_hookspecs.pci import parse_address
from novakit_host.pci.in_use import in_use
from novakit_host.pci.rules import PciRule
from novakit_host.sysfs import hexadecimal, link, names, text

VFIO = "vfio-pci"
_BRIDGE = 0x06
"""The base class of bridges in a device's class code (PCI Code and ID Assignment Specification)."""
_SHOWN = 3
"""Withheld devices that one line of `novakit doctor` names."""


@attrs.frozen(kw_only=True)
class Withheld:
    """A device that a rule matches and no guest may have."""

    address: str
    why: str
    """What stands in the way, as the end of a sentence that begins with the address."""


@attrs.frozen(kw_only=True)
class Survey:
    """What the rules make of the host's devices."""

    devices: tuple[PciDevice, ...] = tuple_field()
    """Those that guests can be given, by address."""
    withheld: tuple[Withheld, ...] = tuple_field()
    ruled: Mapping[str, int] = attrs.field(factory=dict)
    """By address of every device matched, the number of the rule that counts."""

    def why_not(self, address: str) -> str:
        """Return why a device cannot be given to a guest, as a sentence; empty when it can."""
        if any(device.address == address for device in self.devices):
            return ""
        for each in self.withheld:
            if each.address == address:
                return f"the PCI device {address} cannot be given to a guest: {each.why}"
        return f"the PCI device {address} is not among those that this host's `pci` rules hand to guests"


def survey(rules: Sequence[PciRule], root: Path = Path("/"), *, bound_only: bool = False) -> Survey:
    """Walk the devices below `root`, which holds `sys`, `proc` and `dev`; what cannot be read is withheld.

    With `bound_only` a device must be bound to vfio-pci already, for a driver that does not rebind it itself.
    """
    ruled: dict[str, int] = {}
    if not rules:
        return Survey()
    for address in names(root / "sys/bus/pci/devices"):
        try:
            parse_address(address)
        except ValueError:
            continue
        ids = [hexadecimal(_device(root, address) / name, 4) for name in ("vendor", "device")]
        for number, rule in enumerate(rules):
            if rule.matches(address, *ids):
                ruled[address] = number
                break
    if not ruled:
        return Survey()
    lacks, busy = lacking(root), in_use(root)
    devices: list[PciDevice] = []
    withheld: list[Withheld] = []
    offered: dict[str, str] = {}
    for address in sorted(ruled):
        group = link(_device(root, address) / "iommu_group")
        why = _obstacle(root, address, busy, bound_only=bound_only) or lacks
        if not why and (first := offered.setdefault(group, address)) != address:
            why = f"it shares IOMMU group {group} with {first}, which is offered: a group goes to one guest only"
        if why:
            withheld.append(Withheld(address=address, why=why))
        else:
            devices.append(_found(root, address, rules[ruled[address]].kind))
    return Survey(devices=tuple(devices), withheld=tuple(withheld), ruled=ruled)


def lacking(root: Path = Path("/")) -> str:
    """Return what the host itself lacks to give any device to a guest; empty when it lacks nothing."""
    if not names(root / "sys/kernel/iommu_groups"):
        return "no IOMMU of the host is turned on"
    if not (root / "sys/bus/pci/drivers" / VFIO).exists() or not (root / "dev/vfio/vfio").exists():
        return "the kernel's module vfio-pci is not loaded"
    return ""


def examine(rules: Sequence[PciRule], root: Path = Path("/"), *, bound_only: bool = False) -> Sequence[Finding]:
    """Return the lines of `novakit doctor` about the rules: what the host lacks, and what each rule comes to."""
    if not rules:
        return []
    found = survey(rules, root, bound_only=bound_only)
    reasons = {each.address: each.why for each in found.withheld}
    iommu, vfio = names(root / "sys/kernel/iommu_groups"), (root / "sys/bus/pci/drivers" / VFIO).exists()
    lines = [
        Finding(
            check="IOMMU",
            verdict=Verdict.OK if iommu else Verdict.WARN,
            found=f"{len(iommu)} groups" if iommu else "no groups; no device can be given to a guest",
            remedy=""
            if iommu
            else "turn on VT-d or AMD-Vi in the firmware, and on Intel boot the kernel with intel_iommu=on",
        ),
        Finding(
            check=VFIO,
            verdict=Verdict.OK if vfio else Verdict.WARN,
            found="is there" if vfio else "is not loaded; no device can be given to a guest",
            remedy="" if vfio else f"modprobe {VFIO}, and name it in a file of /etc/modules-load.d",
        ),
    ]
    for number, rule in enumerate(rules):
        here = [address for address, counts in found.ruled.items() if counts == number]
        lines.append(_of_rule(number, rule, here, {at: reasons[at] for at in here if at in reasons}))
    return lines


def _of_rule(number: int, rule: PciRule, here: Sequence[str], reasons: Mapping[str, str]) -> Finding:
    check = f"pci rule {number + 1}, {rule.kind}"
    if not here:
        remedy = "compare the rule with `lspci -Dnn`; a device counts for the first rule that matches it"
        return Finding(check=check, verdict=Verdict.WARN, found="matches no device", remedy=remedy)
    said = f"{_devices(len(here))} matched, {len(here) - len(reasons)} for guests"
    if not reasons:
        return Finding(check=check, verdict=Verdict.OK, found=said)
    told = [f"{address}: {why}" for address, why in list(reasons.items())[:_SHOWN]]
    more = [f"and {len(reasons) - _SHOWN} more"] if len(reasons) > _SHOWN else []
    remedy = "correct what is said of each device, or narrow the rule"
    return Finding(check=check, verdict=Verdict.WARN, found="; ".join([said, *told, *more]), remedy=remedy)


def _devices(count: int) -> str:
    return f"{count} device" + ("" if count == 1 else "s")


def _obstacle(root: Path, address: str, busy: Mapping[str, str], *, bound_only: bool) -> str:
    """Return why the host must keep a device, or cannot let go of it; empty when it can."""
    at = _device(root, address)
    kind = hexadecimal(at / "class", 6)
    if not kind or not hexadecimal(at / "vendor", 4) or not hexadecimal(at / "device", 4):
        return "the kernel does not tell its class, vendor and product"
    if int(kind, 16) >> 16 == _BRIDGE:
        return "it is a bridge, which the host needs"
    if (at / "virtfn0").exists():
        return "its virtual functions are enabled, so offer those instead of the whole card"
    driver = link(at / "driver")
    if address in busy and driver != VFIO:
        return busy[address]
    if not (group := link(at / "iommu_group")):
        return "it is in no IOMMU group" if not lacking(root) else ""
    if bound_only and driver != VFIO:
        return (
            f"it is bound to {driver or 'no driver'}; bind it to {VFIO} with `driverctl set-override {address} {VFIO}`"
        )
    return _in_the_way(root, address, group)


def _in_the_way(root: Path, address: str, group: str) -> str:
    """Return which other device keeps the group from being handed over: VFIO takes a group whole or not at all."""
    for other in names(root / "sys/kernel/iommu_groups" / group / "devices"):
        at = _device(root, other)
        driver = link(at / "driver")
        bridge = hexadecimal(at / "class", 6).startswith(f"{_BRIDGE:02x}")
        if other != address and driver and driver != VFIO and not bridge:
            return f"it shares IOMMU group {group} with {other}, which the driver {driver} uses; bind that to {VFIO}"
    return ""


def _found(root: Path, address: str, kind: str) -> PciDevice:
    at = _device(root, address)
    node = text(at / "numa_node")
    return PciDevice(
        address=address,
        kind=kind,
        vendor_id=hexadecimal(at / "vendor", 4),
        product_id=hexadecimal(at / "device", 4),
        numa_cell=int(node) if node.isascii() and node.isdecimal() and len(node) < 10 else None,
    )


def _device(root: Path, address: str) -> Path:
    return root / "sys/bus/pci/devices" / address
